"""The database is paused, Redis is killed: what is answered meanwhile is what is documented, and nothing is lost."""

import asyncio
import collections
import os
import signal
from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.admission.quota import dollars
from gateway.config import LimitSpec
from gateway.state import open_stored
from gateway.storage.database import open_database
from tests.support.booked import booked, booked_settings, connected, cost, exact_orders, prompt_tokens_of
from tests.support.counting_vendor import counting_vendor, orders
from tests.support.databases import postgres_database, postgres_server, postmaster
from tests.support.ledger_records import rows
from tests.support.redis import running_redis
from tests.support.worker import worker


def _family(root: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return [root, *map(int, children)]


@pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="pauses the server, which must be our own")
async def test_calls_go_on_while_postgresql_is_paused(tmp_path: Path) -> None:
    """Known keys are answered and their calls booked once it is back; a key never seen is 503, not 401."""
    with postgres_server() as server:
        async with postgres_database(server) as url, counting_vendor() as vendor:
            settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": url})
            async with booked(settings) as gateway, open_stored(settings.storage) as stored:
                _, secret = await stored.keys.create("known", limits=LimitSpec(requests_per_day=100))
                await gateway.ask(orders("before", tokens=2), secret.reveal())
                paused = _family(postmaster(server))
                for process in paused:
                    os.kill(process, signal.SIGSTOP)
                try:
                    await asyncio.gather(
                        *(gateway.ask(orders(f"during-{n}", tokens=2), secret.reveal()) for n in range(20))
                    )
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await gateway.ask(orders("stranger", tokens=2), "sk-gw-stranger")
                    await asyncio.sleep(5)  # longer than the driver waits for an answer
                    await gateway.ask(orders("late", tokens=2), secret.reveal())
                finally:
                    for process in paused:
                        os.kill(process, signal.SIGCONT)
            async with open_database(url) as database:
                found = list((await rows(database)).values())

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(found) == 22
    assert {(row.state, row.cost_nano) for row in found} == {("settled", cost(20, 2))}


@pytest.mark.parametrize("mode", ["refuse", "count_alone"])
async def test_redis_away(tmp_path: Path, mode: str) -> None:
    """Calls with limits are 503 while Redis is away, or each process counts alone; back and empty, it knows again what
    was spent.
    """
    database = f"sqlite:///{tmp_path}/gateway.db"
    with running_redis() as redis:
        async with counting_vendor() as vendor:
            environment = {
                "DATABASE_URL": database,
                "REDIS_URL": redis.url.reveal(),
                "REDIS_AWAY": mode,
                "AI_QUOTA_DAILY_LIMIT": "4",
            }
            async with booked(booked_settings(tmp_path, vendor.url, environment)) as gateway:
                await gateway.ask(orders("one", tokens=1))
                await gateway.ask(orders("two", tokens=1))
                redis.kill()
                meanwhile = await _outcome(gateway.ask(orders("away", tokens=1)))
                redis.start()
                await asyncio.sleep(1.1)  # counting alone lasts a second
                results = [await _outcome(gateway.ask(orders(f"after-{n}", tokens=1))) for n in range(3)]
    async with open_database(database) as opened:
        found = list((await rows(opened)).values())

    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    if mode == "refuse":
        assert meanwhile is grpc.StatusCode.UNAVAILABLE
        assert results == [grpc.StatusCode.OK, grpc.StatusCode.OK, exhausted]
    else:
        assert meanwhile is grpc.StatusCode.OK
        assert results == [grpc.StatusCode.OK, exhausted, exhausted]
    assert len(found) == 4
    assert {row.state for row in found} == {"settled"}


async def _outcome(call: object) -> grpc.StatusCode:
    try:
        await call  # type: ignore[misc]  # a coroutine
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.timeout(120)
async def test_three_processes_share_one_budget(postgres: str, tmp_path: Path) -> None:
    """200 racing calls over three gateways on one PostgreSQL and one Redis: exactly the 50 that fit get through."""
    asks = [exact_orders(f"call-{number:03}", tokens=5) for number in range(200)]
    budget = 50 * cost(prompt_tokens_of(asks[0]), 5)
    with running_redis() as redis:
        async with postgres_database(postgres) as url, counting_vendor() as vendor:
            environment = {
                "GATEWAY_CONFIG": str(tmp_path / "gateway.yaml"),
                "GATEWAY_MASTER_KEY": "test-master-key",
                "DATABASE_URL": url,
                "REDIS_URL": redis.url.reveal(),
                "OPENAI_API_KEY": "sk-vendor-secret",
                "OPENAI_BASE_URL": vendor.url + "/v1",
                "LOG_LEVEL": "warning",
            }
            settings = booked_settings(tmp_path, vendor.url, environment)
            async with open_stored(settings.storage) as stored:
                limits = LimitSpec(spend_per_month=dollars(budget))
                _, secret = await stored.keys.create("shared", limits=limits)
            async with (
                worker(tmp_path, environment) as (_, one),
                worker(tmp_path, environment) as (_, two),
                worker(tmp_path, environment) as (_, three),
                connected(one) as first,
                connected(two) as second,
                connected(three) as third,
            ):
                gateways = (first, second, third)
                calls = [gateways[n % 3].ask(ask, secret.reveal(), max_tokens=5) for n, ask in enumerate(asks)]
                results = await asyncio.gather(*(_outcome(call) for call in calls))
    spent = sum(cost(order.prompt_tokens, order.sent) for order in vendor.books.values())

    assert collections.Counter(results) == {grpc.StatusCode.OK: 50, grpc.StatusCode.RESOURCE_EXHAUSTED: 150}
    assert spent == budget
