"""Questions about the ledger: sums of usage, and the calls themselves in pages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Overloaded
from gateway.storage.database import OUTAGE, Database
from gateway.storage.ledger import Ledger
from gateway.storage.tables import Call, UsageDay

Group = Literal["day", "key", "project", "provider", "model"]

_WAIT_S: Final = 2.0
_CALLS: Final[Any] = Call.__table__
_DAYS: Final[Any] = UsageDay.__table__
_COLUMNS: Final = {
    "day": _DAYS.c.day,
    "key": _DAYS.c.key_id,
    "project": _DAYS.c.project_id,
    "provider": _DAYS.c.provider,
    "model": _DAYS.c.model,
}


class UsageTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of ended calls. `failed_requests` failed before any token and are not among `requests`."""

    requests: int = 0
    failed_requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        return UsageTotals(**{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})


_COUNTS: Final = UsageTotals.__struct_fields__
_SUMS: Final = tuple(sa.func.sum(_DAYS.c[name]).label(name) for name in _COUNTS)


class UsageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which days' calls to sum up: both ends count, as 20251231. None is any."""

    start_day: int
    end_day: int
    key_id: str | None = None
    project_id: str | None = None
    provider: str | None = None
    model: str | None = None


class UsageAnswer(msgspec.Struct, frozen=True):
    """The sums of one group, and what it is grouped by."""

    group: dict[Group, str | int]
    totals: UsageTotals


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls to list. None is any; times are Unix milliseconds, the first included and the second not."""

    started_from: int | None = None
    started_before: int | None = None
    key_id: str | None = None
    project_id: str | None = None
    provider: str | None = None
    model: str | None = None
    outcome: str | None = None
    request_id: str | None = None


Place = tuple[int, str]
"""Where a page of calls ended: start time and id of its last call."""


class UsageQueries:
    """Answers from the database. Raises Overloaded while that is away."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    async def usage(self, question: UsageQuestion, group_by: Sequence[Group]) -> list[UsageAnswer]:
        """Return the sums by group, sorted. This process's calls that ended before are in it."""
        days = _DAYS.c
        columns = [_COLUMNS[name] for name in group_by]
        query = sa.select(*columns, *_SUMS).where(days.day.between(question.start_day, question.end_day))
        for name in ("key_id", "project_id", "provider", "model"):
            value = getattr(question, name)
            if value is not None:
                query = query.where(days[name] == value)
        async with self._reading() as connection:
            rows = (await connection.execute(query.group_by(*columns).order_by(*columns))).all()
        width = len(columns)
        return [
            UsageAnswer(
                dict(zip(group_by, row[:width], strict=True)),
                UsageTotals(**{name: int(value) for name, value in zip(_COUNTS, row[width:], strict=True)}),
            )
            for row in rows
        ]

    async def calls(self, chosen: CallFilter, *, after: Place | None, limit: int) -> list[Any]:
        """Return up to `limit` rows of calls, newest first, those that come after a place."""
        calls = _CALLS.c
        query = sa.select(_CALLS).order_by(calls.started_at.desc(), calls.id.desc()).limit(limit)
        for name in ("key_id", "project_id", "provider", "model", "outcome", "request_id"):
            value = getattr(chosen, name)
            if value is not None:
                query = query.where(calls[name] == value)
        if chosen.started_from is not None:
            query = query.where(calls.started_at >= chosen.started_from)
        if chosen.started_before is not None:
            query = query.where(calls.started_at < chosen.started_before)
        if after is not None:
            query = query.where(
                calls.started_at <= after[0],  # the same again for SQLite, which finds no index by a pair
                sa.tuple_(calls.started_at, calls.id) < sa.tuple_(*map(sa.literal, after)),
            )
        async with self._reading() as connection:
            return list((await connection.execute(query)).all())

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._ledger.flush()
            async with self._database.reading() as connection:
                yield connection
        except OUTAGE as exc:
            raise Overloaded("The gateway cannot reach its database now.", retry_after=1) from exc
