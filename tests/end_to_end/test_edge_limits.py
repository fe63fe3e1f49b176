"""What the edge lets in: browsers, connections, streams on a connection, pings, slow callers, sizes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.grpc_chat import request
from tests.support.raw_http2 import GOAWAY, PING, PREFACE, SETTINGS, frame, frames
from tests.support.stack import AUTH, Stack, running_stack
from tests.support.vendor import Stream, Vendor, chat_stream, sse

CHAT = "/v1/chat/completions"
BODY = {"model": "custom/echo", "messages": [{"role": "user", "content": "hello"}]}
PAGE = "https://app.example"
LIMIT_S = 20


@pytest.fixture(scope="module")
async def narrow(session_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway with every limit of its edge set low."""
    environment = {
        "OPENAI_API_KEY": "sk-vendor",
        "OPENAI_BASE_URL": session_vendor.url + "/v1",
        "CORS_ALLOW_ORIGINS": PAGE,
        "MAX_CONNECTIONS": "20",
        "MAX_CONCURRENT_STREAMS": "2",
        "REQUEST_READ_TIMEOUT_S": "0.5",
        "MAX_BODY_BYTES": "65536",
    }
    async with running_stack(tmp_path_factory.mktemp("narrow"), environment) as running:
        yield running


async def test_a_page_may_ask_and_read_what_it_needs(narrow: Stack) -> None:
    """Its preflight is answered without a key; the answer shows it the request id and the limits."""
    asked = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with aiohttp.ClientSession(narrow.url) as http:
        async with http.options(CHAT, headers=asked) as preflight:
            allowed = preflight.status, preflight.headers
        async with http.post(CHAT, json=BODY, headers={"origin": PAGE, **dict(AUTH)}) as answer:
            assert answer.status == 200
            exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
            shown = answer.headers["access-control-allow-origin"]

    assert (allowed[0], allowed[1]["access-control-allow-origin"]) == (200, PAGE)
    assert allowed[1]["access-control-allow-methods"] == "POST"
    assert shown == PAGE
    assert {"x-request-id", "retry-after", "x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens"} <= exposed


async def test_a_page_from_elsewhere_may_not(narrow: Stack) -> None:
    """Its preflight gets no permission."""
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with aiohttp.ClientSession(narrow.url) as http, http.options(CHAT, headers=asked) as preflight:
        assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param({"data": b"x" * 70_000}, 413, id="body"),
        pytest.param({"data": b"{}", "headers": {"x-long": "x" * 40_000}}, 431, id="headers"),
    ],
)
async def test_what_is_too_large_is_refused(narrow: Stack, sent: dict[str, Any], status: int) -> None:
    """With OpenAI's body."""
    async with aiohttp.ClientSession(narrow.url) as http, http.post(CHAT, **sent) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ", id="headers"),
        pytest.param(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{", id="body"),
    ],
)
async def test_a_slow_caller_is_sent_away(narrow: Stack, beginning: bytes) -> None:
    """Whoever begins a request and does not end it gets 408."""
    host, port = narrow.envoy.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(beginning)
    answer = await asyncio.wait_for(reader.readline(), LIMIT_S)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def is_open(reader: asyncio.StreamReader) -> bool:
    """Whether the peer, which must speak first, does."""
    try:
        return bool(await asyncio.wait_for(reader.read(1), LIMIT_S))
    except ConnectionError:
        return False


@pytest.mark.parametrize("port", ["envoy", "worker"])
async def test_connections_above_the_limit_are_closed(narrow: Stack, port: str) -> None:
    """The first ones go on, and when they leave there is room again."""
    host, number = (narrow.envoy if port == "envoy" else narrow.grpc).split(":")
    connections = []
    for _ in range(30):
        connections.append(await asyncio.open_connection(host, int(number)))
        connections[-1][1].write(PREFACE + frame(SETTINGS))
    answered = [await is_open(reader) for reader, _ in connections]
    for _, writer in connections:
        writer.close()

    assert answered[0]
    assert 1 <= sum(answered) <= 20
    async with asyncio.timeout(LIMIT_S):
        while True:
            reader, writer = await asyncio.open_connection(host, int(number))
            writer.write(PREFACE + frame(SETTINGS))
            again = await is_open(reader)
            writer.close()
            if again:
                break


@pytest.mark.parametrize("port", ["envoy", "worker"])
async def test_a_connection_carries_so_many_calls(narrow: Stack, vendor: Vendor, port: str) -> None:
    """It is told how many; a client that keeps to it waits with the third until one ends, and loses none."""
    go = asyncio.Event()
    chunks = chat_stream("one")
    vendor.script(Stream([sse(chunks[0], done=False), go, sse(*chunks[1:])]))
    async with narrow.channel(narrow.envoy if port == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        calls = [stub.StreamChatCompletion(request("openai/gpt-test"), metadata=AUTH, timeout=30) for _ in range(3)]
        first = [asyncio.create_task(call.read()) for call in calls]
        async with asyncio.timeout(LIMIT_S):
            while sum(begun.done() for begun in first) < 2:
                await asyncio.wait([begun for begun in first if not begun.done()], return_when=asyncio.FIRST_COMPLETED)
        assert len(vendor.received) == 2
        go.set()
        async with asyncio.timeout(LIMIT_S):
            codes = await asyncio.gather(*(ended(call, begun) for call, begun in zip(calls, first, strict=True)))

    assert codes == [grpc.StatusCode.OK] * 3
    assert len(vendor.received) == 3


async def ended(call: Any, begun: asyncio.Task[Any]) -> Any:
    message = await begun
    while message is not grpc.aio.EOF:
        message = await call.read()
    return await call.code()


@pytest.mark.parametrize("port", ["envoy", "worker"])
async def test_the_limit_of_calls_is_announced(narrow: Stack, port: str) -> None:
    """In the first SETTINGS frame, as HTTP/2 wants."""
    host, number = (narrow.envoy if port == "envoy" else narrow.grpc).split(":")
    reader, writer = await asyncio.open_connection(host, int(number))
    writer.write(PREFACE + frame(SETTINGS))
    async with asyncio.timeout(LIMIT_S):
        kind, _, payload = await anext(frames(reader))
    writer.close()

    values = {int.from_bytes(payload[at : at + 2], "big"): payload[at + 2 : at + 6] for at in range(0, len(payload), 6)}
    assert (kind, int.from_bytes(values[3], "big")) == (SETTINGS, 2)


async def test_who_pings_too_often_is_cut_off(narrow: Stack) -> None:
    """The worker's own port says ENHANCE_YOUR_CALM and hangs up."""
    host, port = narrow.grpc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS) + b"".join(frame(PING, bytes(8)) for _ in range(10)))
    async with asyncio.timeout(LIMIT_S):
        seen = [(kind, payload) async for kind, _, payload in frames(reader)]
    writer.close()

    goodbye = [payload for kind, payload in seen if kind == GOAWAY]
    assert goodbye
    assert b"too_many_pings" in goodbye[-1]
