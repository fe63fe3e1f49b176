"""With as many calls in hand as are allowed, further ones are turned away at once; those in hand go on."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest

from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.grpc_chat import request
from tests.support.stack import AUTH, Stack, running_stack
from tests.support.vendor import Stream, Vendor, chat_stream, sse

LIMIT = 8
CHAT = "/v1/chat/completions"
BODY = {"model": "openai/gpt-test", "messages": [{"role": "user", "content": "hello"}], "stream": True}
HEADERS = dict(AUTH)


@pytest.fixture(scope="module")
async def limited(session_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway that takes LIMIT calls at once."""
    environment = {
        "OPENAI_API_KEY": "sk-vendor",
        "OPENAI_BASE_URL": session_vendor.url + "/v1",
        "MAX_IN_FLIGHT": str(LIMIT),
    }
    async with running_stack(tmp_path_factory.mktemp("limited"), environment) as running:
        yield running


async def hold(stub: Any, vendor: Vendor, count: int) -> tuple[list[Any], asyncio.Event]:
    """Start `count` streams, read one message of each, and give them with the event that lets them go on."""
    go = asyncio.Event()
    chunks = chat_stream("one", "two")
    vendor.script(Stream([sse(chunks[0], done=False), go, sse(*chunks[1:])]))
    calls = [stub.StreamChatCompletion(request("openai/gpt-test"), metadata=AUTH) for _ in range(count)]
    for call in calls:
        assert await asyncio.wait_for(call.read(), 20) is not grpc.aio.EOF
    return calls, go


async def rest(call: Any) -> str:
    texts = []
    while (message := await call.read()) is not grpc.aio.EOF:
        texts += [choice.delta.content for choice in message.chunk.choices]
    return "".join(texts)


def counted(stack: Stack) -> float:
    labels = {"method": "/llmgateway.v1.OpenAIService/ChatCompletions", "provider": "", "reason": "OVERLOADED"}
    return stack.registry.get_sample_value("llmgateway_requests_total", labels) or 0


async def test_calls_above_the_limit_are_turned_away_and_those_in_hand_are_not_harmed(
    limited: Stack, vendor: Vendor
) -> None:
    """503, Retry-After and OpenAI's body; even for a body that is not JSON, for it is not read. Probes still pass."""
    before = counted(limited)
    async with limited.channel() as channel, aiohttp.ClientSession(limited.url) as http:
        calls, go = await hold(ChatServiceStub(channel), vendor, LIMIT)

        async def refused(body: bytes) -> tuple[int, str | None, Any]:
            async with http.post(CHAT, data=body, headers=HEADERS) as response:
                return response.status, response.headers.get("retry-after"), await response.json()

        answers = await asyncio.gather(*(refused(b"{not json") for _ in range(30)))
        async with http.get("/readyz") as probe:
            assert probe.status == 200
        go.set()
        texts = await asyncio.gather(*map(rest, calls))
        async with http.post(CHAT, json=BODY, headers=HEADERS) as after:
            assert (after.status, (await after.read())[-14:]) == (200, b"data: [DONE]\n\n")

    assert {(status, wait) for status, wait, _ in answers} == {(503, "1")}
    assert answers[0][2]["error"]["code"] == "server_is_overloaded"
    assert texts == ["onetwo"] * LIMIT
    assert counted(limited) - before == 30


async def test_a_call_is_turned_away_within_five_milliseconds(limited: Stack, vendor: Vendor) -> None:
    """The best of some, for the machine that tests has more to do."""
    times = []
    async with limited.channel() as channel:
        stub: Any = ChatServiceStub(channel)
        calls, go = await hold(stub, vendor, LIMIT)
        for _ in range(20):
            began = time.perf_counter()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.StreamChatCompletion(request("openai/gpt-test"), metadata=AUTH).read()
            times.append(time.perf_counter() - began)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        go.set()
        await asyncio.gather(*map(rest, calls))

    assert min(times) < 0.005


async def test_a_storm_never_has_more_in_hand_than_allowed(limited: Stack, vendor: Vendor) -> None:
    """Of many calls that start at once exactly LIMIT are taken."""
    go = asyncio.Event()
    chunks = chat_stream("one", "two")
    vendor.script(Stream([sse(chunks[0], done=False), go, sse(*chunks[1:])]))
    async with limited.channel() as channel:
        stub: Any = ChatServiceStub(channel)
        calls = [stub.StreamChatCompletion(request("openai/gpt-test"), metadata=AUTH) for _ in range(5 * LIMIT)]
        first = await asyncio.gather(*(call.read() for call in calls), return_exceptions=True)
        go.set()
        taken = [call for call, message in zip(calls, first, strict=True) if not isinstance(message, BaseException)]
        texts = await asyncio.gather(*map(rest, taken))

    assert texts == ["onetwo"] * LIMIT
    assert {error.code() for error in first if isinstance(error, grpc.aio.AioRpcError)} == {grpc.StatusCode.UNAVAILABLE}


async def test_without_a_limit_nothing_is_turned_away(stack: Stack, vendor: Vendor) -> None:
    """As it is by default."""
    async with stack.channel() as channel:
        calls, go = await hold(ChatServiceStub(channel), vendor, 3 * LIMIT)
        go.set()
        assert await asyncio.gather(*map(rest, calls)) == ["onetwo"] * 3 * LIMIT
