"""A killed gateway loses no call and counts none twice."""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.storage.database import open_database
from gateway.wire.sse import DONE
from tests.support.booked import CONFIG, INPUT_NANO, OUTPUT_NANO, Booked, connected, cost
from tests.support.counting_vendor import WORD, CountingVendor, counting_vendor, orders
from tests.support.databases import postgres_database
from tests.support.ledger_records import rows
from tests.support.stack import UNLIMITED
from tests.support.worker import worker

KILLS, STREAMS = 10, 100


@pytest.mark.timeout(300)
async def test_killed_under_streams_every_call_is_settled_or_marked_once(database_text: str, tmp_path: Path) -> None:
    """Killed ten times under 100 streams each.

    Every call that the vendor saw has exactly one row. A settled one equals the vendor's own count; the others are
    settled at their reservation, and marked and listed in the log, once. A call whose caller saw its end is settled.
    """
    dice = random.Random(4)
    finished: set[str] = set()
    async with counting_vendor(pace_s=0.005) as vendor:
        environment = _environment(tmp_path, database_text, vendor)
        for number in range(KILLS):
            sizes = {f"{number}-{each}": dice.randint(1, 30) for each in range(STREAMS)}
            finished |= await _killed_under_streams(tmp_path, environment, sizes, dice.randint(0, 1000))
        async with worker(tmp_path, environment):
            pass  # its start finishes the work of the last one
    found = await _rows(database_text)
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
    lost = sorted(row.request_id for row in found if row.state == "expired")
    assert lost
    assert sorted(_listed(tmp_path)) == lost


@pytest.mark.timeout(120)
async def test_calls_of_a_killed_process_are_settled_by_one_other(postgres: str, tmp_path: Path) -> None:
    """Of three gateways one is killed. What it had settled stays so; the others settle what it lost, once, and
    leave each other's open calls alone.
    """
    names = ("killed", "second", "third")
    calls = {name: [f"{name}-{number}" for number in range(20)] for name in names}
    done, lost = calls["killed"][:10], calls["killed"][10:]
    async with postgres_database(postgres) as url, counting_vendor(lockstep=True) as vendor, AsyncExitStack() as stack:
        environment = {**_environment(tmp_path, url, vendor), "STREAM_IDLE_TIMEOUT_S": "60"}
        streams: dict[str, Any] = {}
        processes = []
        for name in names:
            (tmp_path / name).mkdir()
            process, address = await stack.enter_async_context(worker(tmp_path / name, environment))
            processes.append(process)
            gateway = await stack.enter_async_context(connected(address))
            for call_id in calls[name]:
                vendor.credits[call_id].release()
                stream = gateway.call(orders(call_id, 2), stream=True, metadata={"x-request-id": call_id})
                streams[call_id] = stream
                await _read_until(stream, WORD.encode())
        for call_id in done:
            vendor.credits[call_id].release()
            await _read_until(streams[call_id], DONE)
        processes[0].kill()
        after = await _ended(url, 20)
        for call_id in calls["second"] + calls["third"]:
            vendor.credits[call_id].release()
            await _read_until(streams[call_id], DONE)
        found = await _ended(url, 60)
        listed = [call_id for name in names for call_id in _listed(tmp_path / name)]

    assert {row.request_id: row.state for row in after} == {
        **dict.fromkeys(done, "settled"),
        **dict.fromkeys(lost, "expired"),
    }
    assert sorted(listed) == lost
    assert {row.request_id: row.cost_nano for row in found if row.request_id not in lost} == {
        call_id: cost(order.prompt_tokens, order.sent) for call_id, order in vendor.books.items() if call_id not in lost
    }


async def _read_until(stream: Any, mark: bytes) -> None:
    async with asyncio.timeout(20):
        while mark not in (await stream.read()).data:
            pass


def _environment(folder: Path, database_text: str, vendor: CountingVendor) -> dict[str, str]:
    (folder / "gateway.yaml").write_text(CONFIG)
    return {
        **UNLIMITED,
        "GATEWAY_CONFIG": str(folder / "gateway.yaml"),
        "GATEWAY_MASTER_KEY": "test-master-key",
        "DATABASE_URL": database_text,
        "JOURNAL_DIR": str(folder / "journal"),
        "OPENAI_API_KEY": "sk-vendor-secret",
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "LOG_LEVEL": "warning",
    }


async def _rows(database_text: str) -> list[Any]:
    async with open_database(database_text) as database:
        return list((await rows(database)).values())


async def _ended(database_text: str, count: int) -> list[Any]:
    """Wait until so many calls have ended, and return them."""
    async with asyncio.timeout(40):
        while True:
            ended = [row for row in await _rows(database_text) if row.state != "open"]
            if len(ended) >= count:
                return ended
            await asyncio.sleep(0.1)


def _listed(folder: Path) -> list[str]:
    """Return the calls that gateways of `folder` logged as lost."""
    lines = [json.loads(line) for line in (folder / "worker.log").read_text().splitlines() if line.startswith("{")]
    return [line["request_id"] for line in lines if line["event"] == "call lost"]


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
            if message.data.endswith(DONE):
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
