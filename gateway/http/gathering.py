"""Waking many waiting streams together."""

import asyncio
from collections.abc import Callable
from typing import Final

_A_STREAM_S: Final = 0.0005
_SHORTEST_S: Final = 0.001
"""The event loop counts time in milliseconds."""


class Gatherer:
    """Calls what was added within one window at its end, in one turn of the event loop.

    Each turn of the loop, each wake-up of gRPC's threads and of Envoy has a price of its own. Chunks of many streams
    that arrive within a window pay it once. The more streams there are, the more there is to gather and to save: each
    makes the window 0.5 ms longer, up to `limit_s` (seconds). Of one stream nothing waits, nor of many when the
    limit is 0.
    """

    __slots__ = ("_limit_s", "_timer", "_waiting", "streams")

    def __init__(self, limit_s: float) -> None:
        self._limit_s: Final = limit_s
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.streams = 0
        """How many there are now. Whoever adds for a stream counts it."""

    def add(self, wake: Callable[[], None]) -> None:
        """Have `wake` called soon."""
        if self._timer is None:
            window = min(self._limit_s, self.streams * _A_STREAM_S)
            if window < _SHORTEST_S:
                wake()
                return
            self._timer = asyncio.get_running_loop().call_later(window, self._wake_all)
        self._waiting.append(wake)

    def _wake_all(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()
