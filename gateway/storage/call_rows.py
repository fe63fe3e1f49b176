"""The SQL of the ledger: what is written, marked and summed."""

import functools
from collections.abc import Iterable
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.database import INSERTS
from gateway.storage.records import Expired, Reservation, Settlement, Total
from gateway.storage.tables import Call

_CALLS: Final[Any] = Call.__table__  # typed as FromClause, is a Table
_OPEN: Final[sa.ColumnElement[str]] = sa.literal_column("'open'")
_RESERVED: Final = tuple(field.name for field in structs.fields(Reservation))
_ENDED: Final = tuple(field.name for field in structs.fields(Settlement))
_COLUMNS: Final[tuple[str, ...]] = tuple(column.name for column in _CALLS.c)
_SETTLED: Final = tuple(name for name in _ENDED if name != "id")
_OPEN_FIELDS: Final[dict[str, Any]] = dict.fromkeys(_ENDED, 0) | {
    "state": "open",
    "usage_source": "",
    "outcome": "",
    "first_token_ms": None,
    "total_ms": None,
    "settled_at": None,
}

# Of what a reservation and its end both tell, the end's word counts: it stands behind.
_PLACES: Final = {name: place for place, name in enumerate((*_RESERVED, *_ENDED))}
_ROW: Final = itemgetter(*(_PLACES[name] for name in _COLUMNS))
_TOGETHER: Final = 20
"""Calls in one statement: they cost SQLite a third less than each in its own."""


def _upsert(dialect: str, rows: int) -> Any:
    values: list[dict[str, Any]] = [{name: sa.bindparam(f"{name}.{row}") for name in _COLUMNS} for row in range(rows)]
    statement = INSERTS[dialect](_CALLS).values(values)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: new[name] for name in _SETTLED},
        where=(_CALLS.c.state == _OPEN) & (new.state != _OPEN),
    )


# By the id: a plain `state = 'open'` has PostgreSQL walk through the index of all open calls while it knows no better.
_IS_OPEN: Final[sa.ColumnElement[bool]] = sa.literal_column("calls.state || ''") == _OPEN
_SETTLE: Final = (
    sa.update(_CALLS)
    .where(_CALLS.c.id == sa.bindparam("call_id"), _IS_OPEN)
    .ordered_values(*((name, sa.bindparam(name)) for name in _SETTLED))
)


def store(connection: sa.Connection, records: Iterable[Reservation | Settlement]) -> None:
    """Write the records. Storing them again changes nothing, so a batch of unknown fate can be repeated.

    A settlement without its reservation, before or among the records, is dropped: the call is unknown.
    """
    begun: dict[str, Reservation] = {}
    ended: dict[str, Settlement] = {}
    for record in records:
        if isinstance(record, Reservation):
            begun[record.id] = record
        else:
            ended.setdefault(record.id, record)
    rows = [
        _ROW((*structs.astuple(call), *(structs.astuple(end) if (end := ended.get(call.id)) else _no_end(call))))
        for call in begun.values()
    ]
    alone = len(rows) % _TOGETHER
    together = [tuple(chain(*rows[start : start + _TOGETHER])) for start in range(alone, len(rows), _TOGETHER)]
    ends = [(*structs.astuple(end)[1:], end.id) for end in ended.values() if end.id not in begun]
    if connection.dialect.name == "postgresql":
        # A plan is made while the ledger is small, and kept while it grows.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    for sql, parameters in zip(_statements(connection.dialect), (rows[:alone], together, ends), strict=True):
        if parameters:
            connection.exec_driver_sql(sql, parameters)


def _no_end(call: Reservation) -> tuple[Any, ...]:
    """Return what stands in a row in place of the fields of a settlement while the call runs."""
    known = {"id": call.id, "provider": call.provider, "model": call.model, "payer": call.payer}
    return tuple((_OPEN_FIELDS | known | {"price_source": call.price_source}).values())


@functools.cache
def _statements(dialect: Dialect) -> tuple[str, str, str]:
    """Return the driver's SQL for a call, for several, and for the end of one.

    Made once: SQLAlchemy's own way to a statement and its parameters costs 10 µs a row.
    """
    whole = (_upsert(dialect.name, 1), _upsert(dialect.name, _TOGETHER), _SETTLE)
    one, several, settle = (statement.compile(dialect=dialect) for statement in whole)
    return str(one), str(several), str(settle)


def expire(connection: sa.Connection, now: int, owner: str | None = None) -> list[Expired]:
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
    return [Expired(*row) for row in connection.execute(statement)]


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
