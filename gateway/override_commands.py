"""The command line's `providers`, `prices` and `preferences`: for the database; running gateways follow."""

import argparse
import asyncio
import datetime as dt
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from gateway.admission.key_store import UnknownKeyError
from gateway.admission.keys import StaticKeys
from gateway.admission.quota import dollars, nano_dollars
from gateway.catalog.entries import Prices
from gateway.config import Settings
from gateway.errors import GatewayError, InvalidRequest, KeyNotFound
from gateway.override_arguments import PRICES
from gateway.overrides.overrides import Overrides
from gateway.overrides.prices import MOST_NANO, StoredPrice
from gateway.overrides.provider_settings import FIELDS
from gateway.overrides.providers import ProviderView
from gateway.services.key_codec import text
from gateway.state import StateError, Stored, now_ms, open_stored

_FOLLOW: Final = "running gateways follow within five seconds"


class _Desk(msgspec.Struct, frozen=True):
    """What the commands work with."""

    settings: Settings
    stored: Stored
    overrides: Overrides


def run_override_command(settings: Settings, options: argparse.Namespace) -> int:
    """Run one of the commands and return its exit code."""
    try:
        return asyncio.run(_run(settings, options))
    except StateError as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
    except GatewayError as exc:
        print(f"llmgateway: {exc.message}", file=sys.stderr)
    return 1


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    async with open_stored(settings.storage) as stored:
        desk = _Desk(settings, stored, Overrides(stored.database, now_ms))
        await _ACTIONS[options.command, options.action](desk, options)
    return 0


async def _list_providers(desk: _Desk, options: argparse.Namespace) -> None:  # noqa: ARG001  # one signature for all
    for view in await desk.overrides.providers(desk.settings.providers).views():
        print(_provider_line(view))


async def _set_provider(desk: _Desk, options: argparse.Namespace) -> None:
    given = {name: value for name in FIELDS if (value := getattr(options, name)) is not None}
    for value in (*given.values(), *given.get("models", ())):
        if isinstance(value, str):
            text(value, "value", longest=500)
    providers = desk.overrides.providers(desk.settings.providers)
    print(_provider_line(await providers.put(options.name, given, disabled=options.disabled)))


async def _delete_provider(desk: _Desk, options: argparse.Namespace) -> None:
    await desk.overrides.providers(desk.settings.providers).delete(options.name)
    print(f"what was stored of provider {options.name} is forgotten; {_FOLLOW}")


async def _list_prices(desk: _Desk, options: argparse.Namespace) -> None:
    for price in await desk.overrides.price_store.list(provider=options.provider, model=options.model):
        print(_price_line(price))


async def _set_price(desk: _Desk, options: argparse.Namespace) -> None:
    provider, _, model = options.model.partition("/")
    names = [option.removeprefix("--").replace("-", "_") for option in PRICES]
    given = {name: _nano_dollars(name, value) for name in names if (value := getattr(options, name)) is not None}
    try:
        prices = msgspec.convert(given, Prices)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"prices: {exc}") from None
    price = await desk.overrides.price_store.put(
        text(provider, "provider"), text(model, "model"), prices, options.start
    )
    print(_price_line(price))


async def _delete_price(desk: _Desk, options: argparse.Namespace) -> None:
    await desk.overrides.price_store.delete(options.id)
    print(f"{options.id} is forgotten; {_FOLLOW}")


async def _list_preferences(desk: _Desk, options: argparse.Namespace) -> None:
    for each in await desk.overrides.preference_store.list(await _key(desk, options.key)):
        print(f"{each.name}  {each.model}")


async def _set_preference(desk: _Desk, options: argparse.Namespace) -> None:
    key_id = await _key(desk, options.key)
    await desk.overrides.preference_store.put(key_id, text(options.name, "name"), text(options.model, "model"))
    print(f"{options.name} means {options.model} for {key_id}; {_FOLLOW}")


async def _delete_preference(desk: _Desk, options: argparse.Namespace) -> None:
    await desk.overrides.preference_store.delete(await _key(desk, options.key), options.name)
    print(f"{options.name} means again what it means to everyone; {_FOLLOW}")


_ACTIONS: Final[dict[tuple[str, str], Callable[[_Desk, argparse.Namespace], Awaitable[None]]]] = {
    ("providers", "list"): _list_providers,
    ("providers", "set"): _set_provider,
    ("providers", "delete"): _delete_provider,
    ("prices", "list"): _list_prices,
    ("prices", "set"): _set_price,
    ("prices", "delete"): _delete_price,
    ("preferences", "list"): _list_preferences,
    ("preferences", "set"): _set_preference,
    ("preferences", "delete"): _delete_preference,
}


async def _key(desk: _Desk, key_id: str) -> str:
    """Return the id of a key that exists, stored or configured. Raises KeyNotFound."""
    configured = StaticKeys(desk.settings.access.api_keys, required=True).callers
    if key_id not in {caller.key_id for caller in configured}:
        try:
            await desk.stored.keys.get(key_id)
        except UnknownKeyError:
            raise KeyNotFound(f"There is no key '{key_id[:100]}'.") from None
    return key_id


def _nano_dollars(name: str, value: str) -> int:
    try:
        amount = nano_dollars(value)
    except ValueError as exc:
        raise InvalidRequest(f"{name}: {exc}") from None
    if amount > MOST_NANO:
        raise InvalidRequest(f"{name}: at most {dollars(MOST_NANO)} US dollars for a million tokens")
    return amount


def _provider_line(view: ProviderView) -> str:
    settings = view.settings
    state = "disabled" if view.disabled else "on"
    models = ", ".join(settings.models) or "-"
    return f"{view.name}  {state}  {settings.kind}  {settings.base_url or '-'}  {models}  {view.source}"


def _price_line(price: StoredPrice) -> str:
    start = dt.datetime.fromtimestamp(price.valid_from / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kinds = (option.removeprefix("--") for option in PRICES)
    amounts = {kind: getattr(price.prices, kind.replace("-", "_")) for kind in kinds}
    shown = "  ".join(f"{kind} {dollars(amount)}" for kind, amount in amounts.items() if amount is not None)
    return f"{price.id}  {price.provider}/{price.model}  from {start}  {shown}"
