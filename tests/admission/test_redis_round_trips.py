"""What a call asks of Redis: one round trip before the provider, one after the answer, which nobody waits for."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.admission.limits.redis import connect
from gateway.config import LimitSpec
from gateway.state import open_stored
from tests.support.booked import booked, booked_settings
from tests.support.redis import RedisServer, running_redis
from tests.support.vendor import Answer, Vendor, completion, running_vendor

ASK: Final = [{"role": "user", "content": "hello"}]
EVERY_LIMIT: Final = LimitSpec(
    requests_per_minute=1000,
    tokens_per_minute=1_000_000,
    concurrent=100,
    requests_per_day=10_000,
    requests_per_month=100_000,
    spend_per_month="10.00",
    strategy="sliding",
)
SHARED: Final = """
limits:
  gateway: {requests_per_minute: 10000, concurrent: 1000}
  providers: {openai: {tokens_per_minute: 1000000}}
"""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with running_redis() as server:
        yield server


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor that answers."""
    async with running_vendor() as running:
        running.script_json(completion())
        yield running


async def _evaluations(redis: RedisServer) -> dict[str, int]:
    """Return how often each command was run that works on the limits, those within the script not counted."""
    async with connect(redis.url, timeout_s=5) as client:
        stats = await client.info("commandstats")
    sent = {"eval", "evalsha", "script", "script|load", "multi", "exec", "watch", "ping"}
    return {name: row["calls"] for full, row in stats.items() if (name := full.removeprefix("cmdstat_")) in sent}


async def test_admission_is_one_round_trip(tmp_path: Path, redis: RedisServer, vendor: Vendor) -> None:
    """However many limits of key, provider and gateway there are: 20 calls are 20 decisions and 20 settlements."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    environment = {"DATABASE_URL": database, "REDIS_URL": redis.url.reveal()}
    settings = booked_settings(tmp_path, vendor.url, environment, SHARED)
    async with booked(settings) as gateway, open_stored(settings.storage) as stored:
        _, secret = await stored.keys.create("limited", limits=EVERY_LIMIT)
        await gateway.ask(ASK, secret.reveal())  # loads the script
        before = await _settled(redis, {})
        await asyncio.gather(*(gateway.ask(ASK, secret.reveal()) for _ in range(20)))
        expected = {**before, "evalsha": before["evalsha"] + 40}
        after = await _settled(redis, expected)

    assert after == expected


async def _settled(redis: RedisServer, expected: dict[str, int]) -> dict[str, int]:
    """Return the counts once they are as expected, or have not changed for a while."""
    counts, same = await _evaluations(redis), 0
    while counts != expected and same < 5:
        await asyncio.sleep(0.02)
        last, counts = counts, await _evaluations(redis)
        same = same + 1 if counts == last else 0
    return counts


async def test_nobody_waits_for_the_settlement(tmp_path: Path, redis: RedisServer, vendor: Vendor) -> None:
    """Redis stands still once the call is admitted: its answer comes all the same, and is settled later."""
    go = asyncio.Event()
    vendor.script(Answer(b'{"choices": [{"index": 0}], "usage": {"prompt_tokens": 7}}', wait_for=go))
    environment = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "REDIS_URL": redis.url.reveal(),
        "AI_QUOTA_MONTHLY_SPEND_LIMIT": "10.00",
    }
    async with booked(booked_settings(tmp_path, vendor.url, environment)) as gateway:
        call = asyncio.ensure_future(gateway.ask(ASK))
        await vendor.arrived.wait()
        reserved = await _spent(redis)
        redis.signal(signal.SIGSTOP)
        try:
            go.set()
            async with asyncio.timeout(0.9):  # less than Redis is waited for
                await call
        finally:
            redis.signal(signal.SIGCONT)
        settled = await _spent_other_than(redis, reserved)

    assert reserved > settled == 7 * 1000


async def _spent(redis: RedisServer) -> int:
    async with connect(redis.url, timeout_s=5) as client:
        (key,) = [key async for key in client.scan_iter("*spend_nano*")]
        return int(await client.get(key) or 0)


async def _spent_other_than(redis: RedisServer, before: int) -> int:
    async with asyncio.timeout(5):
        while True:
            spent = await _spent(redis)
            if spent != before:
                return spent
            await asyncio.sleep(0.02)
