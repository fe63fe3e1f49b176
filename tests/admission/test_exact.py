"""Money and limits are exact, however calls race and wherever they break off."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.admission.quota import dollars
from gateway.config import LimitSpec
from gateway.state import open_stored
from gateway.storage.database import open_database
from tests.support.booked import (
    INPUT_NANO,
    OUTPUT_NANO,
    booked,
    booked_settings,
    cost,
    exact_orders,
    prompt_tokens_of,
)
from tests.support.counting_vendor import WORD, counting_vendor, orders
from tests.support.ledger_records import rows


async def _ledger(database_text: str) -> dict[str, Any]:
    """Return the rows by the id that the vendor's books have."""
    async with open_database(database_text) as database:
        return {row.request_id: row for row in (await rows(database)).values()}


async def test_racing_calls_never_pass_a_budget(database_text: str, tmp_path: Path) -> None:
    """Of 200 calls at once against a budget for 50, exactly 50 get through and spend it to the last nano-dollar."""
    asks = [exact_orders(f"call-{number:03}", tokens=5) for number in range(200)]
    budget = 50 * cost(prompt_tokens_of(asks[0]), 5)
    async with counting_vendor() as vendor:
        environment = {"DATABASE_URL": database_text, "AI_QUOTA_MONTHLY_SPEND_LIMIT": dollars(budget)}
        async with booked(booked_settings(tmp_path, vendor.url, environment)) as gateway:
            calls = [
                gateway.ask(ask, max_tokens=5, metadata={"x-request-id": f"call-{number:03}"})
                for number, ask in enumerate(asks)
            ]
            results = await asyncio.gather(*calls, return_exceptions=True)
    found = await _ledger(database_text)
    answered = [result for result in results if isinstance(result, dict)]
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]

    assert (len(answered), len(refused)) == (50, 150)
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert sum(row.cost_nano for row in found.values()) == budget
    assert {row.state for row in found.values()} == {"settled"}
    assert len(vendor.books) == 50


@pytest.mark.parametrize("seed", range(2))
async def test_calls_of_any_size_never_pass_a_budget(database_text: str, tmp_path: Path, seed: int) -> None:
    """At no moment do settled and open calls together pass the limit, and what is left fits no refused call."""
    dice = random.Random(seed)
    sizes = [dice.randint(1, 60) for _ in range(150)]
    budget = sum(cost(20, size) for size in sizes) // 3
    async with counting_vendor() as vendor:
        environment = {"DATABASE_URL": database_text, "AI_QUOTA_MONTHLY_SPEND_LIMIT": dollars(budget)}
        async with booked(booked_settings(tmp_path, vendor.url, environment)) as gateway:
            await asyncio.gather(
                *(
                    gateway.ask(orders(f"{number}", size, prompt_tokens=20), max_tokens=size)
                    for number, size in enumerate(sizes)
                ),
                return_exceptions=True,
            )
    found = await _ledger(database_text)
    spent = sum(row.cost_nano for row in found.values())

    assert spent == sum(cost(order.prompt_tokens, order.sent) for order in vendor.books.values())
    assert 0 < spent <= budget


async def test_little_budget_shrinks_the_answer(database_text: str, tmp_path: Path) -> None:
    """What is left is spent on a shorter answer, under the field name that the caller used; then calls are refused."""
    ask = orders("long", tokens=1000)
    budget = cost(prompt_tokens_of(ask), 40)
    async with counting_vendor() as vendor:
        environment = {"DATABASE_URL": database_text, "AI_QUOTA_MONTHLY_SPEND_LIMIT": dollars(budget)}
        async with booked(booked_settings(tmp_path, vendor.url, environment)) as gateway:
            await gateway.ask(ask, max_tokens=1000)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.ask(orders("late", tokens=1000), max_tokens=1000)

    assert vendor.books["long"].body["max_tokens"] == 40
    assert vendor.books["long"].sent == 40
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert list(vendor.books) == ["long"]


async def test_streams_cancelled_anywhere_are_settled_with_what_came(database_text: str, tmp_path: Path) -> None:
    """After 500 streams cancelled at random points no reservation is open, and each row is within one chunk of the
    vendor's own count.
    """
    dice = random.Random(7)
    cuts = [(dice.randint(0, 12), dice.random() < 0.5) for _ in range(500)]
    async with counting_vendor(lockstep=True) as vendor:
        settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database_text})
        async with booked(settings) as gateway:

            async def cancelled(number: int, cut: int, *, one_more: bool) -> None:
                messages = orders(str(number), tokens=13)
                call = gateway.call(messages, stream=True, metadata={"x-request-id": str(number)})
                seen = 0
                for wanted in range(1, cut + 1):
                    vendor.credits[str(number)].release()
                    while seen < wanted:
                        seen += (await call.read()).data.count(WORD.encode())
                if one_more:
                    vendor.credits[str(number)].release()
                call.cancel()

            for start in range(0, 500, 50):
                batch = enumerate(cuts[start : start + 50], start)
                await asyncio.gather(*(cancelled(number, cut, one_more=more) for number, (cut, more) in batch))
    found = await _ledger(database_text)

    assert {row.state for row in found.values()} <= {"settled", "released"}
    assert set(vendor.books) <= set(found)
    for call_id, order in vendor.books.items():
        row = found[call_id]
        assert abs(row.completion_tokens - order.sent) <= 1, (call_id, row.completion_tokens, order)
        assert row.cost_nano == row.prompt_tokens * INPUT_NANO + row.completion_tokens * OUTPUT_NANO


async def test_a_restart_remembers_what_was_spent(database_text: str, tmp_path: Path) -> None:
    """Counters in process start from the ledger."""
    ask = orders("first", tokens=5)
    budget = cost(prompt_tokens_of(ask), 5) + 10
    async with counting_vendor() as vendor:
        environment = {"DATABASE_URL": database_text, "AI_QUOTA_MONTHLY_SPEND_LIMIT": dollars(budget)}
        settings = booked_settings(tmp_path, vendor.url, environment)
        async with booked(settings) as gateway:
            await gateway.ask(ask, max_tokens=5)
        async with booked(settings) as gateway:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.ask(orders("second", tokens=5), max_tokens=5)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_failed_call_gives_its_reservation_back(tmp_path: Path) -> None:
    """A provider that fails before any token costs nothing, and the budget is whole again."""
    database_text = f"sqlite:///{tmp_path}/gateway.db"
    ask = orders("twice", tokens=5)
    budget = cost(prompt_tokens_of(ask), 5)
    async with counting_vendor() as vendor:
        environment = {"DATABASE_URL": database_text, "AI_QUOTA_MONTHLY_SPEND_LIMIT": dollars(budget)}
        async with booked(booked_settings(tmp_path, vendor.url, environment)) as gateway:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.ask([{"role": "user", "content": "not an order"}], max_tokens=5)
            await gateway.ask(ask, max_tokens=5)
    states = sorted(row.state for row in (await _ledger(database_text)).values())

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert states == ["released", "settled"]


async def test_a_stored_key_has_its_own_budget(database_text: str, tmp_path: Path) -> None:
    """A key made while the gateway runs is known at once, has its limits, and ends when it is disabled."""
    ask = orders("mine", tokens=5)
    budget = cost(prompt_tokens_of(ask), 5)
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(counting_vendor())
        settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database_text})
        gateway = await stack.enter_async_context(booked(settings))
        stored = await stack.enter_async_context(open_stored(settings.storage))
        key, secret = await stored.keys.create("mine", limits=LimitSpec(spend_per_month=dollars(budget)))
        await gateway.ask(ask, secret.reveal(), max_tokens=5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gateway.ask(orders("more", tokens=5), secret.reveal(), max_tokens=5)
        await gateway.ask(orders("another", tokens=5), max_tokens=5)
    found = await _ledger(database_text)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert sorted(row.key_id == key.id for row in found.values()) == [False, True]
