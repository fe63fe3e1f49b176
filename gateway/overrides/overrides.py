"""All that is stored beside the settings, as this process knows it, kept in step with what other processes store."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from gateway.config import ConfigError, ProviderSettings, Settings
from gateway.errors import Overloaded
from gateway.overrides.outage import answering
from gateway.overrides.preferences import Preferences, PreferenceStore
from gateway.overrides.prices import PriceList, PriceStore
from gateway.overrides.provider_settings import with_stored
from gateway.overrides.providers import StoredProviders, stored_providers
from gateway.storage.database import Database, unbroken
from gateway.storage.revisions import Revisions, count_up, read_revisions

_log = structlog.get_logger("gateway.overrides")
FOLLOW_S: Final = 2.0
"""How often a process looks for what others have stored: one query of four small rows."""
_RELOADED: Final = ("configuration", "providers")
"""What takes a reload of the settings; prices and preferences are only read anew."""


class Overrides:
    """Stored providers, prices and preferences. `clock` tells Unix milliseconds."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._seen: Revisions = {}
        self.provider_names: frozenset[str] = frozenset()
        """The stored providers, disabled ones too, as of the last reload."""
        self.price_store: Final = PriceStore(database, clock)
        self.prices: Final = PriceList(self.price_store, clock)
        self.preference_store: Final = PreferenceStore(database, clock)
        self.preferences: Final = Preferences(self.preference_store)

    def providers(self, configured: Mapping[str, ProviderSettings]) -> StoredProviders:
        """Return what changes stored providers, over those that are configured."""
        return StoredProviders(self._database, configured, self._clock)

    async def over(self, settings: Settings) -> Settings:
        """Return the settings with the stored providers before them. Raises ConfigError, or Overloaded."""
        with answering():
            for subject in _RELOADED:
                self._seen.pop(subject, None)  # so that `follow` tries again if this fails
            now = await read_revisions(self._database)
            stored = await stored_providers(self._database)
        self._seen.update({subject: now[subject] for subject in _RELOADED})
        self.provider_names = frozenset(each.name for each in stored)
        return with_stored(settings, stored)

    @unbroken
    async def ask_for_reload(self) -> None:
        """Have every process load its configuration again. Raises Overloaded."""
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "configuration")

    async def refresh(self) -> Revisions:
        """Read prices and preferences anew if they were changed, and return the counters.

        Raises Overloaded, or ConfigError for a price that this version cannot read.
        """
        with answering():
            now = await read_revisions(self._database)
        if now["prices"] != self._seen.get("prices"):
            await self.prices.load()
        if now["preferences"] != self._seen.get("preferences"):
            await self.preferences.load()
        self._seen.update({subject: now[subject] for subject in ("prices", "preferences")})
        return now

    async def catch_up(self) -> set[str]:
        """Do so, and return what takes a reload, `configuration` or `providers`: each change is told once."""
        now = await self.refresh()
        behind = {subject for subject in _RELOADED if now[subject] != self._seen.get(subject)}
        self._seen.update({subject: now[subject] for subject in behind})
        return behind

    async def follow(self, reload: Callable[[set[str]], None]) -> None:
        """Keep in step, and call `reload` with what takes one, until cancelled. An outage is waited out."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                behind = await self.catch_up()
            except Overloaded:
                continue
            except ConfigError as exc:
                _log.error("stored prices kept: the new ones are wrong", reason=str(exc))  # the text says it all
                continue
            if behind:
                _log.info("changed by another process", what=sorted(behind))
                reload(behind)
