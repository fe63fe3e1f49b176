"""The SQL of the ledger: what is written, marked and summed."""

import functools
from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.records import Expired, Reservation, Settlement, Total
from gateway.storage.tables import Call

_CALLS: Final[Any] = Call.__table__  # typed as FromClause, is a Table
_OPEN: Final[sa.ColumnElement[str]] = sa.literal_column("'open'")
_SETTLED: Final = tuple(field.name for field in structs.fields(Settlement) if field.name != "id")
_UNSETTLED: Final[dict[str, Any]] = {
    "state": "open",
    "prompt_tokens": 0,
    "cached_tokens": 0,
    "completion_tokens": 0,
    "reasoning_tokens": 0,
    "cost_nano": 0,
    "usage_source": "",
    "outcome": "",
    "attempts": 0,
    "first_token_ms": None,
    "total_ms": None,
    "settled_at": None,
}


def _upsert(insert: Any) -> Any:
    statement = insert(_CALLS).values({column.name: sa.bindparam(column.name) for column in _CALLS.c})
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: new[name] for name in _SETTLED},
        where=(_CALLS.c.state == _OPEN) & (new.state != _OPEN),
    )


_UPSERTS: Final = {"sqlite": _upsert(sqlite.insert), "postgresql": _upsert(postgresql.insert)}
_SETTLE: Final = (
    sa.update(_CALLS)
    .where(_CALLS.c.id == sa.bindparam("call_id"), _CALLS.c.state == _OPEN)
    .values({name: sa.bindparam(name) for name in _SETTLED})
)


async def store(connection: AsyncConnection, records: Iterable[Reservation | Settlement]) -> None:
    """Write the records. Storing them again changes nothing, so a batch of unknown fate can be repeated.

    A settlement without its reservation, before or among the records, is dropped: the call is unknown.
    """
    rows: dict[str, dict[str, Any]] = {}
    settlements: list[dict[str, Any]] = []
    for record in records:
        fields = structs.asdict(record)
        if isinstance(record, Reservation):
            rows[record.id] = _UNSETTLED | fields
            continue
        row = rows.get(record.id)
        if row is None:
            fields["call_id"] = record.id
            settlements.append(fields)
        elif row["state"] == "open":
            row.update(fields)
    upsert, settle = _statements(connection.dialect)
    for (sql, order), batch in ((upsert, list(rows.values())), (settle, settlements)):
        if batch:
            await connection.exec_driver_sql(sql, [tuple(row[name] for name in order) for row in batch])


@functools.cache
def _statements(dialect: Dialect) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    """Return the driver's SQL and the order of its parameters: SQLAlchemy's own way to them costs 10 µs a row."""
    upsert = _UPSERTS[dialect.name].compile(dialect=dialect)
    settle = _SETTLE.compile(dialect=dialect)
    return (str(upsert), list(upsert.positiontup or ())), (str(settle), list(settle.positiontup or ()))


async def expire(connection: AsyncConnection, now: int, owner: str | None = None) -> list[Expired]:
    """Settle open calls at their reservation: those of a dead `owner`, or all whose lease is over.

    The update is conditional, so that among processes that do this at once each call is settled by exactly one.
    """
    c = _CALLS.c
    lost = c.owner == owner if owner is not None else c.lease_until < now
    statement = (
        sa.update(_CALLS)
        .where(c.state == "open", lost)
        .values(
            state="expired",
            prompt_tokens=c.reserved_prompt_tokens,
            completion_tokens=c.reserved_completion_tokens,
            cost_nano=sa.case((c.payer == "gateway", c.reserved_nano), else_=0),
            usage_source="bound",
            outcome="LOST",
            settled_at=now,
        )
        .returning(c.id, c.request_id, c.key_id, c.cost_nano)
    )
    return [Expired(*row) for row in await connection.execute(statement)]


async def totals(connection: AsyncConnection, since: int) -> list[Total]:
    """Sum the calls that started at `since` or later, by key, project and provider. Released calls count nothing."""
    c = _CALLS.c
    is_open = c.state == "open"
    tokens = sa.case(
        (is_open, c.reserved_prompt_tokens + c.reserved_completion_tokens),
        else_=c.prompt_tokens + c.completion_tokens,
    )
    spend = sa.case((c.payer != "gateway", 0), (is_open, c.reserved_nano), else_=c.cost_nano)
    statement = (
        sa.select(c.key_id, c.project_id, c.provider, sa.func.count(), sa.func.sum(tokens), sa.func.sum(spend))
        .where(c.started_at >= since, c.state != "released")
        .group_by(c.key_id, c.project_id, c.provider)
    )
    # PostgreSQL sums bigint as numeric
    return [
        Total(key, project, provider, int(requests), int(tokens), int(spend))
        for key, project, provider, requests, tokens, spend in await connection.execute(statement)
    ]
