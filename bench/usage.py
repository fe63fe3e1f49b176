"""How fast questions about a large ledger are, and what its sums cost its writer (`python -m bench.usage`).

A SQLite file gets a million ended calls of one year, half of them of one key. Times are of whole questions, asked one
after another on warm pages.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from gateway.storage import call_rows
from gateway.storage.database import Database, open_database
from gateway.storage.ledger import open_ledger
from gateway.storage.migrate import migrate
from gateway.storage.records import Reservation, Settlement
from gateway.storage.usage_queries import CallFilter, UsageQueries, UsageQuestion

_START: Final = 1_767_225_600_000  # 2026-01-01
_YEAR_MS: Final = 365 * 86_400_000
_BIG: Final = "key_0"
_FILL: Final = """
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
    INSERT INTO calls SELECT
        printf('%012x-%07d', :start + n * :year / :count, n), printf('request-%d', n), 'owner', 'settled',
        CASE n % 2 WHEN 0 THEN 'key_0' ELSE printf('key_%d', n % 199) END, NULL, 'openai', printf('gpt-%d', n % 5),
        'chat', 'gateway', :start + n * :year / :count,
        CAST(strftime('%Y%m%d', (:start + n * :year / :count) / 1000, 'unixepoch') AS INTEGER),
        :start, 100, 50, 700, 90, 0, 7, 0, 300, 'provider', 'catalog', 'OK', 1, NULL, 12, :start
    FROM numbers"""
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
    _START,
    20260101,
    _START,
    1,
    1,
    1,
    "catalog",
)
_SETTLEMENT: Final = Settlement(
    "", "settled", "openai", "gpt-1", "gateway", 90, 0, 7, 0, 300, "provider", "catalog", "OK", 1, None, 12, _START
)


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


async def _writes(database: Database, batches: int) -> float:
    """Return the CPU microseconds of storing one call: its reservation in one batch, its end in a later one."""
    cpu = 0.0
    for batch in range(batches):
        ids = [f"z{time.time_ns():x}{batch}-{number}" for number in range(200)]
        for records in (_RESERVATION, _SETTLEMENT):
            made = [_with_id(records, call) for call in ids]
            start = time.process_time()
            async with database.writing() as connection:
                await call_rows.store(connection, made)
            cpu += time.process_time() - start
    return cpu / batches / 200 * 1e6


def _with_id(record: Any, call: str) -> Any:
    return type(record)(call, *(getattr(record, name) for name in record.__struct_fields__[1:]))


async def _measure(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for revision in ("0001", "head"):
            async with open_database(f"sqlite:///{folder}/{revision}.db") as database:
                await migrate(database, revision)
                async with database.writing() as connection:
                    await connection.execute(sa.text(_FILL), {"count": count, "start": _START, "year": _YEAR_MS})
                await _writes(database, 5)
                print(f"schema {revision}: storing a call {await _writes(database, 40):.1f} µs of CPU")
                if revision == "head":
                    await _questions(database, folder, rounds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args()
    asyncio.run(_measure(chosen.calls, chosen.rounds))


if __name__ == "__main__":
    main()
