"""The interceptor seam, and the one place that lifts it to every shape of RPC."""

from __future__ import annotations  # gRPC types are generic in their stubs only

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

import grpc
import grpc.aio
import msgspec
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import DecodeError

from gateway.admission.keys import ANONYMOUS, Caller
from gateway.errors import GatewayError, InvalidRequest
from gateway.interceptors.answer_metadata import answer_pairs, answer_values
from gateway.interceptors.arrival import Arrivals
from gateway.interceptors.carried_headers import carry
from gateway.interceptors.last import Last, has_last
from gateway.telemetry.record import CallRecord

Proceed = Callable[[], Awaitable[Any]]


class Rpc(msgspec.Struct, kw_only=True):
    """One RPC under way.

    `metadata` has lower-case names; of a name sent twice the last value counts. `from_http` tells that Envoy
    transcoded the call from JSON. `started` is `time.monotonic()`.
    `trace_id` is there when the call is traced.
    """

    method: str
    context: grpc.aio.ServicerContext[Any, Any]
    metadata: Mapping[str, str]
    started: float
    request_id: str = ""
    trace_id: str | None = None
    caller: Caller = ANONYMOUS
    record: CallRecord = msgspec.field(default_factory=CallRecord)

    @property
    def from_http(self) -> bool:
        return "x-envoy-original-path" in self.metadata


class Interceptor(Protocol):
    """One concern around every RPC."""

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        """Do the work around `await proceed()` and return its result.

        A streaming RPC has written its messages when `proceed` returns. Cancellation arrives as CancelledError.
        """
        ...


ARRIVED: Final[ContextVar[grpc.HandlerCallDetails]] = ContextVar("arrived")
"""What gRPC asked for the running RPC's handler with. Its metadata is at hand; asking for it again costs 6 µs."""
_CURRENT: Final[ContextVar[Rpc]] = ContextVar("rpc")


def current_rpc() -> Rpc:
    """Return the RPC that the running handler serves."""
    return _CURRENT.get()


class InterceptorChain:
    """Runs interceptors, the first one outermost, around the handler of every RPC shape.

    A message that is not there after `read_limit_s`, in whole seconds, ends its call.
    """

    def __init__(
        self, interceptors: tuple[Interceptor, ...], clock: Callable[[], float], *, read_limit_s: float
    ) -> None:
        self.interceptors: Final = interceptors
        self._clock = clock
        self._arrivals = Arrivals(read_limit_s)

    def around(
        self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Return handlers of the same RPCs, by their paths, with the interceptors around each."""
        return {method: self._lift(method, handler) for method, handler in handlers.items()}

    def _lift(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        answers = "stream" if handler.response_streaming else "unary"
        behavior = getattr(handler, f"{'stream' if handler.request_streaming else 'unary'}_{answers}")
        respond = handler.response_serializer
        run: Callable[..., Awaitable[Any]] = _write_all if handler.response_streaming else _answer
        if respond is not None and has_last(behavior):
            # To gRPC it is a unary method, which may write messages before its answer but has to make bytes of them.
            run, answers, respond = functools.partial(_write_until_last, respond), "unary", None
        # One message is read here and not by gRPC, whose error for a broken one would tell of our inside.
        early, read = handler.request_deserializer, _as_it_is
        if not handler.request_streaming:
            read, early = functools.partial(_message, early or _as_it_is), None

        # A coroutine for streams too, which writes its messages itself: cancelling it then unwinds the handler's
        # generator at once, where an abandoned generator would wait for the garbage collector.
        async def lifted(messages: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            request = await self._arrivals.first(context)
            if handler.request_streaming:
                request = self._arrivals.every(request, messages)
            rpc = Rpc(
                method=method,
                context=context,
                metadata=_metadata(),
                started=self._clock(),
            )
            _CURRENT.set(rpc)
            proceed: Proceed = functools.partial(run, behavior, read, request, rpc)
            for interceptor in reversed(self.interceptors):
                proceed = functools.partial(interceptor.intercept, rpc, proceed)
            return await proceed()

        make = getattr(grpc, f"stream_{answers}_rpc_method_handler")
        lifted_handler: grpc.RpcMethodHandler[Any, Any] = make(lifted, early, respond)
        return lifted_handler


def _metadata() -> dict[str, str]:
    sent: Any = ARRIVED.get().invocation_metadata or ()  # pairs at run time, which the stubs do not say
    return {pair[0]: pair[1] for pair in sent}


def _as_it_is(request: Any) -> Any:
    return request


def _message(read: Callable[[bytes], Any], request: Any) -> Any:
    if isinstance(request, GatewayError):
        raise request
    if request is grpc.aio.EOF:
        raise InvalidRequest("The request has no message.")
    try:
        return read(request)
    except DecodeError:
        raise InvalidRequest("The request is not a message of the type that this method takes.") from None


async def _answer(behavior: Callable[..., Awaitable[Any]], read: Callable[[Any], Any], request: Any, rpc: Rpc) -> Any:
    answer = await behavior(read(request), rpc.context)
    await _send_headers(rpc, answer)
    return answer


async def _write_all(
    behavior: Callable[..., AsyncIterator[Any] | Awaitable[None]], read: Callable[[Any], Any], request: Any, rpc: Rpc
) -> None:
    messages = behavior(read(request), rpc.context)
    if isinstance(messages, Awaitable):
        await messages
        return
    first = True
    async with contextlib.aclosing(messages):  # type: ignore[type-var]  # servicers are async generators
        async for message in messages:
            if first:
                await _send_headers(rpc, message)
                first = False
            await rpc.context.write(message)


async def _write_until_last(
    write: Callable[[Any], bytes],
    behavior: Callable[..., AsyncIterator[Any]],
    read: Callable[[Any], Any],
    request: Any,
    rpc: Rpc,
) -> bytes:
    """Write all messages but the last one, which is returned when the handler has come to its end."""
    first, answer = True, b""
    async with contextlib.aclosing(behavior(read(request), rpc.context)) as messages:  # type: ignore[type-var]  # as above
        async for yielded in messages:
            message = yielded.message if isinstance(yielded, Last) else yielded
            if first:
                await _send_headers(rpc, message)
                first = False
            if isinstance(yielded, Last):
                answer = write(message)
            else:
                await rpc.context.write(write(message))
    return answer


async def _send_headers(rpc: Rpc, message: Any) -> None:
    """Send the headers, if any, now that the first message is at hand."""
    headers = rpc.record.vendor_headers
    own = answer_values(rpc.record) if rpc.from_http else ""
    if not own and not headers:
        return
    if rpc.from_http and isinstance(message, HttpBody):
        carry(message, own, headers)
    else:
        told = answer_pairs(rpc.record) if rpc.from_http else ()  # else in the trailing metadata
        await rpc.context.send_initial_metadata(tuple({**headers, **dict(told)}.items()))
