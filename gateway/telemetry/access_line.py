"""The one line of a call, with the fields that `docs/operations.md` tells of."""

import datetime as dt
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, structs
from msgspec.json import Encoder

_OF_THE_LOG: Final = ("event", "level", "time")


class AccessLine(Struct, kw_only=True):
    """What became of a call. Encoded at once, because the loggers' way costs five times as much."""

    request_id: str
    trace_id: str | None
    key_id: str
    project_id: str | None
    route: str
    rpc: str
    edge: str
    status: str
    http_status: int
    provider: str | None
    model: str | None
    attempts: int
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cost_nano_usd: int | None
    first_token_ms: float | None
    total_ms: float
    message: str | UnsetType = UNSET
    request_body: str | UnsetType = UNSET
    event: str = "request"
    level: str = "info"
    time: dt.datetime | UnsetType = UNSET

    def encoded(self) -> bytes:
        """Return the line as JSON logs have it, with the time now."""
        self.time = dt.datetime.now(dt.UTC)
        return _ENCODER.encode(self)

    def fields(self) -> dict[str, Any]:
        """Return what a logger is to be told beside its event."""
        told = structs.asdict(self)
        return {name: value for name, value in told.items() if value is not UNSET and name not in _OF_THE_LOG}


_ENCODER: Final = Encoder()
