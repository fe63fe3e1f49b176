"""The time-out between a stream's blocks, cheap enough to guard every one of them."""

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import Self, TypeVar

T = TypeVar("T")


class SilenceLimit:
    """Raises TimeoutError in an `await` that takes longer than allowed.

    `asyncio.timeout` makes and cancels a timer for each wait. This keeps one timer a stream, which looks again when it
    fires early, so that a wait that ends in time costs no timer at all.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._limit: float | None = None
        self._ends = math.inf
        self._fired = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self, awaitable: Awaitable[T], limit: float) -> T:
        """Return what `awaitable` gives; raise TimeoutError when it is not done at `limit` (`time.monotonic()`)."""
        limit = self._limit = min(limit, self._ends)
        if self._timer is None or limit < self._timer_at:
            self._set_timer(limit)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._fired and self._task is not None and self._task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._limit = None
            self._fired = False

    def end_by(self, when: float) -> None:
        """Let no wait last beyond `when` (`time.monotonic()`), not even the one under way."""
        self._ends = when
        if self._limit is not None and when < self._limit:
            self._limit = when
            self._set_timer(when)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(at - time.monotonic(), self._check)

    def _check(self) -> None:
        self._timer = None
        if self._limit is None or self._task is None:
            return
        if time.monotonic() < self._limit:
            self._set_timer(self._limit)
            return
        self._fired = True
        self._task.cancel()
