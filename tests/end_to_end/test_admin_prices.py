"""Prices that operators store: what a call costs from a time on, before what is configured or shipped."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.app import running
from gateway.catalog.entries import Prices
from gateway.override_arguments import PRICES as PRICES_OF_COMMAND
from gateway.services.price_codec import ALL_KINDS
from llmgateway.v1 import admin_price_pb2 as pb
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceStub
from llmgateway.v1.model_pb2 import ModelPrices
from tests.support.booked import Booked, connected
from tests.support.operated import CHAT, Operated, operated, until
from tests.support.stack import KEY
from tests.support.vendor import Answer, completion

PRICES = "/admin/v1/prices"
MODEL = {"provider": "openai", "model": "priced"}
PLAIN = {"prompt_nano_usd_per_million": "3000000000", "completion_nano_usd_per_million": "7000000000"}
"""A token of a prompt costs 3000 nano-dollars, one of an answer 7000; configured are 1000 and 2000."""
CONFIGURED, STORED = 5 * 1000 + 2 * 2000, 5 * 3000 + 2 * 7000
"""What the vendor's answer of 5 + 2 tokens costs."""


@pytest.fixture(scope="module")
async def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module; tests take `gateway`."""
    async with operated(tmp_path_factory.mktemp("prices")) as running:
        yield running


@pytest.fixture
async def gateway(module_gateway: Operated) -> AsyncIterator[Operated]:
    """A gateway whose vendor answers, and afterwards no price is stored."""
    module_gateway.vendor.script_json(completion())
    yield module_gateway
    for price in await _listed(module_gateway):
        await module_gateway.call("DELETE", f"{PRICES}/{price['id']}", key=module_gateway.admin)


async def _listed(gateway: Operated, **query: str) -> list[dict[str, Any]]:
    page = (await gateway.call("GET", PRICES, key=gateway.admin, query=query)).body
    prices: list[dict[str, Any]] = page.get("prices", [])
    return prices


async def _set(gateway: Operated, **fields: Any) -> dict[str, Any]:
    reply = await gateway.call("POST", PRICES, {**MODEL, "prices": PLAIN, **fields}, key=gateway.admin)
    assert reply.status == 200, reply.body
    price: dict[str, Any] = reply.body["price"]
    return price


async def _booked(gateway: Operated, model: str = "openai/priced") -> tuple[int, str]:
    """Make a call and return what the ledger says that it cost, and by which price."""
    answer = await gateway.call("POST", "/v1/chat/completions", {**CHAT, "model": model})
    query = {"request_id": answer.headers["x-request-id"]}
    (call,) = (await gateway.call("GET", "/admin/v1/usage", key=gateway.admin, query=query)).body["calls"]
    return int(call["cost_nano_usd"]), call["price_source"]


def _time(**ago: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(**ago)).isoformat().replace("+00:00", "Z")


async def test_a_stored_price_goes_before_the_configured_one_until_it_is_forgotten(gateway: Operated) -> None:
    """At once, to the nano-dollar, in the ledger, in estimates and in the list of models."""
    before = await _booked(gateway)
    price = await _set(gateway)
    during = await _booked(gateway)
    estimate = (await gateway.call("POST", "/api/v1/ai/estimate", CHAT)).body["estimates"][0]
    shown = (await gateway.call("GET", "/v1/models/openai/priced")).body["prices"]
    await gateway.call("DELETE", f"{PRICES}/{price['id']}", key=gateway.admin)
    after = await _booked(gateway)

    assert [before, during, after] == [(CONFIGURED, "catalog"), (STORED, "stored"), (CONFIGURED, "catalog")]
    assert estimate["price_source"] == "stored"
    assert shown == {name: int(value) for name, value in PLAIN.items()}


async def test_a_model_that_nobody_could_price_gets_one(gateway: Operated) -> None:
    """Instead of the default price."""
    before = await _booked(gateway, "openai/unheard-of")
    await _set(gateway, model="unheard-of")

    assert before[1] == "default"
    assert await _booked(gateway, "openai/unheard-of") == (STORED, "stored")


async def test_the_latest_price_that_has_started_holds(gateway: Operated) -> None:
    """Whatever order they are stored in; one to come waits."""
    dear = {name: str(10 * int(value)) for name, value in PLAIN.items()}
    await _set(gateway, start_time=_time(days=-1), prices=dear)
    only_to_come = await _booked(gateway)
    await _set(gateway, start_time=_time(days=1))
    await _set(gateway, start_time=_time(days=2), prices=dear)

    assert only_to_come == (CONFIGURED, "catalog")
    assert await _booked(gateway) == (STORED, "stored")


async def test_a_price_from_the_same_time_is_replaced(gateway: Operated) -> None:
    """There is one price at a time."""
    start = _time(days=1)
    first = await _set(gateway, start_time=start, prices={**PLAIN, "prompt_nano_usd_per_million": "0"})
    second = await _set(gateway, start_time=start)

    assert await _listed(gateway) == [second]
    assert first["id"] != second["id"]


async def test_every_kind_of_price_comes_back_as_it_was_stored(gateway: Operated) -> None:
    """Also long prompts; what is unset stays unset, which is not free."""
    prices = {
        **PLAIN,
        "cached_prompt_nano_usd_per_million": "1000000",
        "cache_write_nano_usd_per_million": "2000000",
        "prompt_audio_nano_usd_per_million": "40000000000",
        "completion_audio_nano_usd_per_million": "0",
        "reasoning_nano_usd_per_million": "8000000000",
        "long_prompt": {"above_prompt_tokens": "200000", **PLAIN},
    }
    full = await _set(gateway, prices=prices)
    plain = await _set(gateway, model="plain")

    assert full["prices"] == prices
    assert plain["prices"] == PLAIN


async def test_prices_are_listed_in_pages(gateway: Operated) -> None:
    """By their start, each once; of one provider or model if asked."""
    made = [
        (await _set(gateway, model=f"m{number % 2}", start_time=_time(days=9 - number)))["id"] for number in range(5)
    ]
    found, token, pages = [], "", 0
    while token or not pages:
        query = {"page_size": "2", "page_token": token}
        page = (await gateway.call("GET", PRICES, key=gateway.admin, query=query)).body
        found += [price["id"] for price in page["prices"]]
        token, pages = page.get("next_page_token", ""), pages + 1

    assert (found, pages) == (made, 3)
    assert [price["id"] for price in await _listed(gateway, model="m1")] == made[1::2]
    assert await _listed(gateway, provider="gemini") == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        pytest.param({"provider": ""}, "provider", id="no provider"),
        pytest.param({"model": ""}, "model", id="no model"),
        pytest.param({"prices": {}}, "prices.prompt_nano_usd_per_million", id="no price"),
        pytest.param(
            {"prices": {"prompt_nano_usd_per_million": 0}}, "prices.completion_nano_usd_per_million", id="half a price"
        ),
        pytest.param(
            {"prices": {**PLAIN, "prompt_nano_usd_per_million": -1}},
            "prices.prompt_nano_usd_per_million",
            id="negative",
        ),
        pytest.param(
            {"prices": {**PLAIN, "cache_write_nano_usd_per_million": 10**16}},
            "prices.cache_write_nano_usd_per_million",
            id="beyond counting",
        ),
        pytest.param({"prices": {**PLAIN, "prompt_nano_usd_per_million": 3}}, "prices", id="dollars instead"),
        pytest.param(
            {"prices": {**PLAIN, "long_prompt": {"above_prompt_tokens": 1}}},
            "prices.long_prompt.prompt_nano_usd_per_million",
            id="a long prompt without a price",
        ),
        pytest.param({"prices": {**PLAIN, "long_prompt": PLAIN}}, "prices", id="long above nothing"),
        pytest.param({"start_time": "1969-12-31T00:00:00Z"}, "start_time", id="before all time"),
    ],
)
async def test_a_wrong_price_is_refused_by_field(gateway: Operated, change: dict[str, Any], param: str) -> None:
    """422 that names the field; nothing is stored."""
    reply = await gateway.call("POST", PRICES, {**MODEL, "prices": PLAIN, **change}, key=gateway.admin)

    assert (reply.status, reply.body["error"]["param"]) == (422, param)
    assert await _listed(gateway) == []


async def test_an_unknown_price_cannot_be_forgotten(gateway: Operated) -> None:
    """404 that names the field."""
    reply = await gateway.call("DELETE", f"{PRICES}/price_none", key=gateway.admin)

    assert (reply.status, reply.body["error"]["param"]) == (404, "price_id")


async def test_a_call_keeps_the_price_that_it_was_reserved_at(gateway: Operated) -> None:
    """A price that changes while the provider is asked is for later calls."""
    go = asyncio.Event()
    gateway.vendor.arrived.clear()
    gateway.vendor.script(Answer(json.dumps(completion()).encode(), wait_for=go))
    call = asyncio.create_task(_booked(gateway))
    await asyncio.wait_for(gateway.vendor.arrived.wait(), 10)
    await _set(gateway)
    go.set()

    assert await call == (CONFIGURED, "catalog")


async def _cost(other: Booked) -> str:
    """Return what a call at the other process costs, as its trailers tell."""
    call = other.call([{"role": "user", "content": "hi"}], KEY, model="openai/priced")
    async for _ in call:
        pass
    return str(dict(await call.trailing_metadata())["x-cost-usd"])


async def test_another_process_follows(gateway: Operated) -> None:
    """It charges a price that was stored elsewhere, by stub, and no more once it is forgotten."""
    metadata = (("x-api-key", gateway.admin),)
    async with (
        running(gateway.stack.settings, addresses=("127.0.0.1:0",)) as app,
        connected(f"127.0.0.1:{app.grpc_port}") as other,
        gateway.stack.channel() as channel,
    ):
        stub = AdminServiceStub(channel)
        before = await _cost(other)
        prices = ModelPrices(prompt_nano_usd_per_million=3_000_000_000, completion_nano_usd_per_million=7_000_000_000)
        request = pb.SetPriceRequest(provider="openai", model="priced", prices=prices)
        price = (await stub.SetPrice(request, metadata=metadata)).price

        async def dearer() -> bool:
            return await _cost(other) == "0.000029"

        async def as_before() -> bool:
            return await _cost(other) == before

        await until(dearer)
        await stub.DeletePrice(pb.DeletePriceRequest(price_id=price.id), metadata=metadata)
        await until(as_before)

    assert before == "0.000009"


def test_every_kind_of_price_can_be_stored() -> None:
    """A new kind is not forgotten by the contract, nor by the command line."""
    kinds = {name for name in Prices.__struct_fields__ if name != "long_prompt"}

    assert set(ALL_KINDS.values()) == kinds
    assert {option.removeprefix("--").replace("-", "_") for option in PRICES_OF_COMMAND} == kinds
