"""One HTTP/1.1 connection to a vendor."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from gateway.http.answer import MAX_HEAD_BYTES, Answer, BrokenAnswer
from gateway.http.gathering import Gatherer

_PIECE_BYTES: Final = 256 * 1024
"""A larger body goes piece by piece: encrypting and copying it at once would hold up the event loop."""
_PATIENCE_S: Final = 1.0
"""How long an answer that nobody reads any more may take to end."""
_MAX_REST_BYTES: Final = 64 * 1024


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `returned` is called whenever it is ready for the next one."""

    def __init__(self, gatherer: Gatherer, returned: Callable[["Connection"], None]) -> None:
        self._gatherer = gatherer
        self._loop = asyncio.get_running_loop()  # each question for it is a system call in Python 3.11
        self._returned = returned
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._answer: Answer | None = None
        self._head_bytes = 0
        self._rest_bytes = 0
        self._left: asyncio.TimerHandle | None = None
        self._reusable = True
        self.sending = False
        self._writable: asyncio.Future[None] | None = None
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._reusable and self._answer is None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes) -> Answer:
        """Start an exchange; `head` ends with the empty line."""
        answer = self._answer = Answer(self, self._gatherer, self._loop)
        self._head_bytes = 0
        if len(body) <= _PIECE_BYTES:
            self._transport.write(head + body)
        else:
            self.sending = True
            self._transport.write(head)
        return answer

    async def send_body(self, answer: Answer, body: bytes) -> None:
        """Send the body that was too large for `send`, unless the vendor answers or leaves before its end."""
        view = memoryview(body)
        for start in range(0, len(body), _PIECE_BYTES):
            if answer.status or self._transport.is_closing():
                return
            self._transport.write(view[start : start + _PIECE_BYTES])
            if self._writable is not None:
                await self._writable
        self.sending = False

    def close(self) -> None:
        """Close at once; what is being read breaks off."""
        self._reusable = False
        self._transport.abort()

    # The answer's view.

    def pause(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def leave(self, answer: Answer, *, patiently: bool) -> None:
        if answer is not self._answer:
            return  # it has ended, and the connection may be in use again
        if not patiently:
            self.close()
        elif self._left is None:
            self._rest_bytes = 0
            self._left = self._loop.call_later(_PATIENCE_S, self.close)

    # The transport's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is not a subclass

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or self._parser is None:
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._break(BrokenAnswer(f"not an HTTP answer: {type(exc).__name__}"))
        if not answer.status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._break(BrokenAnswer("its headers have no end"))
        elif self._left is not None:
            self._rest_bytes += len(data)
            if self._rest_bytes > _MAX_REST_BYTES:
                self.close()
        answer.arrived()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._reusable = False
        self._parser = None  # it knows this object
        if self._left is not None:
            self._left.cancel()
        self.resume_writing()
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if not answer.status:
            answer.fail(ConnectionError("closed before it answered"))
        elif {"content-length", "transfer-encoding"}.isdisjoint(answer.headers):
            answer.end()  # RFC 9112, 6.3: such a body ends with its connection
            answer.wake()
        else:
            answer.fail(BrokenAnswer("it broke off"))

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.close()  # more than one answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is not None and not self._answer.status:
            self._answer.field(name, value)

    def on_headers_complete(self) -> None:
        if self._answer is None or self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._answer.forget_fields()
        else:
            self._answer.begin(status)
            self.resume_writing()

    def on_body(self, data: bytes) -> None:
        if self._answer is not None and self._left is None:
            self._answer.take(data)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is None or self._parser is None or not answer.status:
            return  # an interim answer
        answer.end()
        self._answer = None
        if self._left is not None:
            self._left.cancel()
            self._left = None
        if self._reusable and not self.sending and self._parser.should_keep_alive():
            self._returned(self)
        else:
            self.close()

    def _break(self, failure: BrokenAnswer) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail(failure)
        self.close()
