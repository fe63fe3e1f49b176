"""The SQL of the ledger: what is written, marked and summed."""

import functools
from collections.abc import Callable, Iterable
from operator import itemgetter
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
_RESERVED: Final = tuple(field.name for field in structs.fields(Reservation))
_ENDED: Final = tuple(field.name for field in structs.fields(Settlement))
_SETTLED: Final = tuple(name for name in _ENDED if name != "id")
_OPEN_FIELDS: Final[dict[str, Any]] = dict.fromkeys(_ENDED, 0) | {
    "state": "open",
    "usage_source": "",
    "outcome": "",
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
    upsert, settle = _statements(connection.dialect)
    whole = [
        (*structs.astuple(call), *(structs.astuple(end) if (end := ended.get(call.id)) else _no_end(call)))
        for call in begun.values()
    ]
    ends = [structs.astuple(end) for end in ended.values() if end.id not in begun]
    for (sql, parameters), rows in ((upsert, whole), (settle, ends)):
        if rows:
            connection.exec_driver_sql(sql, list(map(parameters, rows)))


def _no_end(call: Reservation) -> tuple[Any, ...]:
    """Return what stands in a row in place of the fields of a settlement while the call runs."""
    known = {"id": call.id, "provider": call.provider, "model": call.model, "payer": call.payer}
    return tuple((_OPEN_FIELDS | known | {"price_source": call.price_source}).values())


Statement = tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]


@functools.cache
def _statements(dialect: Dialect) -> tuple[Statement, Statement]:
    """Return the SQL of the driver and what makes its parameters: SQLAlchemy's own way to them costs 10 µs a row."""
    upsert = _UPSERTS[dialect.name].compile(dialect=dialect)
    settle = _SETTLE.compile(dialect=dialect)
    # Of what a reservation and its end both tell, the end's word counts: it stands behind.
    whole = {name: place for place, name in enumerate((*_RESERVED, *_ENDED))}
    end = {"call_id" if name == "id" else name: place for place, name in enumerate(_ENDED)}
    return (
        (str(upsert), itemgetter(*(whole[name] for name in upsert.positiontup or ()))),
        (str(settle), itemgetter(*(end[name] for name in settle.positiontup or ()))),
    )


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
