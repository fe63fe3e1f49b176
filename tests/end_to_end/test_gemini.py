"""Gemini through the whole gateway: OpenAI's SDK through Envoy, and the typed edge."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import openai
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from gateway.config import load
from llmgateway.v1 import chat_message_pb2, chat_request_pb2, chat_service_pb2, chat_service_pb2_grpc
from tests.support.gemini import KEY, Gemini, answer, call_part, candidate, error, running_gemini, sse
from tests.support.stack import AUTH, Stack, running_stack
from tests.support.vendor import Stream

MODEL = "gemini/gemini-2.5-flash"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}

CHAT = chat_request_pb2.ChatCompletionRequest(
    model=MODEL,
    messages=[
        chat_message_pb2.ChatMessage(
            role=chat_message_pb2.ROLE_USER, content=[chat_message_pb2.ContentPart(text="hello")]
        )
    ],
)


@pytest.fixture(scope="module")
async def google() -> AsyncIterator[Gemini]:
    async with running_gemini() as running:
        yield running


@pytest.fixture(scope="module")
async def gateway(google: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    environment = {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": google.url, "AI_GATEWAY_MAX_RETRIES": "0"}
    async with running_stack(tmp_path_factory.mktemp("gemini"), environment) as running:
        yield running


async def test_a_tool_s_turn_goes_round_with_its_signature(gateway: Stack, google: Gemini) -> None:
    """The SDK sends back what it got, unknown fields too, and Gemini gets its signature again."""
    google.script_answers(
        answer(candidate(call_part("get_weather", {"city": "Rome"}, "c2ln"))), answer(candidate("sunny"))
    )
    async with gateway.openai() as client:
        first = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[TOOL])
        message = first.choices[0].message
        assert message.tool_calls is not None
        assistant = cast("ChatCompletionMessageParam", message.model_dump(exclude_none=True))
        second = await client.chat.completions.create(
            model=MODEL,
            messages=[*HELLO, assistant, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "26 C"}],
            tools=[TOOL],
        )

    assert first.choices[0].finish_reason == "tool_calls"
    assert second.choices[0].message.content == "sunny"
    assert google.received[-1].body["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"


async def test_the_sdk_s_stream_helper_reads_the_stream(gateway: Stack, google: Gemini) -> None:
    """Texts, thoughts, a call and the usage."""
    google.script_stream(
        answer(candidate({"text": "hm", "thought": True}, finish=None)),
        answer(candidate("hel", finish=None)),
        answer(candidate("lo", finish=None)),
        answer(candidate(call_part("get_weather", {"city": "Rome"}))),
    )
    async with (
        gateway.openai() as client,
        client.chat.completions.stream(
            model=MODEL, messages=HELLO, tools=[TOOL], stream_options={"include_usage": True}
        ) as stream,
    ):
        completion = await stream.get_final_completion()

    message = completion.choices[0].message
    assert message.content == "hello"
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"city":"Rome"}'
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 2


async def test_google_s_options_reach_gemini_and_no_one_else(gateway: Stack, google: Gemini) -> None:
    """Another provider's target refuses the field by name."""
    google.script_answers(answer(candidate("ok")))
    extra = {"google": {"cached_content": "cachedContents/abc"}}
    async with gateway.openai() as client:
        await client.chat.completions.create(model=MODEL, messages=HELLO, extra_body=extra)
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(model="custom/echo", messages=HELLO, extra_body=extra)

    assert google.received[-1].body["cachedContent"] == "cachedContents/abc"
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "google")


async def test_embeddings_come_as_the_sdk_asks_for_them(gateway: Stack, google: Gemini) -> None:
    """It asks for base64 unless told otherwise."""
    google.script_answers({"embeddings": [{"values": [0.5, -2.0]}]})
    async with gateway.openai() as client:
        made = await client.embeddings.create(model="gemini/gemini-embedding-001", input="hello")

    assert made.data[0].embedding == [0.5, -2.0]


async def test_a_limit_reaches_the_caller_with_its_wait(gateway: Stack, google: Gemini) -> None:
    """Google's RetryInfo is the caller's Retry-After."""
    google.script_json(
        error(429, "Quota exceeded.", "RESOURCE_EXHAUSTED", {"@type": "RetryInfo", "retryDelay": "17s"}), status=429
    )
    async with gateway.openai() as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)

    assert caught.value.response.headers["retry-after"] == "17"


async def test_an_error_in_a_stream_is_the_sdk_s_own(gateway: Stack, google: Gemini) -> None:
    """What came before arrives."""
    google.script(Stream([sse(answer(candidate("begun", finish=None))), sse(error(503, "Overloaded.", "UNAVAILABLE"))]))
    texts: list[str | None] = []

    async def read(client: openai.AsyncOpenAI) -> None:
        async for chunk in await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True):
            texts.extend(choice.delta.content for choice in chunk.choices)

    async with gateway.openai() as client:
        with pytest.raises(openai.APIError):
            await read(client)

    assert texts == ["", "begun"]


async def test_the_typed_edge_says_the_same(gateway: Stack, google: Gemini) -> None:
    """Whole and streamed, with the signature and Google's options as JSON text."""
    parts = {"text": "hm", "thought": True}, "see", call_part("get_weather", {"city": "Rome"}, "c2ln", id="fc-1")
    chat = chat_request_pb2.ChatCompletionRequest()
    chat.CopyFrom(CHAT)
    chat.extra_body_json = '{"google":{"thinking_config":{"thinking_budget":0}}}'
    async with gateway.channel() as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        google.script_answers(answer(candidate(*parts)))
        whole = await stub.CreateChatCompletion(
            chat_service_pb2.CreateChatCompletionRequest(chat=chat), metadata=AUTH, timeout=10
        )
        google.script_stream(answer(candidate(*parts)))
        request = chat_service_pb2.StreamChatCompletionRequest(chat=chat, include_usage=True)
        streamed = [one.chunk async for one in stub.StreamChatCompletion(request, metadata=AUTH, timeout=10)]

    message = whole.completion.choices[0].message
    assert (message.content, message.reasoning_content) == ("see", "hm")
    assert message.tool_calls[0].function.arguments == '{"city":"Rome"}'
    assert json.loads(message.tool_calls[0].extra_content_json) == {"google": {"thought_signature": "c2ln"}}
    delta: Any = streamed[1].choices[0].delta
    assert (delta.content, delta.reasoning_content, delta.tool_calls[0].id) == ("see", "hm", "fc-1")
    assert delta.tool_calls[0].extra_content_json == message.tool_calls[0].extra_content_json
    assert streamed[-1].usage == whole.completion.usage
    assert google.received[-1].body["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}


async def test_leaving_closes_the_vendor_s_connection_on_both_edges(gateway: Stack, google: Gemini) -> None:
    """Within 250 ms, in the middle of a stream."""
    begun = Stream([sse(answer(candidate("begun", finish=None))), asyncio.Event()])
    google.script(begun)
    google.caller_gone = asyncio.Event()
    async with gateway.openai() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        await anext(aiter(stream))
        await stream.close()
        async with asyncio.timeout(0.25):
            await google.caller_gone.wait()

    google.caller_gone = asyncio.Event()
    async with gateway.channel() as channel:
        call = chat_service_pb2_grpc.ChatServiceStub(channel).StreamChatCompletion(
            chat_service_pb2.StreamChatCompletionRequest(chat=CHAT), metadata=AUTH, timeout=10
        )
        await call.read()
        call.cancel()
        async with asyncio.timeout(0.25):
            await google.caller_gone.wait()


def test_gemini_is_there_once_it_has_a_key() -> None:
    """Its public address needs one; an address of one's own need not."""
    assert "gemini" not in load({}).enabled_providers()
    assert "gemini" in load({"GEMINI_API_KEY": KEY}).enabled_providers()
    assert "gemini" in load({"GEMINI_BASE_URL": "http://127.0.0.1:9"}).enabled_providers()
