"""How fast questions about a large ledger are, and whether its size slows its writer (`python -m bench.usage`).

A ledger gets a million ended calls of one year, half of them of one key, with request ids as random as callers' own.
Times are of whole questions, asked one after another on warm pages; a question waits for the records of its own
process to be stored. The writer stores in it, and in an empty ledger, in turns: time, own CPU, and CPU of PostgreSQL's
processes for it if they are on this machine. The databases are SQLite files, or those that `--database-url` and
`--empty-url` name.
"""

import argparse
import asyncio
import gc
import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from gateway.storage import call_rows
from gateway.storage.database import Database, open_database
from gateway.storage.ledger import open_ledger
from gateway.storage.migrate import migrate
from gateway.storage.records import Reservation, Settlement
from gateway.storage.usage_queries import CallFilter, UsageQueries, UsageQuestion

_BATCH: Final = 50
_BATCHES: Final = 40
_TURNS: Final = 8
_PART: Final = 20_000
_START: Final = 1_767_225_600_000  # 2026-01-01
_YEAR_MS: Final = 365 * 86_400_000
_BIG: Final = "key_0"
_ROW: Final = """
        'owner', 'settled', CASE n % 2 WHEN 0 THEN 'key_0' ELSE 'key_' || n % 199 END, NULL, 'openai', 'gpt-' || n % 5,
        'chat', 'gateway', at, day, :start, 100, 50, 700, 90, 0, 7, 0, 300, 'provider', 'catalog', 'OK', 1, NULL, 12, at
"""
_FILL: Final = {
    "sqlite": f"""
    WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last),
    times AS (SELECT n, :start + n * :year / :count AS at FROM numbers),
    days AS (SELECT n, at, CAST(strftime('%Y%m%d', at / 1000, 'unixepoch') AS INTEGER) AS day FROM times)
    INSERT INTO calls SELECT
        printf('%012x-%07d', at, n), CASE n WHEN 7 THEN 'request-7' ELSE lower(hex(randomblob(16))) END, {_ROW}
    FROM days""",
    "postgresql": f"""
    WITH times AS (
        SELECT n, CAST(:start AS bigint) + n * CAST(:year AS bigint) / :count AS at
        FROM generate_series(CAST(:first AS bigint), :last) AS n
    ),
    days AS (
        SELECT n, at, CAST(to_char(to_timestamp(at / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD') AS integer) AS day FROM times
    )
    INSERT INTO calls SELECT
        lpad(to_hex(at), 12, '0') || '-' || lpad(n::text, 7, '0'),
        CASE n WHEN 7 THEN 'request-7' ELSE gen_random_uuid()::text END, {_ROW}
    FROM days""",
}
_RESERVATION: Final = Reservation(
    "",
    "request",
    "owner",
    _BIG,
    None,
    "openai",
    "gpt-1",
    "chat",
    "gateway",
    _START + _YEAR_MS,
    20270101,
    _START + 2 * _YEAR_MS,
    1,
    1,
    1,
    "catalog",
)
_SETTLEMENT: Final = Settlement(
    "", "settled", "openai", "gpt-1", "gateway", 90, 0, 7, 0, 300, "provider", "catalog", "OK", 1, None, 12, _START
)


_NUMBERS: Final = itertools.count()


class _Cost(NamedTuple):
    """Of storing a call, in microseconds."""

    time: float
    own: float
    server: float


async def _timed(name: str, ask: Callable[[], Awaitable[Any]], rounds: int) -> None:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - start) * 1000)
    print(f"{name:48} median {statistics.median(times):7.1f} ms   most {max(times):7.1f} ms")


async def _questions(database: Database, folder: Path, rounds: int) -> None:
    async with open_ledger(database, folder / "journal", lambda: _START) as ledger:
        queries = UsageQueries(database, ledger)
        year: dict[str, Any] = {"start_day": 20260101, "end_day": 20261231}
        month: dict[str, Any] = {"start_day": 20260601, "end_day": 20260630}
        one, every = CallFilter(key_id=_BIG), CallFilter()
        middle = (_START + _YEAR_MS // 2, "~")
        for name, ask in {
            "a key's month by day": lambda: queries.usage(UsageQuestion(key_id=_BIG, **month), ["day"]),
            "a key's year by day": lambda: queries.usage(UsageQuestion(key_id=_BIG, **year), ["day"]),
            "a key's year by day and model": lambda: queries.usage(
                UsageQuestion(key_id=_BIG, **year), ["day", "model"]
            ),
            "all keys' month by key": lambda: queries.usage(UsageQuestion(**month), ["key"]),
            "all keys' year by day": lambda: queries.usage(UsageQuestion(**year), ["day"]),
            "100 calls of a key, from the middle": lambda: queries.calls(one, after=middle, limit=100),
            "100 calls, newest": lambda: queries.calls(every, after=None, limit=100),
            "one request": lambda: queries.calls(CallFilter(request_id="request-7"), after=None, limit=100),
        }.items():
            await _timed(name, ask, rounds)


def _made_id() -> str:
    """Return a request id such as the gateway makes."""
    return f"{_START + _YEAR_MS + next(_NUMBERS)}-{uuid.uuid4()}"


def _random_id() -> str:
    return str(uuid.uuid4())


async def _compare(name: str, databases: Mapping[str, Database], request_id: Callable[[], str] = _made_id) -> None:
    """Store calls in the databases in turns."""
    found: dict[str, list[_Cost]] = {title: [] for title in databases}
    for turn in range(_TURNS):
        for title, database in list(databases.items())[:: 1 if turn % 2 else -1]:
            found[title].append(await _writes(database, request_id))
    for title, costs in found.items():
        line = f"storing a call, {name}, {title:5}"
        for kind in _Cost._fields:
            values = [getattr(cost, kind) for cost in costs]
            line += f"  {kind} {statistics.median(values):5.1f} ({min(values):.1f}..{max(values):.1f})"
        print(line + " µs")


async def _writes(database: Database, request_id: Callable[[], str]) -> _Cost:
    """Measure the storing of calls: their reservations in one batch of 50, their ends in a later one."""
    server = await _backends(database)
    times, cpu, server_cpu = [], time.process_time(), sum(map(_cpu, server))
    for batch in range(_BATCHES):
        ids = [f"z{time.time_ns():x}{batch:04}-{number}" for number in range(_BATCH)]
        for record in (_RESERVATION, _SETTLEMENT):
            made = [_one(record, call, request_id()) for call in ids]
            began = time.perf_counter()
            await database.write(call_rows.store, made)
            times.append((time.perf_counter() - began) / _BATCH * 2e6)
    calls = _BATCHES * _BATCH / 1e6
    own = time.process_time() - cpu
    return _Cost(statistics.median(times), own / calls, (sum(map(_cpu, server)) - server_cpu) / calls)


async def _backends(database: Database) -> list[int]:
    """Return the processes of PostgreSQL that serve this one."""
    if database.is_sqlite:
        return []
    async with database.reading() as connection:
        query = sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND client_port <> 0")
        return list((await connection.execute(query)).scalars())


def _cpu(process: int) -> float:
    """Return the seconds of CPU of a process; 0 when it is on another machine."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:
        return 0.0


async def _settle(database: Database) -> None:
    """Do what PostgreSQL would do by itself some time after a fill."""
    if not database.is_sqlite:
        async with database.reading() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for command in ("VACUUM (ANALYZE)", "CHECKPOINT"):
                await connection.execute(sa.text(command))


def _one(record: Any, call: str, request_id: str) -> Any:
    if isinstance(record, Settlement):
        return msgspec.structs.replace(record, id=call)
    return msgspec.structs.replace(
        record, id=call, request_id=request_id, started_at=record.started_at + next(_NUMBERS)
    )


async def _measure(database_url: str, empty_url: str, folder: Path, count: int, rounds: int) -> None:
    async with (
        open_database(database_url or f"sqlite:///{folder}/gateway.db") as database,
        open_database(empty_url or f"sqlite:///{folder}/empty.db") as empty,
    ):
        both = {"empty": empty, "full": database}
        for each in both.values():
            await migrate(each)
        fill = sa.text(_FILL["sqlite" if database.is_sqlite else "postgresql"])
        times = {"count": count, "start": _START, "year": _YEAR_MS}
        for first in range(0, count, _PART):
            async with database.writing() as connection:
                await connection.execute(fill, {"first": first, "last": min(count, first + _PART) - 1, **times})
        for each in both.values():
            await _settle(each)
            for _ in range(2):
                await _writes(each, _made_id)  # the first ones after a checkpoint write whole pages
        await _compare("the gateway's ids", both)
        await _compare("callers' own ids  ", both, _random_id)
        gc.collect()
        gc.freeze()  # as a worker does
        await _questions(database, folder, rounds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=100)
    options.add_argument("--database-url", default="", help="an empty database, which is filled")
    options.add_argument("--empty-url", default="", help="another one, of the same kind, which is not")
    chosen = options.parse_args()
    if bool(chosen.database_url) != bool(chosen.empty_url):
        options.error("--database-url and --empty-url go together")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(chosen.database_url, chosen.empty_url, Path(folder), chosen.calls, chosen.rounds))


if __name__ == "__main__":
    main()
