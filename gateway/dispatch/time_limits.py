"""Time-outs that cost next to nothing while they are kept."""

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class _Wait:
    """One wait that must not last beyond `end` (`time.monotonic()`)."""

    __slots__ = ("cancelling", "end", "late", "task")

    def __init__(self, task: asyncio.Task[Any], end: float) -> None:
        self.task = task
        self.end = end
        self.cancelling = task.cancelling()
        self.late = False


class TimeLimits:
    """Ends waits that last too long, each at its own time, with one timer for all of them.

    `asyncio.timeout` starts and stops a timer for each wait, which costs several times as much. This timer is set for
    the wait that ends first; when it fires, most often that wait is long over, and it is set for the next one.
    """

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    async def until(self, end: float, work: Awaitable[T]) -> T:
        """Return what `work` gives; raise TimeoutError when it is not done at `end` (`time.monotonic()`)."""
        task = asyncio.current_task()
        assert task is not None, "only a task can be cancelled"  # noqa: S101  # narrows the type
        wait = _Wait(task, end)
        self._waits.add(wait)
        if end < self._timer_at:
            self._set_timer(end)
        try:
            return await work
        except asyncio.CancelledError:
            if wait.late and task.uncancel() <= wait.cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._waits.discard(wait)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - time.monotonic()), self._look)

    def _look(self) -> None:
        self._timer, self._timer_at = None, math.inf
        now = time.monotonic()
        earliest = math.inf
        for wait in self._waits:
            if wait.late:
                continue
            if wait.end <= now:
                wait.late = True
                wait.task.cancel()
            elif wait.end < earliest:
                earliest = wait.end
        if earliest < math.inf:
            self._set_timer(earliest)
