"""The HTTP client that all providers of one worker share."""

import base64
import functools
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import msgspec
from yarl import URL

from gateway.http.answer import Answer
from gateway.http.gathering import Gatherer
from gateway.http.origin import Origin

_TARGETS: Final = 1024


class Target(msgspec.Struct, frozen=True):
    """What a URL says to a connection."""

    origin: tuple[str, int, bool]
    """Host, port, and whether it is reached by TLS."""
    path: str
    host_field: str
    authorization: str | None


class HttpClient:
    """Sends requests. It has no limit of connections; idle ones are kept for the next request.

    Only connecting is timed here (`connect_timeout`, seconds); its caller times the rest. Chunks of streams may wait
    for each other for `gather` seconds. `trace` adds the current span's headers to those of a request.
    """

    def __init__(
        self,
        connect_timeout: float,
        *,
        gather: float = 0.0,
        trace: Callable[[dict[str, str]], None] | None = None,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._gatherer = Gatherer(gather)
        self._trace = trace
        self._origins: dict[tuple[str, int, bool], Origin] = {}
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections, and the others as soon as their answers have ended or are released."""
        for origin in self._origins.values():
            origin.close()

    async def send(self, method: str, url: URL, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Return the answer as soon as its headers are here.

        Raises ValueError for a header that is none, TimeoutError if connecting takes too long, OSError if it fails or
        the vendor closes without an answer, BrokenAnswer for what is not HTTP.
        """
        target = _target(url)
        if self._trace is not None:
            headers = dict(headers)
            self._trace(headers)
        head = _head(method, target, headers, len(body))
        connection = await self._origin(target).connection()
        answer = connection.send(head, body)
        try:
            if connection.sending:
                await connection.send_body(answer, body)
            await answer.begun()
        except BaseException:
            answer.release()
            raise
        return answer

    def _origin(self, target: Target) -> Origin:
        origin = self._origins.get(target.origin)
        if origin is None:
            host, port, secure = target.origin
            if secure and self._tls is None:
                self._tls = ssl.create_default_context()
            origin = self._origins[target.origin] = Origin(
                host,
                port,
                tls=self._tls if secure else None,
                connect_timeout=self._connect_timeout,
                gatherer=self._gatherer,
            )
        return origin


@functools.lru_cache(_TARGETS)
def _target(url: URL) -> Target:
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ValueError("a vendor's URL has to be http:// or https:// and name a host")
    host = url.host_subcomponent or ""
    authorization = None
    if url.user is not None:
        user = f"{url.user}:{url.password or ''}".encode()
        authorization = f"Basic {base64.b64encode(user).decode()}"
    return Target(
        origin=(url.raw_host, url.port or 0, url.scheme == "https"),
        path=url.raw_path_qs,
        host_field=host if url.is_default_port() else f"{host}:{url.port}",
        authorization=authorization,
    )


def _head(method: str, target: Target, headers: Mapping[str, str], length: int) -> bytes:
    """Return the head of a request. Of two headers whose names differ in case only, the later one counts."""
    fields = {"host": target.host_field}
    if target.authorization is not None:
        fields["authorization"] = target.authorization
    for name, value in headers.items():
        fields[name.lower()] = value
    if length or method == "POST":
        fields["content-length"] = str(length)
    head = "\r\n".join([f"{method} {target.path} HTTP/1.1", *map(": ".join, fields.items())])
    if head.count("\n") != len(fields) or head.count("\r") != len(fields) or "\0" in head:
        raise ValueError("a header holds a line break")  # its text may be a secret
    return head.encode() + b"\r\n\r\n"
