"""A vendor's HTTP API, played by a real server on loopback that answers what a test scripts."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Received:
    """One request as the vendor saw it."""

    path: str
    headers: Mapping[str, str]
    text: str
    peer: object = None
    """The other end of the connection that it came by."""

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.text)
        return body


@dataclass
class Answer:
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_for: asyncio.Event | None = None


@dataclass
class Stream:
    """A streamed answer, sent in the given packets; a pause is an event that the test sets.

    `end` is how it ends: `clean` closes the HTTP answer properly, `reset` drops the connection.
    """

    packets: Sequence[bytes | asyncio.Event]
    end: str = "clean"
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


class Vendor:
    """Answers each request with the next scripted answer, the last one again and again."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.caller_gone = asyncio.Event()
        self.arrived = asyncio.Event()
        self.url = ""
        self._script: deque[Answer | Stream] = deque()

    def script(self, *answers: Answer | Stream) -> None:
        """Replace what is still to be answered."""
        self._script = deque(answers)

    def script_json(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.script(Answer(json.dumps(body).encode(), status=status, headers=headers or {}))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode()
        caller_gone = self.caller_gone  # this test's, also if the caller leaves in the next one
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        self.received.append(Received(request.path_qs, dict(request.headers), text, peer))
        self.arrived.set()
        if not self._script:
            return web.Response(status=500, text="nothing scripted")
        answer = self._script.popleft() if len(self._script) > 1 else self._script[0]
        try:
            if isinstance(answer, Stream):
                return await self._stream(request, answer)
            if answer.wait_for is not None:
                await answer.wait_for.wait()
        except (asyncio.CancelledError, ConnectionResetError):
            caller_gone.set()
            raise
        return web.Response(
            body=answer.body, status=answer.status, headers=answer.headers, content_type=answer.content_type
        )

    async def _stream(self, request: web.Request, answer: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": answer.content_type, **answer.headers})
        await response.prepare(request)
        for packet in answer.packets:
            if isinstance(packet, asyncio.Event):
                await packet.wait()
            else:
                await response.write(packet)
                await asyncio.sleep(0)
        if answer.end == "reset":
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write_eof()
        return response


@asynccontextmanager
async def running_vendor(vendor: Vendor | None = None) -> AsyncIterator[Vendor]:
    """Yield a vendor that listens on loopback at `vendor.url`."""
    vendor = vendor or Vendor()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    vendor.url = f"http://{host}:{port}"
    try:
        yield vendor
    finally:
        await runner.cleanup()


def sse(*payloads: Any, done: bool = True) -> bytes:
    """Frame JSON values as OpenAI's SSE."""
    events = b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)
    return events + (b"data: [DONE]\n\n" if done else b"")


def completion(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A `chat.completion` as OpenAI sends it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1735689599,
        "model": "gpt-test",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        **fields,
    }


def chunk(delta: Mapping[str, Any] | None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A `chat.completion.chunk`; without a delta it has no choices."""
    choices = [{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}] if delta is not None else []
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1735689599,
        "model": "gpt-test",
        "choices": choices,
        **fields,
    }


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def chat_stream(*texts: str, usage: bool = True) -> list[dict[str, Any]]:
    """The chunks of a whole stream: role, one delta a text, finish, usage."""
    chunks = [chunk({"role": "assistant", "content": "", "refusal": None})]
    chunks += [chunk({"content": text}) for text in texts]
    chunks.append(chunk({}, "stop"))
    if usage:
        chunks.append(chunk(None, usage=USAGE))
    return chunks
