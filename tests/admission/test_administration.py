"""What operators change and list, on every kind of database."""

from collections.abc import AsyncIterator

import pytest

from gateway.admission.administration import Administration
from gateway.admission.key_ring import KeyRing
from gateway.admission.key_store import KeyStore
from gateway.admission.keys import StaticKeys
from gateway.admission.secret_store import SecretStore
from gateway.admission.vault import Vault
from gateway.config import LimitSpec, Secret
from gateway.errors import InternalError, KeyNotFound, ProviderNotFound
from gateway.storage.database import Database, open_database
from gateway.storage.migrate import migrate

NOW = 1_767_225_600_000
PEPPER = b"pepper"


def _clock() -> int:
    return NOW


@pytest.fixture
async def database(database_text: str) -> AsyncIterator[Database]:
    """A migrated database of each kind."""
    async with open_database(database_text) as opened:
        await migrate(opened)
        yield opened


@pytest.fixture
def ring(database: Database) -> KeyRing:
    """The keys as calls find them."""
    static = StaticKeys([Secret("sk-static")], required=True)
    return KeyRing(static, KeyStore(database, PEPPER, _clock), PEPPER, LimitSpec(), _clock)


def administration(database: Database, ring: KeyRing, *master_keys: str) -> Administration:
    vault = Vault([Secret(key) for key in master_keys or ("master",)])
    return Administration(KeyStore(database, PEPPER, _clock), SecretStore(database, vault, _clock), ring, {"openai"})


async def _key(admin: Administration, name: str, project_id: str | None = None) -> tuple[str, str]:
    key, secret = await admin.create_key(
        name, project_id=project_id, admin=False, providers=None, models=None, limits=LimitSpec(), lifetime_s=None
    )
    return key.id, secret.reveal()


async def test_keys_made_at_one_time_are_listed_once_each(database: Database, ring: KeyRing) -> None:
    """A page goes on after the last key's time and id."""
    admin = administration(database, ring)
    made = {(await _key(admin, str(number), "team" if number % 2 else None))[0] for number in range(7)}
    found = []
    after: tuple[int, str] | None = None
    while page := await admin.keys(project_id=None, after=after, limit=3):
        found += [key.id for key in page]
        after = (page[-1].created_at, page[-1].id)

    assert found == sorted(made)
    assert len(await admin.keys(project_id="team", after=None, limit=10)) == 3


async def test_changes_are_in_force_at_once(database: Database, ring: KeyRing) -> None:
    """The key ring of this process forgets what it knew."""
    admin = administration(database, ring)
    key_id, secret = await _key(admin, "alice", "team")
    assert (await ring.identify(secret)).rules == ()
    await admin.limit_key(key_id, LimitSpec(concurrent=1))
    project = await admin.limit_project("team", LimitSpec(concurrent=2))

    assert [rule.amount for rule in (await ring.identify(secret)).rules] == [1, 2]
    assert await ring.caller(key_id) == await ring.identify(secret)
    assert [each.id for each in await admin.projects()] == ["default", "team"]
    assert project in await admin.projects()
    assert (await admin.key(key_id)).limits == LimitSpec(concurrent=1)


async def test_a_configured_key_has_a_caller_too(ring: KeyRing) -> None:
    """Keys of the settings are found by their id; an unknown id is an error of its own."""
    caller = await ring.identify("sk-static")

    assert await ring.caller(caller.key_id) == caller
    with pytest.raises(KeyNotFound):
        await ring.caller("key_none")


async def test_provider_keys_are_known_by_provider(database: Database, ring: KeyRing) -> None:
    """Stored since a time; only configured providers have one."""
    admin = administration(database, ring)
    await admin.put_provider_key("openai", Secret("sk-vendor"))

    assert await admin.provider_keys() == {"openai": NOW}
    with pytest.raises(ProviderNotFound):
        await admin.put_provider_key("other", Secret("sk-vendor"))
    await admin.delete_provider_key("openai")
    assert await admin.provider_keys() == {}
    with pytest.raises(KeyNotFound):
        await admin.delete_provider_key("openai")


async def test_another_master_key_is_said_and_changes_nothing(database: Database, ring: KeyRing) -> None:
    """Without the master key that opens them, stored secrets cannot be encrypted anew."""
    await administration(database, ring).put_provider_key("openai", Secret("sk-vendor"))
    with pytest.raises(InternalError, match="master keys"):
        await administration(database, ring, "other").reencrypt()

    assert await administration(database, ring, "other", "master").reencrypt() == 1
    assert await administration(database, ring, "other").reencrypt() == 1
