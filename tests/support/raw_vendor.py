"""A vendor that says exactly the bytes that a test scripts, over real sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from yarl import URL

from gateway.http.client import HttpClient


class Caller:
    """One connection, as the vendor has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = asyncio.Event()

    async def head(self) -> bytes:
        """Return the head of the next request, without its body."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """Return the head and the body of the next request."""
        head = await self.head()
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head, await self.reader.readexactly(length)

    async def say(self, data: bytes, packet: int | None = None) -> None:
        """Send bytes, in packets of the given size."""
        step = packet or len(data) or 1
        for start in range(0, len(data), step):
            self.writer.write(data[start : start + step])
            await self.writer.drain()
            if packet:
                await asyncio.sleep(0)

    async def left(self) -> None:
        """Wait until the caller closes the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.gone.set()


class RawVendor:
    """Has `talk` speak to each connection in turn."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.callers: list[Caller] = []


Talk = Callable[[Caller], Awaitable[None]]
"""What a vendor does with one connection."""


async def until(fits: Callable[[], object]) -> None:
    """Wait for what nothing tells of."""
    async with asyncio.timeout(10):
        while not fits():  # noqa: ASYNC110  # the client has no event for it
            await asyncio.sleep(0)


async def idle(client: HttpClient) -> None:
    """Wait until a connection is free."""
    await until(lambda: any(one.usable for origin in client._origins.values() for one in origin._idle))


@asynccontextmanager
async def raw_vendor(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawVendor]:
    """Yield a vendor that listens on loopback. What goes wrong in `talk`, but for lost connections, fails the test."""
    vendor = RawVendor(URL())
    wrong: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(reader, writer)
        vendor.callers.append(caller)
        try:
            await talk(caller)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            caller.gone.set()
        except Exception as exc:  # noqa: BLE001  # raised again at the end, in the test itself
            wrong.append(exc)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host = "localhost" if tls else "127.0.0.1"
    vendor.url = URL(f"{'https' if tls else 'http'}://{host}:{server.sockets[0].getsockname()[1]}/v1/chat?q=1")
    try:
        yield vendor
    finally:
        server.close()
        for caller in vendor.callers:
            caller.writer.close()
        await server.wait_closed()
    if wrong:
        raise wrong[0]
