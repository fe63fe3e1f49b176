"""How attempts went lately: counts of the last few minutes, cheap enough for every call."""

import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec

WINDOW_S: Final = 300
"""What counts as lately. It moves in steps of a minute, so that a count is up to a minute younger than this."""
_STEP_S: Final = 60


class Counts(msgspec.Struct, frozen=True):
    """How many attempts there were, and how many of them failed."""

    total: int = 0
    failed: int = 0

    @property
    def error_rate(self) -> float:
        """The share that failed, from 0 to 1; 0 without attempts."""
        return self.failed / self.total if self.total else 0.0


class RecentOutcomes:
    """Counts what went well and what failed. `clock` tells seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: deque[list[int]] = deque(maxlen=WINDOW_S // _STEP_S)

    def add(self, *, failed: bool) -> None:
        """Count one attempt."""
        step = self._clock() // _STEP_S
        steps = self._steps
        if not steps or steps[-1][0] != step:
            steps.append([int(step), 0, 0])
        newest = steps[-1]
        newest[1] += 1
        newest[2] += failed

    def counts(self) -> Counts:
        """Return the counts of the window that ends now."""
        oldest = self._clock() // _STEP_S - WINDOW_S // _STEP_S
        recent = [step for step in self._steps if step[0] > oldest]
        return Counts(sum(step[1] for step in recent), sum(step[2] for step in recent))


class ProviderOutcomes:
    """The outcomes of calls, for each provider."""

    def __init__(self) -> None:
        self._outcomes: dict[str, RecentOutcomes] = {}

    def add(self, provider: str, *, failed: bool) -> None:
        """Count one attempt at a provider."""
        outcomes = self._outcomes.get(provider)
        if outcomes is None:
            outcomes = self._outcomes[provider] = RecentOutcomes()
        outcomes.add(failed=failed)

    def counts(self, provider: str) -> Counts:
        """Return how a provider's calls went lately."""
        outcomes = self._outcomes.get(provider)
        return outcomes.counts() if outcomes is not None else Counts()

    def keep(self, providers: Collection[str]) -> None:
        """Forget all other providers."""
        self._outcomes = {name: outcomes for name, outcomes in self._outcomes.items() if name in providers}
