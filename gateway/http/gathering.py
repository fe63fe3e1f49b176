"""Waking many waiting streams together."""

import asyncio
from collections.abc import Callable
from typing import Final


class Gatherer:
    """Calls what was added within one window (seconds) at its end, in one turn of the event loop.

    Each turn of the loop, each wake-up of gRPC's threads and of Envoy has a price of its own. Chunks of many streams
    that arrive within a window pay it once. A window of 0 calls at once.
    """

    __slots__ = ("_timer", "_waiting", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s: Final = window_s
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, wake: Callable[[], None]) -> None:
        """Have `wake` called soon."""
        if not self._window_s:
            wake()
            return
        self._waiting.append(wake)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window_s, self._wake_all)

    def _wake_all(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()
