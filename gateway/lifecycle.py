"""Serving, draining, closed: whether new calls are taken, which are in hand, and when the last of them must end."""

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from gateway.errors import Draining

_RETRY_AFTER_S: Final = 1.0


class Wait(Protocol):
    """A wait for a provider, which a drain that runs out ends."""

    def end_by(self, when: float) -> None:
        """Time out at `when` (`time.monotonic()`) at the latest."""
        ...


class Lifecycle:
    """The state of one worker."""

    def __init__(self) -> None:
        self.draining = False
        """Whether health and readiness say so; new calls are still taken, because callers need time to notice."""
        self.closed = False
        self.ends = math.inf
        """When streams in hand have to end (`time.monotonic()`)."""
        self._calls: set[asyncio.Task[Any]] = set()
        self._watches: set[asyncio.Task[Any]] = set()
        self._ended: set[asyncio.Task[Any]] = set()
        self._waits: set[Wait] = set()

    @property
    def in_hand(self) -> int:
        """How many calls are in hand."""
        return len(self._calls)

    def call(self) -> contextlib.AbstractContextManager[None]:
        """Count the running task as a call in hand.

        A call that reaches this point while closing is served: its caller, or Envoy, tries those again that gRPC
        itself turns away. Raises Draining when `end_calls` ends it.
        """
        return _InHand(self._calls, self._ended)

    def watch(self) -> contextlib.AbstractContextManager[None]:
        """Count the running task as one that only looks on (health, reflection): nobody waits for its end.

        Raises Draining when `end_watches` ends it.
        """
        return _InHand(self._watches, self._ended)

    @contextlib.contextmanager
    def waiting(self, wait: Wait) -> Iterator[None]:
        """Have a drain end `wait` in time.

        A stream must end itself, with an error that its caller can see: one that is cancelled from outside looks to
        HTTP callers as if it were complete.
        """
        wait.end_by(self.ends)
        self._waits.add(wait)
        try:
            yield
        finally:
            self._waits.discard(wait)

    def drain(self) -> None:
        """Tell everyone who asks that this worker is shutting down."""
        self.draining = True

    def close(self, grace: float) -> None:
        """Take no new calls. Streams in hand get until shortly before `grace` seconds from now."""
        self.closed = True
        self.ends = time.monotonic() + max(grace - 1.0, grace / 2)
        for wait in self._waits:
            wait.end_by(self.ends)

    async def finished(self) -> None:
        """Return when every call that is in hand now has ended."""
        if self._calls:
            await asyncio.wait(set(self._calls))

    def end_calls(self) -> None:
        """End the calls in hand. Streams had their time to end themselves: this is for all that did not."""
        self._end(self._calls)

    def end_watches(self) -> None:
        """End the calls that only look on."""
        self._end(self._watches)

    def _end(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        for task in tasks:
            self._ended.add(task)
            task.cancel()


class _InHand:
    """The running task as one of `group`, while the block runs. Every call enters one, so it is no generator."""

    __slots__ = ("_ended", "_group", "_task")

    def __init__(self, group: set[asyncio.Task[Any]], ended: set[asyncio.Task[Any]]) -> None:
        self._group = group
        self._ended = ended
        self._task = _this_task()

    def __enter__(self) -> None:
        self._group.add(self._task)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._group.discard(self._task)
        if self._task not in self._ended:
            return
        self._ended.discard(self._task)
        if isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
            raise Draining(retry_after=_RETRY_AFTER_S) from None


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "an RPC runs in a task"  # noqa: S101  # narrows the type
    return task
