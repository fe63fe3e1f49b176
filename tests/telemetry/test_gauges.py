"""What the metrics page says of the moment: reservations, the ledger's backlog, limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import running
from gateway.storage.database import open_database
from gateway.telemetry.page import registry_page
from tests.support.booked import Booked, booked_settings, connected
from tests.support.counting_vendor import counting_vendor, orders
from tests.support.operated import renamed
from tests.support.redis import running_redis

LABELS = ("scope", "subject", "metric", "window")
Samples = dict[tuple[str, ...], float]
LIMITS = """
limits:
  gateway: {requests_per_day: 10, spend_per_month: "2.50"}
  providers: {openai: {concurrent: 3, tokens_per_minute: 1000000, strategy: sliding}}
"""


class Watched:
    """A gateway in this process, and its metrics page."""

    def __init__(self, gateway: Booked, read: Callable[[], Awaitable[bytes]]) -> None:
        self.gateway = gateway
        self._read = read

    async def page(self, name: str) -> Samples:
        """Return a gauge's samples by their labels."""
        text = (await self._read()).decode()
        return {
            tuple(sample.labels[label] for label in LABELS if label in sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "llmgateway_" + name
        }

    async def until(self, name: str, value: float, *labels: str) -> None:
        """Wait for a gauge: what follows an answer is done a moment after it."""
        async with asyncio.timeout(10):
            while True:
                if (await self.page(name))[labels] == value:
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watched(folder: Path, vendor_url: str, yaml: str = "", **environment: str) -> AsyncIterator[Watched]:
    environment["DATABASE_URL"] = f"sqlite:///{folder}/gateway.db"
    registry = CollectorRegistry()
    async with (
        running(
            booked_settings(folder, vendor_url, environment, yaml), addresses=["127.0.0.1:0"], registry=registry
        ) as app,
        connected(f"127.0.0.1:{app.grpc_port}") as gateway,
    ):
        yield Watched(gateway, registry_page(registry, app.read_limits))


async def test_a_reservation_is_open_while_its_call_runs(tmp_path: Path) -> None:
    """Also when its caller goes away."""
    async with counting_vendor(pace_s=0.01) as vendor, watched(tmp_path, vendor.url) as gateway:
        assert await gateway.page("reservations_open") == {(): 0}
        calls = [gateway.gateway.call(orders(f"open-{n}", tokens=1000), stream=True) for n in range(3)]
        for call in calls:
            await call.read()
        assert await gateway.page("reservations_open") == {(): 3}
        for call in calls:
            call.cancel()
        await gateway.until("reservations_open", 0)


async def test_the_backlog_grows_while_the_database_is_away(tmp_path: Path) -> None:
    """And is gone when it is back: two records a call."""
    async with counting_vendor() as vendor, watched(tmp_path, vendor.url) as gateway:
        async with open_database(f"sqlite:///{tmp_path}/gateway.db") as database, renamed(database, "calls"):
            for number in range(4):
                await gateway.gateway.ask(orders(f"waits-{number}", tokens=2))
            await gateway.until("ledger_backlog", 8)
            assert await gateway.page("reservations_open") == {(): 0}
        await gateway.until("ledger_backlog", 0)


@pytest.mark.parametrize("shared", [False, True], ids=["in process", "redis"])
async def test_shared_limits_tell_what_is_left(tmp_path: Path, shared: bool) -> None:
    """Those of the gateway and of providers, spend in dollars; none of a key's, of which there may be thousands."""
    with running_redis() as redis:
        environment = {"AI_QUOTA_DAILY_LIMIT": "7", **({"REDIS_URL": redis.url.reveal()} if shared else {})}
        async with counting_vendor() as vendor, watched(tmp_path, vendor.url, LIMITS, **environment) as gateway:
            await gateway.gateway.ask(orders("counted", tokens=2))
            await gateway.until("limit_remaining", 3, "provider", "openai", "concurrent", "")
            left, limits = await gateway.page("limit_remaining"), await gateway.page("limit")

    assert limits == {
        ("gateway", "", "requests", "day"): 10,
        ("gateway", "", "spend_usd", "month"): 2.5,
        ("provider", "openai", "concurrent", ""): 3,
        ("provider", "openai", "tokens", "minute"): 1_000_000,
    }
    assert left.keys() == limits.keys()
    assert left["gateway", "", "requests", "day"] == 9
    assert 2.4 < left["gateway", "", "spend_usd", "month"] < 2.5
    assert left["provider", "openai", "tokens", "minute"] < 1_000_000


async def test_limits_leave_the_page_while_what_counts_them_is_away(tmp_path: Path) -> None:
    """The rest of the page is there: a scrape does not fail with Redis."""
    with running_redis() as redis:
        async with (
            counting_vendor() as vendor,
            watched(tmp_path, vendor.url, LIMITS, REDIS_URL=redis.url.reveal()) as gateway,
        ):
            assert len(await gateway.page("limit_remaining")) == 4
            redis.kill()
            assert await gateway.page("limit_remaining") == {}
            assert await gateway.page("reservations_open") == {(): 0}
