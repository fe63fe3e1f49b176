"""What a worker keeps and shares: database, keys, ledger, limits. Opened in one order, closed in the other."""

import contextlib
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

import msgspec

from gateway.admission.administration import Administration
from gateway.admission.admission import Admission
from gateway.admission.key_ring import KeyRing
from gateway.admission.key_store import KeyStore
from gateway.admission.keys import StaticKeys
from gateway.admission.limits.fallback import LocalFallbackLimiter
from gateway.admission.limits.memory import MemoryLimiter
from gateway.admission.limits.model import History, Limiter, Standing, Used
from gateway.admission.price_book import Book, Quotes
from gateway.admission.quota import SharedRules
from gateway.admission.restore import used_so_far
from gateway.admission.secret_store import SecretStore
from gateway.admission.vault import Vault, VaultError, master_key_file
from gateway.config import Secret, Settings, StorageSettings
from gateway.health.dependencies import Dependencies, Ping
from gateway.overrides.overrides import Overrides
from gateway.storage.database import Database, DatabaseError, open_database
from gateway.storage.ledger import Ledger, open_ledger
from gateway.storage.migrate import migrate
from gateway.storage.usage_queries import UsageQueries
from gateway.telemetry.metrics import Metrics

_JOURNALS: Final = Path("data/journal")
_REDIS_TIMEOUT_S: Final = 1.0


class StateError(Exception):
    """What the gateway keeps cannot be opened. The text is one line, fit to print, and holds no secret."""


class Stored(msgspec.Struct, frozen=True):
    """The database and what is stored in it, without anything that serves calls. Enough for the command line."""

    database: Database
    secrets: SecretStore
    keys: KeyStore
    pepper: bytes


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def open_stored(settings: StorageSettings) -> AsyncIterator[Stored]:
    """Yield the migrated database. Raises StateError."""
    try:
        async with open_database(settings.database_url.reveal()) as database:
            await migrate(database)
            secrets = SecretStore(database, Vault(_master_keys(settings, database)), now_ms)
            pepper = await secrets.pepper()
            yield Stored(database, secrets, KeyStore(database, pepper, now_ms), pepper)
    except (DatabaseError, VaultError) as exc:
        raise StateError(str(exc)) from None


class State:
    """What outlives a reload of the settings. Make one with `open_state`."""

    def __init__(self, settings: Settings, stored: Stored, ledger: Ledger) -> None:
        self._settings = settings
        self._stored = stored
        self.ledger: Final = ledger
        self.overrides: Final = Overrides(stored.database, now_ms)
        self.limiter: Limiter
        self.ping_redis: Ping | None

    @property
    def database(self) -> Database:
        """The database that everything is stored in."""
        return self._stored.database

    @property
    def process(self) -> str:
        """The name of this process in the ledger."""
        return self.ledger.owner

    def dependencies(self, metrics: Metrics) -> Dependencies:
        """Return what tells how database and Redis are."""
        return Dependencies(
            self.database,
            self.ping_redis,
            metrics,
            needs_redis=self._settings.storage.redis_away == "refuse",
            writes=lambda: self.ledger.available,
        )

    def serve_by(self, settings: Settings, book: Book) -> tuple[KeyRing, Admission]:
        """Return what calls need under these settings; `book` knows the models' prices."""
        self._settings = settings
        admission = Admission(
            ledger=self.ledger,
            limiter=self.limiter,
            quotes=Quotes(book, settings.limits, self.overrides.prices.price),
            shared=SharedRules(settings.limits),
            settings=settings.limits,
            clock=now_ms,
        )
        return self._key_ring(), admission

    async def with_stored_keys(self, settings: Settings) -> Settings:
        """Return the settings with stored provider keys where the settings have none."""
        keys = await self._stored.secrets.provider_keys()
        providers = {
            name: msgspec.structs.replace(provider, api_key=keys[name])
            if name in keys and not provider.api_key
            else provider
            for name, provider in settings.providers.items()
        }
        return msgspec.structs.replace(settings, providers=providers)

    async def history(self) -> list[Used]:
        """Return what was used so far of every rule in force."""
        callers = await self._key_ring().callers()
        rules = {rule for caller in callers for rule in caller.rules}
        return await used_so_far(self.ledger, rules.union(SharedRules(self._settings.limits).all), now_ms())

    async def shared_limits(self) -> list[Standing]:
        """Return how the limits of the gateway and of its providers stand. Raises Overloaded as the limiter does."""
        rules = SharedRules(self._settings.limits).all
        return await self.limiter.standing(rules) if rules else []

    def usage(self) -> UsageQueries:
        """Return what answers questions about the ledger."""
        return UsageQueries(self._stored.database, self.ledger)

    def administration(self, keys: KeyRing, providers: Collection[str]) -> Administration:
        """Return what changes stored keys and limits; `keys` and the configured `providers` are those in force."""
        return Administration(self._stored.keys, self._stored.secrets, keys, providers)

    def _key_ring(self) -> KeyRing:
        access, limits = self._settings.access, self._settings.limits.key
        static = StaticKeys(access.api_keys, required=access.require_auth, limits=limits)
        return KeyRing(static, self._stored.keys, self._stored.pepper, limits, now_ms)


@contextlib.asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[State]:
    """Yield a worker's state. Lost calls of dead processes are settled first. Raises StateError."""
    storage = settings.storage
    async with (
        open_stored(storage) as stored,
        open_ledger(stored.database, _journals(storage, stored.database), now_ms) as ledger,
    ):
        state = State(settings, stored, ledger)
        await state.overrides.refresh()
        async with _open_limiter(storage, state.history) as (state.limiter, state.ping_redis):
            yield state


@contextlib.asynccontextmanager
async def _open_limiter(settings: StorageSettings, history: History) -> AsyncIterator[tuple[Limiter, Ping | None]]:
    """Yield Redis's limiter and how to reach it, or else one of this process that knows what was used so far."""
    local = MemoryLimiter()
    if not settings.redis_url:
        for used in await history():
            local.restore(used.rules, used.charge, used.at_ns)
        yield local, None
        return
    from gateway.admission.limits.redis import RedisLimiter, connect

    async with (
        contextlib.aclosing(connect(settings.redis_url, _REDIS_TIMEOUT_S)) as redis,
        contextlib.aclosing(RedisLimiter(redis, history=history)) as shared,
    ):
        yield LocalFallbackLimiter(shared, local) if settings.redis_away == "count_alone" else shared, redis.ping


def _journals(settings: StorageSettings, database: Database) -> Path:
    if settings.journal_dir:
        return Path(settings.journal_dir)
    return database.path.with_name(database.path.name + ".journal") if database.path is not None else _JOURNALS


def _master_keys(settings: StorageSettings, database: Database) -> tuple[Secret, ...]:
    if settings.master_keys:
        return settings.master_keys
    if database.path is None:
        raise StateError("GATEWAY_MASTER_KEY must be set: PostgreSQL has no file to keep one beside")
    path = database.path.with_name(database.path.name + ".key")
    try:
        return (master_key_file(path),)
    except OSError as exc:
        raise StateError(f"the master key cannot be kept at {path}: {exc.strerror}; set GATEWAY_MASTER_KEY") from None
