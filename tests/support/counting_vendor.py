"""An OpenAI-shaped vendor that keeps its own books: what it was asked and what it sent, by the caller's id.

The first message of a request is its orders as JSON: `id`, `prompt_tokens` and `tokens`. Every token is one chunk.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.vendor import sse

WORD = " apple"
"""One token of o200k_base, alone and repeated."""


@dataclass
class Order:
    """One request in the vendor's books."""

    prompt_tokens: int
    tokens: int
    sent: int = 0
    finished: bool = False
    body: dict[str, Any] = field(default_factory=dict)
    authorization: str = ""


class CountingVendor:
    """Answers what it is ordered to, and counts.

    `pace_s` is the pause after each chunk of a stream. In `lockstep` each chunk waits until `credits` of its id allows
    one more.
    """

    def __init__(self, pace_s: float, *, lockstep: bool) -> None:
        self.books: dict[str, Order] = {}
        self.credits: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
        self.url = ""
        self._pace_s = pace_s
        self._lockstep = lockstep

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        orders = json.loads(body["messages"][0]["content"])
        cap = body.get("max_completion_tokens") or body.get("max_tokens") or orders["tokens"]
        order = Order(
            orders["prompt_tokens"],
            min(orders["tokens"], cap),
            body=body,
            authorization=request.headers["authorization"],
        )
        assert orders["id"] not in self.books, "asked twice"
        self.books[orders["id"]] = order
        if body.get("stream"):
            return await self._stream(request, order, orders["id"])
        order.sent, order.finished = order.tokens, True
        message = {"role": "assistant", "content": WORD * order.tokens, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return web.json_response({**_head("chat.completion"), "choices": [choice], "usage": _usage(order)})

    async def _stream(self, request: web.Request, order: Order, call_id: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(sse(_chunk({"role": "assistant", "content": ""}), done=False))
        for _ in range(order.tokens):
            if self._lockstep:
                await self.credits[call_id].acquire()
            await response.write(sse(_chunk({"content": WORD}), done=False))
            order.sent += 1
            await asyncio.sleep(self._pace_s)
        usage = {**_head("chat.completion.chunk"), "choices": [], "usage": _usage(order)}
        order.finished = True
        await response.write(sse(_chunk({}, "stop"), usage))
        await response.write_eof()
        return response


def orders(call_id: str, tokens: int, prompt_tokens: int = 20) -> list[dict[str, Any]]:
    """Return the messages that order an answer."""
    content = json.dumps({"id": call_id, "prompt_tokens": prompt_tokens, "tokens": tokens})
    return [{"role": "user", "content": content}]


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1735689599, "model": "counted"}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_head("chat.completion.chunk"), "choices": [choice]}


def _usage(order: Order) -> dict[str, int]:
    return {
        "prompt_tokens": order.prompt_tokens,
        "completion_tokens": order.sent,
        "total_tokens": order.prompt_tokens + order.sent,
    }


@asynccontextmanager
async def counting_vendor(pace_s: float = 0.0, *, lockstep: bool = False) -> AsyncIterator[CountingVendor]:
    """Yield a vendor that listens on loopback."""
    vendor = CountingVendor(pace_s, lockstep=lockstep)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", vendor.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    host, port = runner.addresses[0][:2]
    vendor.url = f"http://{host}:{port}"
    try:
        yield vendor
    finally:
        await runner.cleanup()
