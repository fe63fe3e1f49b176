"""Stored keys: made, used, scoped, rotated, ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.admission.key_ring import FRESH_MS, STALE_MS, KeyRing
from gateway.admission.key_store import KeyStore, UnknownKeyError
from gateway.admission.keys import StaticKeys
from gateway.admission.secret_store import SecretStore
from gateway.admission.vault import Vault, VaultError
from gateway.config import LimitSpec, Secret
from gateway.errors import Overloaded, Unauthenticated
from gateway.storage.database import Database, open_database
from gateway.storage.migrate import migrate
from gateway.storage.tables import Table

NOW = 1_767_225_600_000
PEPPER = b"pepper"
DEFAULTS = LimitSpec(requests_per_day=1000, spend_per_month="10.00")


class Clock:
    """Unix milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def database(database_text: str) -> AsyncIterator[Database]:
    """A migrated database of each kind."""
    async with open_database(database_text) as opened:
        await migrate(opened)
        yield opened


@pytest.fixture
def store(database: Database, clock: Clock) -> KeyStore:
    """The stored keys."""
    return KeyStore(database, PEPPER, clock)


@pytest.fixture
def ring(store: KeyStore, clock: Clock) -> KeyRing:
    """The stored keys behind one static key."""
    return KeyRing(StaticKeys([Secret("sk-static")], required=True, limits=DEFAULTS), store, PEPPER, DEFAULTS, clock)


async def test_a_key_is_known_by_its_secret(store: KeyStore, ring: KeyRing) -> None:
    """Its caller has its scopes, its own limits and the defaults for the others, and its project's limits."""
    await store.set_project_limits("team", LimitSpec(concurrent=4))
    key, secret = await store.create(
        "alice",
        project_id="team",
        providers=["openai"],
        models=["openai/gpt-4o*"],
        limits=LimitSpec(spend_per_month="0.000000001", requests_per_day=0),
    )
    caller = await ring.identify(secret.reveal())

    assert (caller.key_id, caller.project_id, caller.admin) == (key.id, "team", False)
    assert {(rule.scope, rule.metric, rule.amount) for rule in caller.rules} == {
        ("key", "spend_nano", 1),
        ("project", "concurrent", 4),
    }
    assert caller.may_use("openai", "gpt-4o-mini")
    assert not caller.may_use("openai", "gpt-5")
    assert not caller.may_use("custom", "gpt-4o")


async def test_the_secret_is_nowhere_in_the_database(database: Database, store: KeyStore) -> None:
    """Only its keyed hash and its last four characters are stored."""
    _, secret = await store.create("alice")
    async with database.reading() as connection:
        dump = [
            str(value)
            for table in Table.metadata.sorted_tables
            for row in await connection.execute(sa.select(table))
            for value in row
        ]

    assert secret.reveal()[-4:] in dump
    assert all(secret.reveal()[6:20] not in value for value in dump)


@pytest.mark.parametrize("key", [None, "", "sk-gw-unknown", "sk-gw-\u00e9\ud83d"])
async def test_no_or_an_unknown_key_is_refused(ring: KeyRing, key: str | None) -> None:
    """401, with the code `invalid_api_key` when one was sent."""
    with pytest.raises(Unauthenticated) as caught:
        await ring.identify(key.encode("utf-8", "replace").decode() if key is not None else None)

    assert caught.value.code == (None if key is None else "invalid_api_key")


async def test_a_disabled_key_ends_within_seconds(store: KeyStore, ring: KeyRing, clock: Clock) -> None:
    """Also one that was just used, and one that was not used for long."""
    key, secret = await store.create("alice")
    await ring.identify(secret.reveal())
    await store.disable(key.id)
    clock.now += FRESH_MS
    with pytest.raises(Unauthenticated):
        await ring.identify(secret.reveal())


async def test_an_expired_key_is_refused_at_once(store: KeyStore, ring: KeyRing, clock: Clock) -> None:
    """Its end is known, so no look-up is needed to see it."""
    _, secret = await store.create("alice", lifetime_s=2)
    await ring.identify(secret.reveal())
    clock.now += 2000
    with pytest.raises(Unauthenticated):
        await ring.identify(secret.reveal())


async def test_two_secrets_hold_during_a_rotation(store: KeyStore, ring: KeyRing, clock: Clock) -> None:
    """Both are the same key; the older one ends by itself, also when it was rotated again."""
    key, old = await store.create("alice")
    new = await store.rotate(key.id, overlap_s=60)
    callers = [await ring.identify(secret.reveal()) for secret in (old, new)]
    clock.now += 60_000
    with pytest.raises(Unauthenticated):
        await ring.identify(old.reveal())

    assert [caller.key_id for caller in callers] == [key.id, key.id]
    assert (await ring.identify(new.reveal())).key_id == key.id


async def test_keys_that_do_not_exist_cannot_be_changed(store: KeyStore) -> None:
    """The error names the id."""
    with pytest.raises(UnknownKeyError, match="key_no"):
        await store.disable("key_no")
    with pytest.raises(UnknownKeyError, match="key_no"):
        await store.rotate("key_no", 1)
    with pytest.raises(UnknownKeyError, match="key_no"):
        await store.set_limits("key_no", LimitSpec(concurrent=1))


async def test_operators_who_make_one_project_at_once_all_succeed(store: KeyStore) -> None:
    """Whoever comes first makes it; the limits are one of theirs, whole."""
    specs = [LimitSpec(concurrent=n, requests_per_day=n) for n in range(1, 6)]
    await asyncio.gather(
        *(store.set_project_limits("team", spec) for spec in specs),
        *(store.create("member", project_id="team") for _ in specs),
    )
    limits = {key.project_limits for key in await store.list(project_id="team")}

    assert len(limits) == 1
    assert limits < set(specs)


async def test_limits_are_replaced_as_a_whole(store: KeyStore) -> None:
    """What the new ones leave out takes the default again."""
    key, _ = await store.create("alice", limits=LimitSpec(requests_per_day=1, strategy="sliding"))
    await store.set_limits(key.id, LimitSpec(spend_per_month="0.50"))
    changed = (await store.get(key.id)).limits
    await store.set_limits(key.id, LimitSpec())

    assert changed == LimitSpec(spend_per_month="0.50")
    assert (await store.get(key.id)).limits == LimitSpec()


async def test_a_key_in_use_makes_no_query(store: KeyStore, ring: KeyRing, clock: Clock) -> None:
    """Until its entry is old, it is answered from memory; many calls at once make one look-up."""
    queries = 0

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal queries
        queries += statement.startswith("SELECT")

    _, secret = await store.create("alice")
    engine = store._database._reader.sync_engine
    sa.event.listen(engine, "before_cursor_execute", count)
    await asyncio.gather(*(ring.identify(secret.reveal()) for _ in range(50)))
    clock.now += FRESH_MS - 1
    await ring.identify(secret.reveal())

    assert queries == 1


async def test_an_outage_is_503_for_unknown_keys_and_nothing_for_known_ones(
    store: KeyStore, ring: KeyRing, clock: Clock, database: Database
) -> None:
    """Never 401. A known key is good for some minutes more; a static one for ever."""
    _, secret = await store.create("alice")
    await ring.identify(secret.reveal())
    async with database.writing() as connection:
        await connection.execute(sa.text("ALTER TABLE keys RENAME TO keys_away"))
    clock.now += FRESH_MS
    known = await ring.identify(secret.reveal())
    with pytest.raises(Overloaded):
        await ring.identify("sk-gw-never-seen")
    clock.now += STALE_MS
    with pytest.raises(Overloaded):
        await ring.identify(secret.reveal())

    assert known.key_id.startswith("key_")
    assert (await ring.identify("sk-static")).key_id.startswith("key-")


async def test_provider_keys_are_stored_encrypted_and_can_be_reencrypted(database: Database, clock: Clock) -> None:
    """A new master key takes over with the old one beside it; then the old one is of no use."""
    old, new = Secret("old master"), Secret("new master")
    first = SecretStore(database, Vault([old]), clock)
    await first.put_provider_key("openai", Secret("sk-canary-provider"))
    pepper = await first.pepper()
    with pytest.raises(VaultError):
        await SecretStore(database, Vault([new]), clock).pepper()
    changing = SecretStore(database, Vault([new, old]), clock)
    count = await changing.reencrypt()
    after = SecretStore(database, Vault([new]), clock)

    assert count == 2
    assert await after.pepper() == pepper
    assert (await after.provider_keys())["openai"].reveal() == "sk-canary-provider"
    with pytest.raises(VaultError):
        await first.provider_keys()
    assert await after.delete_provider_key("openai")
    assert not await after.delete_provider_key("openai")


async def test_processes_that_start_together_share_one_pepper(database: Database, clock: Clock) -> None:
    """Whoever is first makes it."""
    stores = [SecretStore(database, Vault([Secret("master")]), clock) for _ in range(5)]
    peppers = await asyncio.gather(*(each.pepper() for each in stores))

    assert len(set(peppers)) == 1
