"""The request's messages, each with a time by which it has to be there.

gRPC waits for ever for the message of a unary call, and tells its handler nothing before. So to gRPC every method of
ours takes a stream, which is the same on the wire, and the message is read here.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc.aio

from gateway.errors import DeadlineExceeded, GatewayError, InvalidRequest

_GONE_S: Final = 0.05
"""When a caller vanishes gRPC says first that there is no message, then cancels the call."""


async def the_message(context: grpc.aio.ServicerContext[Any, Any], limit_s: float) -> Any:
    """Return the one message of a call, or, for the chain to raise, why there is none."""
    try:
        async with asyncio.timeout(limit_s):
            message = await context.read()
    except TimeoutError:
        return _too_late()
    if message is grpc.aio.EOF:
        await asyncio.sleep(_GONE_S)
        return InvalidRequest("The request has no message.")
    return message


async def messages_of(messages: AsyncIterator[Any], limit_s: float) -> AsyncIterator[Any]:
    """Yield the messages of a call that takes several. Raises DeadlineExceeded when the next one is late."""
    while True:
        try:
            async with asyncio.timeout(limit_s):
                message = await anext(messages, None)
        except TimeoutError:
            raise _too_late() from None
        if message is None:
            return
        yield message


def _too_late() -> GatewayError:
    return DeadlineExceeded("The request did not arrive in time.")
