"""The connections to one vendor's address."""

import asyncio
import socket
import ssl
from typing import Any, Final

import aiohappyeyeballs

from gateway.http.connection import Connection
from gateway.http.gathering import Gatherer

_IDLE_S: Final = 30.0
"""An unused connection is closed after this time: vendors and what is between drop older ones in silence."""
_ADDRESSES_S: Final = 60.0
_NEXT_ADDRESS_S: Final = 0.25
"""When the next address is tried beside one that does not answer (RFC 8305)."""


class Origin:
    """Keeps connections alive and opens new ones, as many as are needed at once."""

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None, connect_timeout: float, gatherer: Gatherer
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._gatherer = gatherer
        self._idle: list[Connection] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._addresses: list[Any] = []
        self._addresses_until = 0.0
        self._resolving = asyncio.Lock()
        self._closed = False

    async def connection(self) -> Connection:
        """Return a connection that is ready. Raises TimeoutError or OSError if none can be opened."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        async with asyncio.timeout(self._connect_timeout):
            return await self._connect()

    def close(self) -> None:
        """Close what is idle, and the others as soon as they are."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            sock = await aiohappyeyeballs.start_connection(
                await self._resolved(), happy_eyeballs_delay=_NEXT_ADDRESS_S, loop=loop
            )
        except OSError:
            self._addresses_until = 0.0
            raise
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await loop.create_connection(
                lambda: Connection(self._gatherer, self._returned),
                sock=sock,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _resolved(self) -> list[Any]:
        async with self._resolving:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._addresses_until:
                self._addresses = await _resolve(self._host, self._port)
                self._addresses_until = loop.time() + _ADDRESSES_S
            return self._addresses

    def _returned(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(_IDLE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle too long. The oldest come first, as the newest are used first."""
        self._sweeping = None
        loop = asyncio.get_running_loop()
        before = loop.time() - _IDLE_S
        fresh = [connection for connection in self._idle if connection.usable and connection.idle_since > before]
        for connection in set(self._idle).difference(fresh):
            connection.close()
        self._idle = fresh
        if fresh:
            self._sweeping = loop.call_later(fresh[0].idle_since - before, self._sweep)


async def _resolve(host: str, port: int) -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
