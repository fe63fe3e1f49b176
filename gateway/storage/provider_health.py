"""The stored history of the providers' checks: written in batches, read in pages, kept for a time."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Overloaded
from gateway.storage.database import INSERTS, OUTAGE, Database
from gateway.storage.tables import ProviderHealth

_CHECKS: Final[Any] = ProviderHealth.__table__


class ProviderCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One check, as its row has it."""

    id: str
    provider: str
    checked_at: int
    checked_by: str
    up: bool
    reason: str
    latency_ms: int
    recent_calls: int
    recent_failed_calls: int


class CheckFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which checks to list. None is any; times are Unix milliseconds, the first included and the second not."""

    provider: str | None = None
    checked_from: int | None = None
    checked_before: int | None = None


async def store(connection: AsyncConnection, checks: Sequence[ProviderCheck]) -> None:
    """Write checks. One that is there already stays, so a batch of unknown fate can be repeated."""
    insert = INSERTS[connection.dialect.name](_CHECKS).on_conflict_do_nothing()
    await connection.execute(insert, [msgspec.structs.asdict(check) for check in checks])


async def prune(connection: AsyncConnection, before: int) -> None:
    """Delete the checks made before a time."""
    await connection.execute(sa.delete(_CHECKS).where(_CHECKS.c.checked_at < before))


class ProviderCheckQueries:
    """Reads the history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def checks(self, chosen: CheckFilter, *, after: tuple[int, str] | None, limit: int) -> list[ProviderCheck]:
        """Return up to `limit` checks, newest first, those that come after a time and id.

        Raises Overloaded while the database is away.
        """
        column = _CHECKS.c
        query = sa.select(_CHECKS).order_by(column.checked_at.desc(), column.id.desc()).limit(limit)
        if chosen.provider is not None:
            query = query.where(column.provider == chosen.provider)
        if chosen.checked_from is not None:
            query = query.where(column.checked_at >= chosen.checked_from)
        if chosen.checked_before is not None:
            query = query.where(column.checked_at < chosen.checked_before)
        if after is not None:
            query = query.where(
                column.checked_at <= after[0],  # the same again for SQLite, which finds no index by a pair
                sa.tuple_(column.checked_at, column.id) < sa.tuple_(*map(sa.literal, after)),
            )
        try:
            async with self._database.reading() as connection:
                return [ProviderCheck(**row) for row in (await connection.execute(query)).mappings()]
        except OUTAGE as exc:
            raise Overloaded("The gateway cannot reach its database now.", retry_after=1) from exc
