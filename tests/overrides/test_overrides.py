"""Several processes on one database: each notices what the others store, once."""

import asyncio

import pytest
import sqlalchemy as sa

from gateway.admission.secret_store import SecretStore
from gateway.admission.vault import Vault
from gateway.catalog.entries import Prices
from gateway.config import ConfigError, ProviderSettings, Secret, Settings
from gateway.errors import EntryNotFound, InvalidRequest, Overloaded
from gateway.overrides.overrides import Overrides
from gateway.overrides.preferences import MOST
from gateway.storage.database import Database
from gateway.storage.revisions import read_revisions
from gateway.storage.tables import PriceEntry
from tests.overrides.conftest import Clock
from tests.support.operated import renamed

SETTINGS = Settings(providers={"one": ProviderSettings(kind="openai", base_url="http://127.0.0.1/v1")})
PRICES = Prices(input=0, output=0)


@pytest.fixture
async def ours(database: Database, clock: Clock) -> Overrides:
    """One process."""
    return await _started(database, clock)


@pytest.fixture
async def theirs(database: Database, clock: Clock) -> Overrides:
    """Another process."""
    return await _started(database, clock)


async def _started(database: Database, clock: Clock) -> Overrides:
    overrides = Overrides(database, clock)
    await overrides.refresh()
    await overrides.over(SETTINGS)
    return overrides


async def test_prices_and_preferences_are_read_anew(ours: Overrides, theirs: Overrides) -> None:
    """Neither takes a reload."""
    price = await theirs.price_store.put("one", "m", PRICES)
    await theirs.preference_store.put("key_1", "fast", "one/m")
    before = ours.prices.price("one", "m"), ours.preferences.meant("key_1", "fast")
    behind = await ours.catch_up()
    known = ours.prices.price("one", "m"), ours.preferences.meant("key_1", "fast")
    await theirs.price_store.delete(price.id)
    await theirs.preference_store.delete("key_1", "fast")
    await ours.refresh()

    assert behind == set()
    assert before == (None, "fast")
    assert known == (PRICES, "one/m")
    assert (ours.prices.price("one", "m"), ours.preferences.meant("key_1", "fast")) == before


async def test_providers_and_keys_and_a_request_take_a_reload_each_once(
    database: Database, clock: Clock, ours: Overrides, theirs: Overrides
) -> None:
    """What `over` has put in force is not told again, nor what was told already."""
    providers = theirs.providers(SETTINGS.providers)
    secrets = SecretStore(database, Vault([Secret("master")]), clock)
    await providers.put("one", {}, disabled=True)
    told = [await ours.catch_up(), await ours.catch_up()]
    await providers.delete("one")
    await ours.over(SETTINGS)
    told.append(await ours.catch_up())
    await secrets.put_provider_key("one", Secret("sk"))
    await ours.refresh()  # as a change of prices does here: it must not swallow what takes a reload
    told.append(await ours.catch_up())
    await secrets.delete_provider_key("one")
    await theirs.ask_for_reload()
    told.append(await ours.catch_up())

    assert told == [{"providers"}, set(), set(), {"providers"}, {"configuration", "providers"}]


async def test_a_reload_that_an_outage_stops_is_told_again(database: Database, ours: Overrides) -> None:
    """So the process is in step as soon as the database is back."""
    async with renamed(database, "providers"):
        with pytest.raises(Overloaded):
            await ours.over(SETTINGS)

    assert await ours.catch_up() == {"configuration", "providers"}


async def test_an_outage_keeps_what_is_known(database: Database, clock: Clock, ours: Overrides) -> None:
    """Every question is Overloaded meanwhile, and none is answered with nothing."""
    await ours.price_store.put("one", "m", PRICES)
    await ours.refresh()
    async with renamed(database, "prices"), renamed(database, "revisions"):
        for question in (ours.refresh(), ours.price_store.list(), ours.ask_for_reload(), ours.over(SETTINGS)):
            with pytest.raises(Overloaded):
                await question

    assert ours.prices.price("one", "m") == PRICES


async def test_a_price_of_a_later_version_is_named_and_replaces_none(database: Database, ours: Overrides) -> None:
    """Charging something else in silence would be worse."""
    price = await ours.price_store.put("one", "m", PRICES)
    await ours.refresh()
    later = await ours.price_store.put("one", "m", Prices(input=1_000_000, output=0), price.valid_from + 1)
    change = sa.update(PriceEntry).where(PriceEntry.id == later.id).values(prices='{"by_the_word": 1}')
    async with database.writing() as connection:
        await connection.execute(change)
    with pytest.raises(ConfigError, match=f"stored price '{later.id}' of 'one/m': .*by_the_word"):
        await ours.refresh()

    assert ours.prices.price("one", "m") == PRICES


async def test_changes_that_race_are_all_counted(database: Database, ours: Overrides, theirs: Overrides) -> None:
    """A number for each, so nobody takes two changes for one."""
    before = await read_revisions(database)
    await asyncio.gather(
        *(each.preference_store.put(f"key_{n}", "fast", "one/m") for n in range(10) for each in (ours, theirs))
    )
    after = await read_revisions(database)

    assert after["preferences"] - before["preferences"] == 20
    assert await ours.preference_store.models() == {f"key_{n}": {"fast": "one/m"} for n in range(10)}


async def test_racing_preferences_stay_within_their_number(ours: Overrides) -> None:
    """A key gets the last free place once."""
    for number in range(MOST - 1):
        await ours.preference_store.put("key_1", f"name-{number}", "one/m")
    results = await asyncio.gather(
        *(ours.preference_store.put("key_1", f"more-{n}", "one/m") for n in range(5)), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["InvalidRequest"] * 4 + ["Preference"]
    assert len(await ours.preference_store.list("key_1")) == MOST
    with pytest.raises(InvalidRequest):
        await ours.preference_store.put("key_1", "one/m", "one/m")
    with pytest.raises(EntryNotFound):
        await ours.preference_store.delete("key_2", "name-0")


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        pytest.param([("put", {"models": ["m"]})], True, id="other fields"),
        pytest.param([("put", {"base_url": "http://127.0.0.1/v1"})], True, id="the same address said"),
        pytest.param([("put", {"base_url": "http://127.0.0.1/v2"})], False, id="another address"),
        pytest.param([("put", {"models": ["m"]}), ("delete", {})], True, id="back, never away"),
        pytest.param(
            [("put", {"base_url": "http://127.0.0.1/v2"}), ("key", {}), ("delete", {})], False, id="moved back"
        ),
        pytest.param([("put", {"base_url": "http://127.0.0.1/v2"}), ("key", {})], True, id="a key for the new address"),
    ],
)
async def test_a_stored_key_stays_with_its_address(
    database: Database, clock: Clock, ours: Overrides, changes: list[tuple[str, dict[str, object]]], *, kept: bool
) -> None:
    """It is forgotten in the transaction that moves its provider."""
    providers = ours.providers(SETTINGS.providers)
    secrets = SecretStore(database, Vault([Secret("master")]), clock)
    await secrets.put_provider_key("one", Secret("sk"))
    for change, given in changes:
        if change == "put":
            await providers.put("one", given, disabled=False)
        elif change == "delete":
            await providers.delete("one")
        else:
            await secrets.put_provider_key("one", Secret("sk-new"))

    assert bool(await secrets.provider_keys()) is kept
