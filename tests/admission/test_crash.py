"""A killed gateway loses no call and counts none twice."""

import asyncio
import random
from pathlib import Path

import grpc.aio
import pytest

from gateway.storage.database import open_database
from tests.support.booked import CONFIG, INPUT_NANO, OUTPUT_NANO, Booked, connected, cost
from tests.support.counting_vendor import counting_vendor, orders
from tests.support.ledger_records import rows
from tests.support.stack import UNLIMITED
from tests.support.worker import worker

STREAMS = 100


@pytest.mark.timeout(300)
async def test_killed_under_streams_every_call_is_settled_or_marked_once(database_text: str, tmp_path: Path) -> None:
    """Killed ten times (SQLite; twice on PostgreSQL) under 100 streams each.

    Every call that the vendor saw has exactly one row. A settled one equals the vendor's own count; the others are
    settled at their reservation, and marked. A call whose caller saw its end is settled.
    """
    rounds = 10 if database_text.startswith("sqlite") else 2
    dice = random.Random(4)
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    finished: set[str] = set()
    async with counting_vendor(pace_s=0.005) as vendor:
        environment = {
            **UNLIMITED,
            "GATEWAY_CONFIG": str(tmp_path / "gateway.yaml"),
            "GATEWAY_MASTER_KEY": "test-master-key",
            "DATABASE_URL": database_text,
            "JOURNAL_DIR": str(tmp_path / "journal"),
            "OPENAI_API_KEY": "sk-vendor-secret",
            "OPENAI_BASE_URL": vendor.url + "/v1",
            "LOG_LEVEL": "warning",
        }
        for number in range(rounds):
            sizes = {f"{number}-{each}": dice.randint(1, 30) for each in range(STREAMS)}
            finished |= await _killed_under_streams(tmp_path, environment, sizes, dice.randint(0, 1000))
        async with worker(tmp_path, environment):
            pass  # its start finishes the work of the last one
    async with open_database(database_text) as database:
        found = list((await rows(database)).values())
    by_id = {row.request_id: row for row in found}

    assert len(by_id) == len(found)
    assert set(vendor.books) <= set(by_id)
    assert {row.state for row in found} <= {"settled", "expired", "released"}
    assert finished <= {call_id for call_id, row in by_id.items() if row.state == "settled"}
    for call_id, row in by_id.items():
        if row.state == "expired":
            assert (row.outcome, row.usage_source, row.cost_nano) == ("LOST", "bound", row.reserved_nano)
        elif row.usage_source == "provider":
            order = vendor.books[call_id]
            assert order.finished
            assert (row.prompt_tokens, row.completion_tokens) == (order.prompt_tokens, order.sent)
            assert row.cost_nano == cost(order.prompt_tokens, order.sent)
        else:
            assert row.cost_nano == row.prompt_tokens * INPUT_NANO + row.completion_tokens * OUTPUT_NANO
    assert any(row.state == "expired" for row in found)


async def _killed_under_streams(
    folder: Path, environment: dict[str, str], sizes: dict[str, int], messages: int
) -> set[str]:
    """Kill a gateway after so many messages of its streams, and return the calls whose callers saw the end."""
    finished: set[str] = set()
    seen = 0
    enough = asyncio.Event()

    async def stream(gateway: Booked, call_id: str, tokens: int) -> None:
        nonlocal seen
        async for message in gateway.call(orders(call_id, tokens), stream=True, metadata={"x-request-id": call_id}):
            seen += 1
            if seen >= messages:
                enough.set()
            if message.data.endswith(b"[DONE]\n\n"):
                finished.add(call_id)

    async with worker(folder, environment) as (process, address), connected(address) as gateway:
        streams = asyncio.gather(
            *(stream(gateway, call_id, tokens) for call_id, tokens in sizes.items()), return_exceptions=True
        )
        waiting = asyncio.ensure_future(enough.wait())
        await asyncio.wait((streams, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        process.kill()
        for result in await streams:
            assert result is None or isinstance(result, grpc.aio.AioRpcError), result
    return finished
