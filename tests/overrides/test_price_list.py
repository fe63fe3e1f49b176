"""Stored prices in memory: the latest that has started holds."""

import asyncio

import pytest

from gateway.catalog.entries import LongPrompt, Prices
from gateway.errors import EntryNotFound
from gateway.overrides.prices import PriceList, PriceStore
from gateway.storage.database import Database
from tests.overrides.conftest import NOW, Clock

CHEAP = Prices(input=1_000_000, output=2_000_000)
DEAR = Prices(
    input=9_000_000,
    output=9_000_000,
    cached_input=0,
    long_prompt=LongPrompt(above=9, input=10_000_000, output=10_000_000),
)


@pytest.mark.parametrize(
    ("at", "price"),
    [
        pytest.param(NOW - 1, None, id="before the first"),
        pytest.param(NOW, CHEAP, id="at its start"),
        pytest.param(NOW + 999, CHEAP, id="until the next"),
        pytest.param(NOW + 1000, DEAR, id="at the next one's start"),
        pytest.param(NOW + 10**9, DEAR, id="from then on"),
    ],
)
async def test_the_latest_price_that_has_started_holds(
    database: Database, clock: Clock, at: int, price: Prices | None
) -> None:
    """By the clock alone, without reading anew; another model has its own."""
    store = PriceStore(database, clock)
    known = PriceList(store, clock)
    await store.put("openai", "m", DEAR, NOW + 1000)
    await store.put("openai", "m", CHEAP)
    await known.load()
    clock.ms = at

    assert known.price("openai", "m") == price
    assert known.price("openai", "other") is None


async def test_prices_of_one_time_stored_at_once_are_one(database: Database, clock: Clock) -> None:
    """However many do so together, the last one stays and none fails."""
    store = PriceStore(database, clock)
    stored = await asyncio.gather(*(store.put("openai", "m", CHEAP, NOW) for _ in range(8)))
    (left,) = await store.list()

    assert left in stored


async def test_a_forgotten_price_leaves_the_earlier_one(database: Database, clock: Clock) -> None:
    """And an id that is unknown, or forgotten already, is an error."""
    store = PriceStore(database, clock)
    known = PriceList(store, clock)
    await store.put("openai", "m", CHEAP, NOW - 1000)
    later = await store.put("openai", "m", DEAR, NOW - 500)
    await store.delete(later.id)
    await known.load()

    assert known.price("openai", "m") == CHEAP
    with pytest.raises(EntryNotFound):
        await store.delete(later.id)
