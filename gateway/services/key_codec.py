"""Keys, projects and limits as messages of the contract, and back."""

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.admission.key_store import StoredKey, StoredProject
from gateway.admission.limits.model import Standing
from gateway.admission.quota import dollars, nano_dollars
from gateway.config import LimitSpec
from gateway.errors import InvalidRequest
from llmgateway.v1 import key_pb2, limit_pb2

_LONGEST: Final = 200
_EARLIEST: Final = -62_135_596_800
_LATEST: Final = 253_402_300_799
"""The seconds of the years 1 to 9999, which are what a timestamp may be."""
_COUNTED: Final = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent",
    "requests_per_day",
    "requests_per_month",
)


def text(value: str, param: str, longest: int = _LONGEST) -> str:
    """Return `value`. Raises InvalidRequest when it is empty, too long or has characters that do not print."""
    if not value:
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    return optional_text(value, param, longest)


def optional_text(value: str, param: str, longest: int = _LONGEST) -> str:
    """Return `value`, which may be empty. Raises InvalidRequest otherwise as `text` does."""
    if len(value) > longest or not value.isprintable():
        raise InvalidRequest(
            f"Invalid value for '{param}': expected up to {longest} printable characters.", param=param
        )
    return value


def limit_spec(limits: limit_pb2.Limits) -> LimitSpec:
    """Return limits as the gateway keeps them. Raises InvalidRequest."""
    given: dict[str, int | str] = {name: getattr(limits, name) for name in _COUNTED if limits.HasField(name)}
    if limits.HasField("spend_nano_usd_per_month"):
        given["spend_per_month"] = dollars(limits.spend_nano_usd_per_month)
    if limits.strategy:
        given["strategy"] = limits.strategy
    try:
        return msgspec.convert(given, LimitSpec)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"Invalid value for 'limits': {exc}.", param="limits") from None


def limits_message(spec: LimitSpec) -> limit_pb2.Limits:
    """Return limits as a message; unset ones stay unset."""
    message = limit_pb2.Limits(strategy=spec.strategy or "", **{name: getattr(spec, name) for name in _COUNTED})
    if spec.spend_per_month is not None:
        message.spend_nano_usd_per_month = nano_dollars(spec.spend_per_month)
    return message


def key_message(key: StoredKey) -> key_pb2.Key:
    """Return a stored key as a message."""
    return key_pb2.Key(
        id=key.id,
        name=key.name,
        project_id=key.project_id or "",
        admin=key.admin,
        providers=key.providers or (),
        models=key.models or (),
        limits=limits_message(key.limits),
        create_time=timestamp(key.created_at),
        expire_time=timestamp(key.expires_at),
        disable_time=timestamp(key.disabled_at),
    )


def project_message(project: StoredProject) -> key_pb2.Project:
    """Return a project as a message."""
    return key_pb2.Project(
        id=project.id, limits=limits_message(project.limits), create_time=timestamp(project.created_at)
    )


def standing_messages(standings: Iterable[Standing]) -> list[limit_pb2.LimitStanding]:
    """Return how limits stand as messages."""
    now = time.time_ns() // 1_000_000
    return [
        limit_pb2.LimitStanding(
            scope=standing.rule.scope,
            scope_id=standing.rule.scope_id,
            metric=standing.rule.metric,
            window=standing.rule.window or "",
            limit=standing.rule.amount,
            used=standing.used,
            remaining=standing.remaining,
            reset_time=timestamp(now + standing.reset_ms if standing.used else None),
        )
        for standing in standings
    ]


def timestamp(ms: int | None) -> Timestamp | None:
    """Return Unix milliseconds as a timestamp."""
    if ms is None:
        return None
    message = Timestamp()
    message.FromMilliseconds(ms)
    return message


def optional_milliseconds(request: Any, name: str) -> int | None:
    """Return a request's timestamp as Unix milliseconds, None if it is unset. Raises InvalidRequest."""
    if not request.HasField(name):
        return None
    time: Timestamp = getattr(request, name)
    if not _EARLIEST <= time.seconds <= _LATEST:  # no database takes others
        raise InvalidRequest(f"Invalid value for '{name}': expected a time in the years 1 to 9999.", param=name)
    return time.ToMilliseconds()
