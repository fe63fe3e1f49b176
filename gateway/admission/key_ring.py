"""Finds the caller of a key without a query on the hot path."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import Struct

from gateway.admission.key_store import FoundKey, KeyStore, StoredKey, UnknownKeyError, digest
from gateway.admission.keys import Caller, StaticKeys, fingerprint
from gateway.admission.quota import overlay, rules
from gateway.config import LimitSpec
from gateway.errors import KeyNotFound, Overloaded
from gateway.storage.database import OUTAGE
from gateway.telemetry.logs import of_request

_log = structlog.get_logger("gateway.keys")

FRESH_MS: Final = 5_000
"""How long an entry is used as it is: so late at most does a worker see that a key was disabled."""
STALE_MS: Final = 300_000
"""How long a known key is still good while the database is away."""
_WAIT_S: Final = 2.0
_WAIT_KNOWN_S: Final = 0.25
_AWAY_MS: Final = 1_000
"""How long after a failed look-up a known key is not looked up again."""
_MAX_ENTRIES: Final = 20_000


class _Entry(Struct):
    found: FoundKey | None
    caller: Caller | None
    read_at: int
    read_again_at: int


class KeyRing:
    """All keys: the settings' own, then the stored ones, cached. `clock` tells Unix milliseconds."""

    def __init__(
        self, static: StaticKeys, store: KeyStore, pepper: bytes, defaults: LimitSpec, clock: Callable[[], int]
    ) -> None:
        self._static = static
        self._store = store
        self._pepper = pepper
        self._defaults = defaults
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._reading: dict[bytes, asyncio.Task[_Entry]] = {}

    async def identify(self, key: str | None) -> Caller:
        """Return the caller that `key` belongs to.

        Raises Unauthenticated for no key, an unknown, disabled or expired one; Overloaded when the database that would
        know it is away.
        """
        if key is None:
            return self._static.without_key(None)
        mark = fingerprint(key)
        caller = self._static.find(mark)
        if caller is not None:
            return caller
        entry = self._entries.get(mark)
        now = self._clock()
        if entry is None or now >= entry.read_again_at:
            entry = await self._read_again(mark, key, entry, now)
        if entry.found is None or entry.caller is None or not entry.found.valid(now):
            return self._static.without_key(key)
        return entry.caller

    def forget(self) -> None:
        """Read every key anew from now on: some were changed."""
        self._entries.clear()

    async def callers(self) -> list[Caller]:
        """Return everyone who may call."""
        return self._static.callers + [self._caller(key) for key in await self._store.list()]

    async def caller(self, key_id: str) -> Caller:
        """Return the caller of a key's id. Raises KeyNotFound, or Overloaded while the database is away."""
        for caller in self._static.callers:
            if caller.key_id == key_id:
                return caller
        try:
            return self._caller(await self._store.get(key_id))
        except UnknownKeyError:
            raise KeyNotFound(f"There is no key '{key_id[:100]}'.", param="key_id") from None
        except OUTAGE as exc:
            raise Overloaded("The gateway cannot look up the API key now.", retry_after=1) from exc

    async def _read_again(self, mark: bytes, key: str, known: _Entry | None, now: int) -> _Entry:
        """Return the key's entry from the database; while that is away, a known key's old one for a while."""
        lasts = known is not None and known.found is not None and now - known.read_at <= STALE_MS
        try:
            async with asyncio.timeout(_WAIT_KNOWN_S if lasts else _WAIT_S):
                return await asyncio.shield(self._refresh(mark, key))
        except OUTAGE as exc:
            if known is None or not lasts:
                _log.warning("key not looked up", error=type(exc).__name__, **of_request())
                raise Overloaded("The gateway cannot look up the API key now.", retry_after=1) from exc
            known.read_again_at = now + _AWAY_MS
            return known

    def _refresh(self, mark: bytes, key: str) -> asyncio.Task[_Entry]:
        task = self._reading.get(mark)
        if task is None:
            task = self._reading[mark] = asyncio.create_task(self._load(mark, key))
            task.add_done_callback(lambda done: self._loaded(mark, done))
        return task

    async def _load(self, mark: bytes, key: str) -> _Entry:
        now = self._clock()
        found = await self._store.find(digest(self._pepper, key))
        entry = _Entry(found, self._caller(found.key) if found is not None else None, now, now + FRESH_MS)
        if len(self._entries) >= _MAX_ENTRIES:  # somebody guesses keys
            self._entries.clear()
        self._entries[mark] = entry
        return entry

    def _loaded(self, mark: bytes, task: asyncio.Task[_Entry]) -> None:
        del self._reading[mark]
        if not task.cancelled():
            task.exception()  # seen: who waits for the task raises it, and a known key outlives it

    def _caller(self, key: StoredKey) -> Caller:
        project = rules("project", key.project_id, key.project_limits) if key.project_id is not None else ()
        return Caller(
            key.id,
            project_id=key.project_id,
            admin=key.admin,
            providers=frozenset(key.providers) if key.providers is not None else None,
            models=key.models,
            rules=rules("key", key.id, overlay(key.limits, self._defaults)) + project,
        )
