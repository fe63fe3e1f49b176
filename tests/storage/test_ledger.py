"""The ledger: a row a call, whatever happens."""

import asyncio
import os
from pathlib import Path

from gateway.storage import call_rows
from gateway.storage.database import Database
from gateway.storage.ledger import Ledger, open_ledger
from gateway.storage.records import Reservation, Settlement
from tests.support.ledger_records import NOW, reservation, rows, settlement


def _clock() -> int:
    return NOW + 1000


def _killed(database: Database, folder: Path, *records: Reservation | Settlement) -> str:
    """Leave behind what a process that was killed leaves, and return its name."""
    ledger = Ledger(database, folder, _clock)
    for record in records:
        if isinstance(record, Reservation):
            ledger.reserve(record)
        else:
            ledger.settle(record)
    ledger._journal._map.close()
    os.close(ledger._journal._lock)
    return ledger.owner


async def test_a_call_is_one_row(database: Database, tmp_path: Path) -> None:
    """Open while it runs, then settled with what it used."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        ledger.reserve(reservation("a"))
        await ledger.flush()
        before = (await rows(database))["a"]
        ledger.settle(settlement("a"))
        await ledger.flush()
        after = (await rows(database))["a"]

    assert (before.state, before.cost_nano, before.reserved_nano) == ("open", 0, 700)
    assert (after.state, after.prompt_tokens, after.completion_tokens, after.cost_nano) == ("settled", 90, 7, 300)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_records_of_many_calls_share_transactions(database: Database, tmp_path: Path) -> None:
    """A thousand calls are stored exactly once each, merged and not."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        for number in range(1000):
            ledger.reserve(reservation(str(number)))
            if number % 2:
                ledger.settle(settlement(str(number)))
        await ledger.flush()
        for number in range(0, 1000, 2):
            ledger.settle(settlement(str(number), state="released", cost_nano=0))
    found = await rows(database)

    assert len(found) == 1000
    assert sum(row.cost_nano for row in found.values()) == 500 * 300
    assert {row.state for row in found.values()} == {"settled", "released"}


async def test_storing_again_changes_nothing(database: Database) -> None:
    """A batch whose commit was lost on the way back can be repeated, also after more has happened."""
    batch: list[Reservation | Settlement] = [reservation("a"), settlement("a"), reservation("b")]
    for _ in range(2):
        async with database.writing() as connection:
            await connection.run_sync(call_rows.store, batch)
    async with database.writing() as connection:
        await connection.run_sync(call_rows.store, [settlement("b", cost_nano=5)])
        await connection.run_sync(call_rows.store, [*batch, settlement("b", cost_nano=9), settlement("a", cost_nano=9)])
    found = await rows(database)

    assert {call: (row.state, row.cost_nano) for call, row in found.items()} == {
        "a": ("settled", 300),
        "b": ("settled", 5),
    }


async def test_a_dead_process_s_calls_are_finished(database: Database, tmp_path: Path) -> None:
    """What it settled stays as it settled it; what it left open is settled at its reservation and marked."""
    folder = tmp_path / "journal"
    owner = _killed(database, folder, reservation("a", owner=""), settlement("a"))
    records = [reservation("b", owner=(owner := _killed(database, folder)))]
    async with database.writing() as connection:
        await connection.run_sync(call_rows.store, records)
    async with open_ledger(database, folder, _clock):
        found = await rows(database)

    assert (found["a"].state, found["a"].cost_nano) == ("settled", 300)
    assert (found["b"].state, found["b"].cost_nano, found["b"].outcome) == ("expired", 700, "LOST")
    assert (found["b"].prompt_tokens, found["b"].completion_tokens, found["b"].usage_source) == (100, 50, "bound")
    assert owner


async def test_a_line_cut_short_spoils_no_other(database: Database, tmp_path: Path) -> None:
    """What cannot be read is passed over."""
    folder = tmp_path / "journal"
    _killed(database, folder, reservation("a"), settlement("a"))
    (segment,) = folder.glob("*.journal")
    segment.write_bytes(b'["r","cut\n' + segment.read_bytes() + b'["s","a",')
    async with open_ledger(database, folder, _clock):
        found = await rows(database)

    assert found["a"].state == "settled"


async def test_a_lease_that_is_over_is_settled_once(database: Database, tmp_path: Path) -> None:
    """Of several processes that look at once, exactly one settles each lost call."""
    lost = [reservation(str(number), owner="gone", lease_until=NOW) for number in range(100)]
    async with database.writing() as connection:
        await connection.run_sync(call_rows.store, [*lost, reservation("alive", owner="other")])
    ledgers = [Ledger(database, tmp_path / "journal", _clock) for _ in range(4)]
    counts = await asyncio.gather(*(ledger.recover() for ledger in ledgers))
    for ledger in ledgers:
        await ledger.close()
    found = await rows(database)

    assert sum(counts) == 100
    assert [call for call, row in found.items() if row.state == "open"] == ["alive"]


async def test_a_lost_call_of_a_client_s_own_key_costs_nothing(database: Database) -> None:
    """The gateway does not pay for it, so it is charged nothing."""
    async with database.writing() as connection:
        await connection.run_sync(call_rows.store, [reservation("a", payer="client", lease_until=NOW)])
        (expired,) = await connection.run_sync(call_rows.expire, NOW + 1)

    assert expired.cost_nano == 0


async def test_a_record_that_no_database_takes_holds_up_no_other(database: Database, tmp_path: Path) -> None:
    """It is logged and passed over."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        ledger.reserve(reservation("bad", day=None))
        ledger.reserve(reservation("good"))
        await ledger.flush()
        found = await rows(database)

    assert list(found) == ["good"]


async def test_totals_count_open_calls_at_their_reservation(database: Database, tmp_path: Path) -> None:
    """Released calls count nothing, calls of a client's own key spend nothing, earlier ones are left out."""
    async with open_ledger(database, tmp_path / "journal", _clock) as ledger:
        ledger.reserve(reservation("open"))
        for call_id, state in (("done", "settled"), ("failed", "released")):
            ledger.reserve(reservation(call_id))
            ledger.settle(settlement(call_id, state=state))
        ledger.reserve(reservation("own", key_id="key_2", payer="client"))
        ledger.reserve(reservation("early", started_at=NOW - 1))
        await ledger.flush()
        totals = {total.key_id: total for total in await ledger.totals(NOW)}

    assert (totals["key_1"].requests, totals["key_1"].tokens, totals["key_1"].spend_nano) == (2, 150 + 97, 1000)
    assert (totals["key_2"].requests, totals["key_2"].spend_nano) == (1, 0)
