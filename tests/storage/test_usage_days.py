"""The sums by day: always what the ledger's rows add up to."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.errors import Overloaded
from gateway.storage import call_rows
from gateway.storage.database import Database, open_database
from gateway.storage.ledger import open_ledger
from gateway.storage.migrate import migrate
from gateway.storage.records import Reservation, Settlement
from gateway.storage.tables import Call, UsageDay
from gateway.storage.usage_queries import CallFilter, UsageQueries, UsageQuestion, UsageTotals
from tests.support.ledger_records import NOW, reservation, settlement
from tests.support.operated import renamed

DAYS = UsageQuestion(start_day=20260101, end_day=20260131)
SUMMED = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "cost_nano")


def _clock() -> int:
    return NOW + 1000


async def _sums(database: Database, table: type[Call | UsageDay], *counts: Any) -> list[Any]:
    """Return the sums of a table by key and day."""
    columns: Any = table.__table__.c
    keys = (columns.key_id, columns.day)
    query = sa.select(*keys, *counts, *(sa.func.sum(columns[name]) for name in SUMMED)).group_by(*keys).order_by(*keys)
    if table is Call:
        query = query.where(columns.state != "open")
    async with database.reading() as connection:
        return [tuple(map(str, row)) for row in await connection.execute(query)]


async def _agree(database: Database) -> list[Any]:
    """Return the sums after seeing that both tables have the same."""
    released = sa.func.sum(sa.case((Call.state == "released", 1), else_=0))
    rows = await _sums(database, Call, sa.func.count() - released, released)
    days = await _sums(database, UsageDay, sa.func.sum(UsageDay.requests), sa.func.sum(UsageDay.failed_requests))
    assert days == rows
    return rows


async def test_each_call_is_added_once(database: Database) -> None:
    """However it is stored: at once, in two steps, again, released, or lost and settled at its reservation."""
    batch: list[Reservation | Settlement] = [
        reservation("at once"),
        settlement("at once", cached_tokens=3, reasoning_tokens=2),
        reservation("in steps"),
        reservation("failed"),
        reservation("lost", key_id="key_2", day=20260102, lease_until=NOW),
        reservation("running", key_id="key_3"),
    ]
    ends = [settlement("in steps"), settlement("failed", state="released", cost_nano=0, prompt_tokens=0)]
    for _ in range(2):
        async with database.writing() as connection:
            await connection.run_sync(call_rows.store, batch)
            await connection.run_sync(call_rows.store, ends)
            await connection.run_sync(call_rows.expire, NOW + 1)

    assert await _agree(database) == [
        ("key_1", "20260101", "2", "1", "180", "3", "21", "2", "600"),
        ("key_2", "20260102", "1", "0", "100", "0", "50", "0", "700"),
    ]


async def test_a_transaction_that_fails_adds_nothing(database: Database) -> None:
    """Rows and sums are one."""
    with contextlib.suppress(ZeroDivisionError):
        async with database.writing() as connection:
            await connection.run_sync(call_rows.store, [reservation("a"), settlement("a")])
            1 / 0  # noqa: B018

    assert await _agree(database) == []


async def test_an_older_database_gets_its_sums(database_text: str) -> None:
    """The migration adds up what is there, and goes on from it."""
    async with open_database(database_text) as database:
        await migrate(database, "0001")
        async with database.writing() as connection:
            for number in range(3):
                await connection.run_sync(call_rows.store, [reservation(f"old {number}"), settlement(f"old {number}")])
            await connection.run_sync(call_rows.store, [reservation("open")])
        await migrate(database)
        async with database.writing() as connection:
            await connection.run_sync(call_rows.store, [settlement("open")])

        assert await _agree(database) == [("key_1", "20260101", "4", "0", "360", "0", "28", "0", "1200")]


async def test_a_settled_call_is_in_the_answer_at_once(database: Database, tmp_path: Path) -> None:
    """A caller that has its answer also has it in its usage."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        queries = UsageQueries(database, ledger)
        for number in range(3):
            ledger.reserve(reservation(str(number)))
            ledger.settle(settlement(str(number)))
            (answer,) = await queries.usage(DAYS, ["day", "key"])

            assert answer.group == {"day": 20260101, "key": "key_1"}
            assert answer.totals == UsageTotals(
                requests=number + 1,
                prompt_tokens=90 * (number + 1),
                completion_tokens=7 * (number + 1),
                cost_nano=300 * (number + 1),
            )


async def test_questions_need_the_database(database: Database, tmp_path: Path) -> None:
    """Overloaded while it cannot be read."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        async with renamed(database, "calls"):
            with pytest.raises(Overloaded):
                await UsageQueries(database, ledger).calls(CallFilter(), after=None, limit=1)

        assert await UsageQueries(database, ledger).calls(CallFilter(), after=None, limit=1) == []


async def test_calls_are_read_in_pages(database: Database, tmp_path: Path) -> None:
    """Newest first, each once, also those that started in one millisecond; filters hold on every page."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        queries = UsageQueries(database, ledger)
        for number in range(10):
            ledger.reserve(reservation(f"{number}", started_at=NOW + number // 4, key_id=f"key_{number % 2}"))
        found = []
        chosen = CallFilter(key_id="key_1", started_from=NOW, started_before=NOW + 2)
        after: tuple[int, str] | None = None
        while page := await queries.calls(chosen, after=after, limit=3):
            found += [row.id for row in page]
            after = (page[-1].started_at, page[-1].id)

    assert found == ["7", "5", "3", "1"]


async def test_usage_is_summed_by_what_is_asked_for(database: Database, tmp_path: Path) -> None:
    """Only the days and the key that are asked about, in the order of the groups."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        for number, (model, day, project) in enumerate(
            [("b", 20260101, None), ("a", 20260102, "team"), ("a", 20260103, None), ("a", 20260201, None)]
        ):
            ledger.reserve(reservation(str(number), model=model, day=day, project_id=project))
            ledger.settle(settlement(str(number), model=model))
        queries = UsageQueries(database, ledger)
        by_model = await queries.usage(DAYS, ["model", "project"])
        none = await queries.usage(UsageQuestion(start_day=20260101, end_day=20260131, key_id="key_2"), ["day"])

    assert [(answer.group["model"], answer.group["project"], answer.totals.requests) for answer in by_model] == [
        ("a", "", 1),
        ("a", "team", 1),
        ("b", "", 1),
    ]
    assert none == []
