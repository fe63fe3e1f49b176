"""What a vendor answers to one request, as it arrives."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.http.gathering import Gatherer

HIGH_WATER_BYTES: Final = 256 * 1024
"""How much of an answer may wait for its reader before the vendor has to wait."""
MAX_HEAD_BYTES: Final = 64 * 1024
_PACKINGS: Final = {b"gzip", b"x-gzip", b"deflate"}
_EITHER_HEADER: Final = zlib.MAX_WBITS | 32
"""Lets zlib tell gzip from deflate itself."""


class BrokenAnswer(Exception):  # it is the answer that is broken, not this program
    """An answer that stopped before its end, or is not HTTP."""


class Line(Protocol):
    """The connection that an answer arrives on."""

    def pause(self) -> None:
        """Read nothing more for now."""

    def resume(self) -> None:
        """Read on."""

    def leave(self, answer: "Answer", *, patiently: bool) -> None:
        """Make ready for the next request, or close."""


class Answer:
    """One answer to one request; whoever gets it has to `release` it.

    It is read once, by one reader, as a whole or in pieces.
    """

    __slots__ = (
        "_failure", "_fields", "_finished", "_flowing", "_gatherer", "_headers", "_inflater", "_line", "_loop",
        "_packed", "_paused", "_pieces", "_size", "_waiter", "_whole", "ended", "status",
    )  # fmt: skip

    def __init__(self, line: Line, gatherer: Gatherer, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.ended = False
        self._line = line
        self._gatherer = gatherer
        self._loop = loop
        self._fields: list[tuple[bytes, bytes]] = []
        self._headers: dict[str, str] | None = None
        self._inflater: zlib._Decompress | None = None
        self._packed = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._whole = False
        self._flowing = False
        self._finished = False
        self._paused = False

    # What its reader does.

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case; repeated ones are joined by a comma."""
        if self._headers is None:
            headers: dict[str, str] = {}
            for raw_name, raw_value in self._fields:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            self._headers = headers
        return self._headers

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty if the vendor names none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def begun(self) -> None:
        """Wait for status and headers. Raises ConnectionError if none come, BrokenAnswer if they are not HTTP."""
        while not self.status:
            if self._failure is not None:
                raise self._failure
            await self._more()

    async def read(self, limit: int | None = None) -> bytes:
        """Return the body, or its start when it is longer than `limit` bytes. Raises BrokenAnswer."""
        self._whole = limit is None
        body = []
        left = limit
        while piece := await self.piece():
            body.append(piece)
            if left is not None and (left := left - len(piece)) <= 0:
                break
        return b"".join(body)[:limit]

    async def piece(self) -> bytes:
        """Return what has arrived since the last piece; empty at the end. Raises BrokenAnswer."""
        while not self._pieces or (self._whole and not self._paused and not self.ended):
            if self.ended:
                return b""
            if self._failure is not None:
                raise self._failure
            await self._more()
        pieces, self._pieces = self._pieces, []
        self._size = 0
        if not (self._flowing or self._whole):
            self._flowing = True
            self._gatherer.streams += 1
        if self._paused:
            self._paused = False
            self._line.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Say that it has said everything: on release its end gets a moment to arrive, and nobody waits for it."""
        self._finished = True

    def release(self) -> None:
        """Give up the connection: it is used again if the answer has ended, and closed otherwise."""
        if self._flowing:
            self._flowing = False
            self._gatherer.streams -= 1
        self._line.leave(self, patiently=self._finished)

    async def _more(self) -> None:
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    # What its connection does.

    def field(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._fields.append((name, value))

    def forget_fields(self) -> None:
        """Drop the headers of an interim answer."""
        self._fields.clear()

    def begin(self, status: int) -> None:
        """Take the status: the headers are complete. Raises BrokenAnswer if they are too large."""
        self.status = status
        size = 0
        for name, value in self._fields:
            size += len(name) + len(value)
            if len(name) == 16 and name.lower() == b"content-encoding" and value.strip().lower() in _PACKINGS:
                self._inflater = zlib.decompressobj(_EITHER_HEADER)
        if size > MAX_HEAD_BYTES:
            raise BrokenAnswer("its headers are too large")

    def take(self, data: bytes) -> None:
        """Take a piece of the body. Raises zlib.error for one that cannot be unpacked."""
        if self._inflater is not None:
            self._packed = True
            data = self._inflater.decompress(data)
            if not data:
                return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._line.pause()

    def end(self) -> None:
        """Take the end: the connection may serve another request before this answer is read."""
        if self._packed and self._inflater is not None and not self._inflater.eof:
            self.fail(BrokenAnswer("what it packed has no end"))
        else:
            self.ended = True
        if self._paused:
            self._paused = False
            self._line.resume()

    def fail(self, failure: Exception) -> None:
        """Take the news that nothing more will come; the reader gets what arrived before."""
        if not self.ended and self._failure is None:
            self._failure = failure
            self.wake()

    def arrived(self) -> None:
        """Tell the reader of what has been taken.

        What a whole answer's reader waits for is its end. Pieces of a stream after the first may wait for each other.
        """
        if self._waiter is None or (self._whole and not self.ended and not self._paused):
            return
        if self._flowing and not self.ended:
            self._gatherer.add(self.wake)
        else:
            self.wake()

    def wake(self) -> None:
        """Have the reader look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
