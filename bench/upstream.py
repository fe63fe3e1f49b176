"""A fast OpenAI-shaped upstream whose own CPU is not counted: fixed answers over HTTP/1.1 with keep-alive.

The model's name says how a stream is sent: `burst-50` writes 50 chunks and the end at once, `paced-50-20ms` writes one
chunk every 20 ms, the first at once. Any other name streams as `burst-50` does.
"""

import argparse
import asyncio
import re
import socket
from typing import Final, cast

import uvloop

_STREAM: Final = re.compile(rb'"stream"\s*:\s*true')
_USAGE: Final = re.compile(rb'"include_usage"\s*:\s*true')
_MODEL: Final = re.compile(rb'"model"\s*:\s*"(?:[^"]*/)?(?:burst-(?P<burst>\d+)|paced-(?P<paced>\d+)-(?P<ms>\d+)ms)"')
_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_IDENTITY: Final = b'"id":"chatcmpl-bench0000000000000000000000","created":1760000000,"model":"bench"'
_TOKENS: Final = b'"usage":{"prompt_tokens":31,"completion_tokens":50,"total_tokens":81}'

_TEXT: Final = b"The gateway forwards these words as they are: the cost of the road is all that is measured. " * 2
_MESSAGE: Final = b'{"role":"assistant","content":"%b","refusal":null}' % _TEXT
_CHOICES: Final = b'"choices":[{"index":0,"message":%b,"logprobs":null,"finish_reason":"stop"}]' % _MESSAGE
_COMPLETION: Final = b'{"object":"chat.completion",%b,%b,%b,"system_fingerprint":"fp"}' % (_IDENTITY, _CHOICES, _TOKENS)


def _http(content_type: bytes, framing: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\n%b\r\n\r\n%b" % (status, content_type, framing, body)


def _json(body: bytes, status: bytes = b"200 OK") -> bytes:
    return _http(b"application/json", b"content-length: %d" % len(body), body, status)


def _event(fields: bytes) -> bytes:
    return b'data: {"object":"chat.completion.chunk",' + _IDENTITY + b"," + fields + b"}\n\n"


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_ANSWER: Final = _json(_COMPLETION)
_NOT_FOUND: Final = _json(b'{"error":{"message":"no such route","type":"invalid_request_error"}}', b"404 Not Found")
_STREAM_HEAD: Final = _http(b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
_DELTA: Final = _event(b'"choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]')
_FINISH: Final = _event(b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]')
_USAGE_EVENT: Final = _event(b'"choices":[],' + _TOKENS)
_DONE: Final = b"data: [DONE]\n\n"
_LAST_HTTP_CHUNK: Final = b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One caller. Answers one request at a time; a request may arrive in any number of packets."""

    def __init__(self) -> None:
        self._received = b""
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._busy = True  # a paced stream to a caller who left stops at its next chunk

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        self._take_requests()

    def _take_requests(self) -> None:
        while not self._busy and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < size:
                return
            body, self._received = self._received[end + 4 : size], self._received[size:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST /v1/chat/completions "):
            self._transport.write(_NOT_FOUND)
        elif not _STREAM.search(body):
            self._transport.write(_ANSWER)
        else:
            end = _FINISH + (_USAGE_EVENT if _USAGE.search(body) else b"") + _DONE
            self._stream(_MODEL.search(body), end)

    def _stream(self, model: re.Match[bytes] | None, end: bytes) -> None:
        if model and model["paced"]:
            self._busy = True
            self._transport.write(_STREAM_HEAD)
            self._pace(int(model["paced"]), int(model["ms"]) / 1000, asyncio.get_running_loop().time(), end)
        else:
            deltas = _DELTA * int(model["burst"] if model else 50)
            self._transport.write(_STREAM_HEAD + _http_chunk(deltas + end) + _LAST_HTTP_CHUNK)

    def _pace(self, left: int, interval_s: float, due: float, end: bytes) -> None:
        if self._transport.is_closing():
            return
        if left:
            self._transport.write(_http_chunk(_DELTA))
            due += interval_s  # counted from the start, so that lateness does not add up
            asyncio.get_running_loop().call_at(due, self._pace, left - 1, interval_s, due, end)
            return
        self._transport.write(_http_chunk(end) + _LAST_HTTP_CHUNK)
        self._busy = False
        self._take_requests()


async def serve(host: str, port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(_Connection, host, port, backlog=1024)
    async with server:
        await server.serve_forever()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    given = options.parse_args()
    uvloop.run(serve(given.host, given.port))


if __name__ == "__main__":
    main()
