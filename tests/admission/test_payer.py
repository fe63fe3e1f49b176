"""Whose key pays."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.storage.database import open_database
from tests.support.booked import Booked, booked, booked_settings, cost
from tests.support.counting_vendor import CountingVendor, counting_vendor, orders
from tests.support.ledger_records import rows

OWN = {"x-provider-api-key": "sk-canary-own"}


@pytest.fixture
async def vendor() -> AsyncIterator[CountingVendor]:
    """A vendor with books."""
    async with counting_vendor() as running:
        yield running


async def _asked(folder: Path, vendor: CountingVendor, source: str, metadata: dict[str, str]) -> tuple[str, int]:
    """Ask once with one token of spend left, and return who the row says paid, and what."""
    database = f"sqlite:///{folder}/gateway.db"
    yaml = f"providers: {{openai: {{key_source: {source}}}}}\n"
    async with booked(booked_settings(folder, vendor.url, {"DATABASE_URL": database}, yaml)) as gateway:
        await gateway.ask(orders("one", tokens=3), max_tokens=3, metadata=metadata)
    async with open_database(database) as opened:
        (row,) = (await rows(opened)).values()
    return row.payer, row.cost_nano


@pytest.mark.parametrize(
    ("source", "metadata", "key", "payer"),
    [
        pytest.param("gateway", {}, "sk-vendor-secret", "gateway", id="ours"),
        pytest.param("gateway", OWN, "sk-vendor-secret", "gateway", id="ours, another one sent"),
        pytest.param("client", OWN, "sk-canary-own", "client", id="the caller's"),
        pytest.param("hybrid", OWN, "sk-canary-own", "client", id="hybrid, one sent"),
        pytest.param("hybrid", {}, "sk-vendor-secret", "gateway", id="hybrid, none sent"),
    ],
)
async def test_the_key_that_pays_is_the_configured_one(
    *, tmp_path: Path, vendor: CountingVendor, source: str, metadata: dict[str, str], key: str, payer: str
) -> None:
    """The vendor sees that key, the ledger says whose it was, and the caller's own costs the gateway nothing."""
    found = await _asked(tmp_path, vendor, source, metadata)

    assert vendor.books["one"].authorization == f"Bearer {key}"
    assert found == (payer, cost(20, 3) if payer == "gateway" else 0)


async def test_a_provider_that_wants_the_caller_s_key_says_so(tmp_path: Path, vendor: CountingVendor) -> None:
    """401 with its own code, and the vendor is not asked."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _asked(tmp_path, vendor, "client", {})

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "x-provider-api-key" in str(caught.value.details())
    assert not vendor.books


async def test_a_refused_own_key_is_the_caller_s_fault(tmp_path: Path) -> None:
    """401 for the caller, where our own key refused would be 502."""
    from aiohttp import web

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Incorrect API key"}}, status=401)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = "http://{}:{}".format(*runner.addresses[0][:2])
        yaml = "providers: {openai: {key_source: hybrid}}\n"
        settings = booked_settings(tmp_path, url, {"DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db"}, yaml)
        async with booked(settings) as gateway:
            codes = [await _code(gateway, metadata) for metadata in (OWN, {})]
    finally:
        await runner.cleanup()

    assert codes == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE]


async def _code(gateway: Booked, metadata: dict[str, str]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.ask(orders("refused", tokens=1), metadata=metadata)
    code: grpc.StatusCode = caught.value.code()
    return code


async def test_the_caller_s_key_goes_to_no_second_provider(tmp_path: Path, vendor: CountingVendor) -> None:
    """On failover to another provider, ours pays there."""
    yaml = f"""
providers:
  first: {{kind: openai, base_url: "http://127.0.0.1:9/v1", key_source: hybrid}}
  second: {{kind: openai, base_url: "{vendor.url}/v1", api_key: sk-second, key_source: hybrid}}
aliases: {{both: [first/a, second/b]}}
"""
    settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db"}, yaml)
    async with booked(settings) as gateway:
        await gateway.ask(orders("one", tokens=1), metadata=OWN, model="both")

    assert vendor.books["one"].authorization == "Bearer sk-second"
