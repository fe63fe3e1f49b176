"""What the ledger is told about a call: once when it starts, once when it ends.

Both are lines of the journal: JSON arrays, to which fields may be added at the end, with defaults.
"""

import datetime as dt
import functools
from typing import Final, Literal

from msgspec import Struct

State = Literal["settled", "released"]
UsageSource = Literal["", "provider", "gateway", "bound"]


_DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.date(1970, 1, 1)


def utc_day(ms: int) -> int:
    """Return the UTC day of a Unix time in milliseconds, as 20251231."""
    return _written(ms // _DAY_MS)


@functools.lru_cache(maxsize=64)
def _written(days: int) -> int:
    return int((_EPOCH + dt.timedelta(days=days)).strftime("%Y%m%d"))


class Reservation(Struct, frozen=True, array_like=True, tag="r", gc=False):
    """A call that starts. `lease_until` is when it is over for certain; times are Unix milliseconds."""

    id: str
    request_id: str
    owner: str
    key_id: str
    project_id: str | None
    provider: str
    model: str
    operation: str
    payer: str
    started_at: int
    day: int
    lease_until: int
    reserved_prompt_tokens: int
    reserved_completion_tokens: int
    reserved_nano: int
    price_source: str


class Settlement(Struct, frozen=True, array_like=True, tag="s", gc=False):
    """A call that ended: `released` when it failed before any token."""

    id: str
    state: State
    provider: str
    model: str
    payer: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_nano: int
    usage_source: UsageSource
    price_source: str
    outcome: str
    attempts: int
    first_token_ms: int | None
    total_ms: int | None
    settled_at: int


class Total(Struct, frozen=True):
    """What the calls of one key, project and provider sum up to; open ones count with their reservation."""

    key_id: str
    project_id: str | None
    provider: str
    requests: int
    tokens: int
    spend_nano: int


class Expired(Struct, frozen=True):
    """A call that was lost and settled at its reservation."""

    id: str
    request_id: str
    key_id: str
    cost_nano: int
