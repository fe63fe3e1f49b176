"""The command line's `migrate`, `keys` and `provider-keys`: they work on the database, with or without a gateway."""

import argparse
import asyncio
import datetime as dt
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from gateway.admission.key_store import StoredKey, UnknownKeyError
from gateway.admission.vault import VaultError
from gateway.config import LimitSpec, Secret, Settings
from gateway.key_arguments import LIMITS
from gateway.state import StateError, Stored, open_stored

_DAY_S: Final = 86_400


def run_command(settings: Settings, options: argparse.Namespace) -> int:
    """Run one of the commands and return its exit code."""
    try:
        return asyncio.run(_run(settings, options))
    except (StateError, VaultError, _UsageError) as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 1
    except UnknownKeyError as exc:
        print(f"llmgateway: there is no key '{exc}'", file=sys.stderr)
        return 1


class _UsageError(Exception):
    pass


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    async with open_stored(settings.storage) as stored:
        if options.command == "migrate":
            print("the database has the current schema")
        else:
            await _ACTIONS[options.command, options.action](stored, options)
    return 0


async def _create(stored: Stored, options: argparse.Namespace) -> None:
    days = options.expires_in_days
    key, secret = await stored.keys.create(
        options.name,
        project_id=options.project,
        admin=options.admin,
        providers=options.provider,
        models=options.model,
        limits=_limits(options),
        lifetime_s=days * _DAY_S if days is not None else None,
    )
    print(f"key    {key.id}\nsecret {secret.reveal()}\n\nThe secret is not stored and cannot be shown again.")


async def _list(stored: Stored, options: argparse.Namespace) -> None:  # noqa: ARG001  # one signature for all
    for key in await stored.keys.list():
        print(_line(key))


async def _disable(stored: Stored, options: argparse.Namespace) -> None:
    await stored.keys.disable(options.id)
    print(f"{options.id} is disabled; running gateways refuse it within five seconds")


async def _rotate(stored: Stored, options: argparse.Namespace) -> None:
    secret = await stored.keys.rotate(options.id, options.overlap_hours * 3600)
    print(f"secret {secret.reveal()}\n\nThe earlier secrets end in {options.overlap_hours} hours.")


async def _limit_project(stored: Stored, options: argparse.Namespace) -> None:
    await stored.keys.set_project_limits(options.id, _limits(options))
    print(f"project {options.id} has its limits")


async def _set_provider_key(stored: Stored, options: argparse.Namespace) -> None:
    key = sys.stdin.readline().strip()
    if not key:
        raise _UsageError("the provider's key is read from standard input, which was empty")
    await stored.secrets.put_provider_key(options.id, Secret(key))
    print(f"the key of provider {options.id} is stored; running gateways use it within five seconds")


async def _delete_provider_key(stored: Stored, options: argparse.Namespace) -> None:
    if not await stored.secrets.delete_provider_key(options.id):
        raise _UsageError(f"no key of provider '{options.id}' is stored")
    print(f"the key of provider {options.id} is forgotten")


async def _reencrypt(stored: Stored, options: argparse.Namespace) -> None:  # noqa: ARG001  # one signature for all
    print(f"{await stored.secrets.reencrypt()} secrets are encrypted with the first master key")


_ACTIONS: Final[dict[tuple[str, str], Callable[[Stored, argparse.Namespace], Awaitable[None]]]] = {
    ("keys", "create"): _create,
    ("keys", "list"): _list,
    ("keys", "disable"): _disable,
    ("keys", "rotate"): _rotate,
    ("keys", "limit-project"): _limit_project,
    ("provider-keys", "set"): _set_provider_key,
    ("provider-keys", "delete"): _delete_provider_key,
    ("provider-keys", "reencrypt"): _reencrypt,
}


def _limits(options: argparse.Namespace) -> LimitSpec:
    names = [option.removeprefix("--").replace("-", "_") for option, _ in LIMITS] + ["strategy"]
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    try:
        return msgspec.convert(given, LimitSpec)
    except msgspec.ValidationError as exc:
        raise _UsageError(f"limits: {exc}") from None


def _line(key: StoredKey) -> str:
    state = "disabled" if key.disabled_at is not None else f"until {_date(key.expires_at)}" if key.expires_at else "on"
    scope: Sequence[str] = key.models or key.providers or ("all models",)
    limits = msgspec.json.encode(key.limits).decode()
    admin = "  admin" if key.admin else ""
    return f"{key.id}  {state}  {key.name}  project {key.project_id or '-'}  {', '.join(scope)}  {limits}{admin}"


def _date(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%d")
