"""The requests' messages, each with a time by which it has to be there.

gRPC waits for ever for the message of a unary call, and tells its handler nothing before. So to gRPC every method of
ours takes a stream, which is the same on the wire, and the message is read here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from itertools import islice, takewhile
from typing import Any, Final, TypeVar

import grpc.aio

from gateway.errors import DeadlineExceeded

T = TypeVar("T")

_LOOK_S: Final = 1.0
_AT_ONCE: Final = 100
_NEXT_S: Final = 0.1
"""Ten thousand calls that end at once would hold others up for three seconds: so many do, and the next ones then."""
_GONE_S: Final = 0.05
"""When a caller vanishes gRPC says first that there is no message, then cancels the call."""


class Arrivals:
    """The calls whose message is still to come.

    A look each second ends those that have waited for `limit_s`, so that a message that comes at once costs no timer.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[asyncio.Task[Any], float] = {}  # the oldest first
        self._ended: set[asyncio.Task[Any]] = set()
        self._looking = False

    async def first(self, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """Return the first message of a call, `grpc.aio.EOF` when it has none, or, to be raised, that it is late."""
        try:
            message = await self._wait(context.read())
        except DeadlineExceeded as exc:
            return exc
        if message is grpc.aio.EOF:
            await asyncio.sleep(_GONE_S)
        return message

    async def every(self, first: Any, others: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield all messages of a call. Raises DeadlineExceeded when one is late."""
        message = first
        while message is not grpc.aio.EOF:
            if isinstance(message, DeadlineExceeded):
                raise message
            yield message
            message = await self._wait(anext(others, grpc.aio.EOF))

    async def _wait(self, message: Awaitable[T]) -> T:
        task = asyncio.current_task()
        assert task is not None, "an RPC runs in a task"  # noqa: S101  # narrows the type
        loop = task.get_loop()
        self._since[task] = loop.time()
        if not self._looking:
            self._looking = True
            loop.call_later(_LOOK_S, self._look, loop)
        try:
            return await message
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise DeadlineExceeded("The request did not arrive in time.") from None
        finally:
            self._since.pop(task, None)
            self._ended.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        latest = loop.time() - self._limit_s
        oldest = islice(self._since.items(), _AT_ONCE)
        late = [task for task, _ in takewhile(lambda item: item[1] <= latest, oldest)]
        for task in late:
            del self._since[task]
            self._ended.add(task)
            task.cancel()
        self._looking = bool(self._since)
        if self._looking:
            loop.call_later(_NEXT_S if len(late) == _AT_ONCE else _LOOK_S, self._look, loop)
