"""What the vendors list, asked for in the background and kept."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec
import structlog

from gateway.errors import GatewayError, UnsupportedFeature
from gateway.providers.base import ListedModel, Provider

_log = structlog.get_logger("gateway.catalog")

REFRESH_S: Final = 300.0
"""How old a list may be before the next reader has it fetched again."""
TIMEOUT_S: Final = 10.0
WAIT_S: Final = 2.0
"""How long the first readers wait for a list that nobody has fetched yet."""


class _State(msgspec.Struct):
    models: Mapping[str, ListedModel] | None = None
    due: float = 0.0
    waited: bool = False
    task: asyncio.Task[None] | None = None


class Listing:
    """The vendors' lists of models.

    A list is fetched when somebody reads it and it is old: that reader gets the last good one at once. Only its very
    first readers wait for it, briefly. A vendor that fails, or has no list, keeps its last good one and is
    tried again after `refresh_s`.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        clock: Callable[[], float],
        *,
        refresh_s: float = REFRESH_S,
        timeout_s: float = TIMEOUT_S,
        wait_s: float = WAIT_S,
    ) -> None:
        self._providers = providers
        self._clock = clock
        self._refresh_s = refresh_s
        self._timeout_s = timeout_s
        self.wait_s = wait_s
        self._states = {name: _State() for name in providers}

    def models(self, provider: str) -> Mapping[str, ListedModel] | None:
        """Return the last good list of a provider by model id; None if there is none."""
        return self._states[provider].models

    async def refresh(self, providers: Collection[str]) -> None:
        """Have the old lists among these fetched, and wait up to `wait_s` seconds for those read for the first time."""
        states = [self._states[name] for name in providers]
        for name, state in zip(providers, states, strict=True):
            if state.task is None and self._clock() >= state.due:
                state.task = asyncio.create_task(self._fetch(name, state))
        new = [state.task for state in states if state.task is not None and not state.waited]
        if new:
            await asyncio.wait(new, timeout=self.wait_s)
        for state in states:
            state.waited = True

    async def settled(self) -> None:
        """Wait until no list is being fetched."""
        if tasks := self._under_way():
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = self._under_way()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _under_way(self) -> list[asyncio.Task[None]]:
        return [state.task for state in self._states.values() if state.task is not None]

    async def _fetch(self, name: str, state: _State) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                state.models = {model.id: model for model in await self._providers[name].models()}
        except UnsupportedFeature:
            pass
        except (GatewayError, TimeoutError) as exc:
            _log.warning("models not listed", provider=name, error=str(exc) or "timed out")
        finally:
            state.due = self._clock() + self._refresh_s
            state.task = None
