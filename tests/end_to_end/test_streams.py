"""Streams as callers see them: framing, errors on the way, time, and callers that leave."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import grpc
import pytest
from google.rpc import error_details_pb2 as details_pb
from grpc_status import rpc_status

from llmgateway.v1 import chat_message_pb2, chat_request_pb2
from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.stack import AUTH, KEY, Stack
from tests.support.vendor import Answer, Stream, Vendor, chat_stream, chunk, completion, sse

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {KEY}"}
FIRST = sse(chunk({"content": "a"}), done=False)


def body(model: str = "openai/gpt-test", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello wide world"}], **fields}


def typed(model: str = "openai/gpt-test") -> chat_request_pb2.ChatCompletionRequest:
    part = chat_message_pb2.ContentPart(text="hello wide world")
    message = chat_message_pb2.ChatMessage(role=chat_message_pb2.ROLE_USER, content=[part])
    return chat_request_pb2.ChatCompletionRequest(model=model, messages=[message])


async def post(
    stack: Stack, fields: dict[str, Any], query: str = "", **headers: str
) -> tuple[int, str, bytes, dict[str, str]]:
    """Return status, content type, body and headers of one answer."""
    async with (
        aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.post(CHAT + query, json=fields, headers={**HEADERS, **headers}) as response,
    ):
        data = await response.read()
        names = {name.lower(): value for name, value in response.headers.items()}
        return response.status, names["content-type"], data, names


async def test_without_a_word_about_streams_the_answer_is_json(stack: Stack) -> None:
    """One object."""
    status, content_type, data, _ = await post(stack, body("custom/echo"))

    assert (status, content_type) == (200, "application/json")
    assert json.loads(data)["object"] == "chat.completion"


@pytest.mark.parametrize("how", ["body", "query", "header"])
async def test_sse_is_what_openai_sends(stack: Stack, how: str) -> None:
    """`data:` events and `[DONE]`, whether the body, the query or the header asks."""
    fields = body("custom/echo", **({"stream": True} if how == "body" else {}))
    headers = {"x-stream-mode": "sse"} if how == "header" else {}
    status, content_type, data, _ = await post(stack, fields, "?stream_mode=sse" if how == "query" else "", **headers)

    assert (status, content_type) == (200, "text/event-stream")
    events = data.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "hello wide world"


@pytest.mark.parametrize("how", ["query", "header"])
async def test_ndjson_is_one_object_a_line(stack: Stack, how: str) -> None:
    """The same chunks, without framing and without `[DONE]`."""
    headers = {"x-stream-mode": "ndjson"} if how == "header" else {}
    query = "?stream_mode=ndjson" if how == "query" else ""
    status, content_type, data, _ = await post(stack, body("custom/echo"), query, **headers)

    assert (status, content_type) == (200, "application/json")
    chunks = [json.loads(line) for line in data.splitlines()]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("how", ["query", "header"])
async def test_text_is_the_text_alone(stack: Stack, how: str) -> None:
    """For terminals and shell scripts."""
    headers = {"x-stream-mode": "text"} if how == "header" else {}
    query = "?stream_mode=text" if how == "query" else ""
    status, content_type, data, _ = await post(stack, body("custom/echo"), query, **headers)

    assert (status, content_type, data) == (200, "text/plain; charset=utf-8", b"hello wide world")


async def test_the_query_goes_before_the_header(stack: Stack) -> None:
    """And both before the body."""
    _, content_type, _, _ = await post(
        stack, body("custom/echo", stream=True), "?stream_mode=text", **{"x-stream-mode": "ndjson"}
    )

    assert content_type.startswith("text/plain")


async def test_a_vendor_s_stream_arrives_byte_for_byte(stack: Stack, vendor: Vendor) -> None:
    """Unknown fields, spacing and characters; only the usage that nobody asked for is taken out."""
    odd = b'data: { "x_odd": [1.0, null], "choices":[{"index":0,"delta":{"content":"\xc3\xbc"}}] }\n\n'
    vendor.script(Stream([odd[:30], odd[30:57], odd[57:] + b"data: [DONE]\n\n"]))
    _, _, data, _ = await post(stack, body(stream=True))

    assert data == odd + b"data: [DONE]\n\n"


async def test_each_chunk_arrives_when_it_is_sent(stack: Stack, vendor: Vendor) -> None:
    """Nothing waits for more: the caller holds the first chunk while the vendor has not sent the second."""
    go_on = asyncio.Event()
    vendor.script(Stream([FIRST, go_on, sse(chunk({}, "stop"))]))
    async with (
        aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.post(CHAT, json=body(stream=True), headers=HEADERS) as response,
    ):
        assert await response.content.readuntil(b"\n\n") == FIRST
        go_on.set()
        assert (await response.content.read()).endswith(b"[DONE]\n\n")


CUTS = {
    "reset": Stream([FIRST, b'data: {"half'], end="reset"),
    "clean end without [DONE]": Stream([FIRST, b'data: {"half']),
    "error event": Stream([FIRST + sse({"error": {"message": "gone", "type": "server_error"}})]),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_cut_stream_ends_with_an_error_event(stack: Stack, vendor: Vendor, cut: Stream) -> None:
    """OpenAI's error as the last event and no `[DONE]`: a cut stream is never taken for a whole one."""
    vendor.script(cut)
    status, _, data, _ = await post(stack, body(stream=True))

    assert status == 200
    first, last, rest = data.split(b"\n\n")
    assert (first + b"\n\n", rest) == (FIRST, b"")
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "provider_error", None)


async def test_the_sdk_raises_for_a_cut_stream(stack: Stack, vendor: Vendor) -> None:
    """An unmodified program notices."""
    import openai

    vendor.script(CUTS["reset"])
    async with stack.openai() as client:
        stream = await client.chat.completions.create(
            model="openai/gpt-test", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(openai.APIError, match="broke off"):
            [_ async for _ in stream]


@pytest.mark.parametrize(
    ("mode", "last"), [("ndjson", b'{"error":{"message":'), ("text", b"[error: ")], ids=["ndjson", "text"]
)
async def test_other_modes_end_with_the_error_in_their_own_form(
    stack: Stack, vendor: Vendor, mode: str, last: bytes
) -> None:
    """A line of JSON, a line of text."""
    vendor.script(CUTS["reset"])
    _, _, data, _ = await post(stack, body(), f"?stream_mode={mode}")

    assert data.splitlines()[-1].startswith(last)


async def test_a_chunk_that_is_not_json_is_an_error_in_text_mode(stack: Stack, vendor: Vendor) -> None:
    """Text has to be taken out of each chunk; what cannot be read is the provider's fault."""
    go_on = asyncio.Event()
    vendor.script(Stream([FIRST, go_on, b"data: {broken\n\n"]))
    async with (
        aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.post(CHAT + "?stream_mode=text", json=body(), headers=HEADERS) as response,
    ):
        assert await response.content.readexactly(1) == b"a"
        go_on.set()
        rest = await response.content.read()

    assert rest.startswith(b"\n[error: The provider's stream")


@pytest.mark.parametrize("way", ["envoy", "direct"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_cut_stream_ends_with_a_status_on_the_typed_edge(
    stack: Stack, vendor: Vendor, cut: Stream, way: str
) -> None:
    """The chunks that came, then UNAVAILABLE with details."""
    vendor.script(cut)
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(pb.StreamChatCompletionRequest(chat=typed()), metadata=AUTH, timeout=20)
        first = await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        status = await rpc_status.aio.from_call(call)

    assert first.chunk.choices[0].delta.content == "a"
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    info = details_pb.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert (info.reason, info.metadata["fault"]) == ("PROVIDER_ERROR", "provider")


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_html_with_status_200_is_502(stack: Stack, vendor: Vendor, streaming: bool) -> None:
    """A login page in front of the vendor."""
    vendor.script(Answer(b"<html>please log in</html>", content_type="text/html"))
    status, _, data, _ = await post(stack, body(stream=streaming))

    assert status == 502
    assert json.loads(data)["error"]["code"] == "provider_error"
    assert b"log in" not in data


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_a_vendor_s_429_arrives_with_its_wait(stack: Stack, vendor: Vendor, streaming: bool) -> None:
    """Whole seconds, rounded up, and the vendor's own type."""
    error = {"message": "slow down", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}
    vendor.script_json({"error": error}, status=429, headers={"retry-after-ms": "2500"})
    status, _, data, headers = await post(stack, body(stream=streaming))

    assert (status, headers["retry-after"]) == (429, "3")
    assert json.loads(data) == {"error": error}


@pytest.mark.parametrize("wait", ["inf", "nan", "1e400"])
async def test_a_nonsense_wait_is_left_out(stack: Stack, vendor: Vendor, wait: str) -> None:
    """It does not break the answer about the error."""
    vendor.script_json({"error": {"message": "slow down"}}, status=429, headers={"retry-after": wait})
    status, _, _, headers = await post(stack, body())

    assert status == 429
    assert "retry-after" not in headers


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_the_timeout_header_bounds_the_call(stack: Stack, vendor: Vendor, streaming: bool) -> None:
    """x-request-timeout-ms: 504 soon after, and the vendor is let go."""
    vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    started = time.monotonic()
    status, _, data, _ = await post(stack, body(stream=streaming), **{"x-request-timeout-ms": "150"})
    took = time.monotonic() - started
    async with asyncio.timeout(5):
        await vendor.caller_gone.wait()

    assert (status, json.loads(data)["error"]["code"]) == (504, "timeout")
    assert 0.15 <= took < 5


@pytest.mark.parametrize("way", ["envoy", "direct"])
async def test_the_grpc_deadline_bounds_the_call(stack: Stack, vendor: Vendor, way: str) -> None:
    """The gateway's own status with details arrives before the client gives up."""
    vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        await channel.channel_ready()
        call = stub.CreateChatCompletion(pb.CreateChatCompletionRequest(chat=typed()), metadata=AUTH, timeout=0.5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    async with asyncio.timeout(5):
        await vendor.caller_gone.wait()

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("way", ["json", "envoy", "direct"])
async def test_a_caller_that_leaves_frees_the_vendor(stack: Stack, vendor: Vendor, way: str, streaming: bool) -> None:
    """Through every edge, within a quarter of a second."""
    never = asyncio.Event()
    vendor.script(Stream([FIRST, never]) if streaming else Answer(b"{}", wait_for=never))

    async def call() -> None:
        if way == "json":
            await post(stack, body(stream=streaming))
            return
        async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
            stub: Any = ChatServiceStub(channel)
            if streaming:
                request = pb.StreamChatCompletionRequest(chat=typed())
                async for _ in stub.StreamChatCompletion(request, metadata=AUTH, timeout=20):
                    pass
            else:
                await stub.CreateChatCompletion(pb.CreateChatCompletionRequest(chat=typed()), metadata=AUTH, timeout=20)

    task = asyncio.create_task(call())
    async with asyncio.timeout(10):
        await vendor.arrived.wait()
        left = time.monotonic()
        task.cancel()
        await vendor.caller_gone.wait()

    assert time.monotonic() - left < 0.25


@pytest.mark.parametrize("way", ["envoy", "direct"])
async def test_the_typed_edge_streams_chunks(stack: Stack, vendor: Vendor, way: str) -> None:
    """One message a chunk, usage when asked for."""
    vendor.script(Stream([sse(*chat_stream("a", "b"))]))
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        request = pb.StreamChatCompletionRequest(chat=typed(), include_usage=True)
        chunks = [message.chunk async for message in stub.StreamChatCompletion(request, metadata=AUTH, timeout=20)]

    assert "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices) == "ab"
    assert chunks[-1].usage.total_tokens == 7


@pytest.mark.parametrize("way", ["envoy", "direct"])
async def test_the_typed_edge_answers_whole(stack: Stack, vendor: Vendor, way: str) -> None:
    """What the contract does not know comes as `extra_json`."""
    vendor.script_json(completion("hi", x_vendor={"a": 1}))
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        answer = await stub.CreateChatCompletion(
            pb.CreateChatCompletionRequest(chat=typed()), metadata=AUTH, timeout=20
        )

    assert answer.completion.choices[0].message.content == "hi"
    assert json.loads(answer.completion.extra_json) == {"x_vendor": {"a": 1}}
