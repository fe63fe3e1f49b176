"""Ollama and Cerebras behind the whole gateway: OpenAI's SDK through Envoy, and the stub."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from llmgateway.v1.chat_message_pb2 import ChatMessage, ContentPart, Role
from llmgateway.v1.chat_request_pb2 import ChatCompletionRequest
from llmgateway.v1.chat_service_pb2 import CreateChatCompletionRequest, StreamChatCompletionRequest
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support import cerebras_vendor as cerebras_wire
from tests.support import ollama_vendor as ollama_wire
from tests.support.stack import AUTH, Stack, running_stack
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Answer, Stream, sse

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
TIME: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
EMBEDDING = {"model": "all-minilm", "embeddings": [[0.25, -0.5]], "prompt_eval_count": 4}


@pytest.fixture
async def ollama_vendor() -> AsyncIterator[StrictVendor]:
    async with ollama_wire.running_ollama() as vendor:
        yield vendor


@pytest.fixture
async def cerebras_vendor() -> AsyncIterator[StrictVendor]:
    async with cerebras_wire.running_cerebras() as vendor:
        yield vendor


@pytest.fixture
async def stack(ollama_vendor: StrictVendor, cerebras_vendor: StrictVendor, tmp_path: Path) -> AsyncIterator[Stack]:
    """A gateway whose Ollama and Cerebras are the scripted vendors."""
    environment = {
        "OLLAMA_HOST": ollama_vendor.url.removeprefix("http://"),
        "CEREBRAS_API_KEY": "csk-vendor-secret",
        "CEREBRAS_BASE_URL": cerebras_vendor.url,
        "AI_GATEWAY_MAX_RETRIES": "0",
    }
    async with running_stack(tmp_path, environment) as running:
        yield running


async def test_ollama_answers_the_sdk(stack: Stack, ollama_vendor: StrictVendor) -> None:
    """A tool call, its result, and the text that follows; on the prefixed path the model is a bare name."""
    call = {"function": {"name": "get_time", "arguments": {"zone": "CET"}}}
    ollama_vendor.script_json(ollama_wire.answer({"tool_calls": [call]}))
    async with stack.openai() as client:
        first = await client.chat.completions.create(model="ollama/llama3.2", messages=HELLO, tools=[TIME])
    calls = first.choices[0].message.tool_calls
    assert calls is not None
    ollama_vendor.script_json(ollama_wire.answer({"content": "noon"}))
    messages: list[Any] = [
        *HELLO,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "12:00"},
    ]
    async with stack.openai(base_url=stack.url + "/ollama/v1") as client:
        second = await client.chat.completions.create(model="llama3.2", messages=messages)

    assert first.choices[0].finish_reason == "tool_calls"
    assert second.choices[0].message.content == "noon"
    assert second.usage is not None
    assert second.usage.total_tokens == 7
    assert [message.get("tool_name") for message in ollama_vendor.received[1].body["messages"]] == [
        None,
        None,
        "get_time",
    ]


async def test_ollama_streams_to_the_sdk_s_helper(stack: Stack, ollama_vendor: StrictVendor) -> None:
    """The SDK's strict accumulator reads the chunks, and shows usage when asked."""
    call = {"function": {"name": "get_time", "arguments": {}}}
    lines = [
        ollama_wire.answer({"content": "wait"}, done=False),
        ollama_wire.answer({"tool_calls": [call]}, done=False),
    ]
    ollama_vendor.script(Stream([ollama_wire.ndjson([line]) for line in [*lines, ollama_wire.answer({})]]))
    async with (
        stack.openai() as client,
        client.chat.completions.stream(
            model="ollama/llama3.2", messages=HELLO, tools=[TIME], stream_options={"include_usage": True}
        ) as stream,
    ):
        completion = await stream.get_final_completion()

    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("wait", "tool_calls")
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == "{}"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7


async def test_ollama_makes_vectors_for_the_sdk(stack: Stack, ollama_vendor: StrictVendor) -> None:
    """The SDK asks for base64 and unpacks it."""
    ollama_vendor.script_json(EMBEDDING)
    async with stack.openai() as client:
        answer = await client.embeddings.create(model="ollama/all-minilm", input="hello")

    assert answer.data[0].embedding == [0.25, -0.5]
    assert answer.usage.prompt_tokens == 4


async def test_cerebras_answers_the_sdk(stack: Stack, cerebras_vendor: StrictVendor) -> None:
    """Whole and streamed; the fields that only Cerebras has are there for who looks."""
    cerebras_vendor.script_json(cerebras_wire.answer({"content": "hello", "reasoning": "hm"}))
    async with stack.openai() as client:
        whole = await client.chat.completions.create(model="cerebras/gpt-oss-120b", messages=HELLO)
        cerebras_vendor.script(Stream([sse(*cerebras_wire.stream({"content": "hel"}, {"content": "lo"}))]))
        stream = await client.chat.completions.create(model="cerebras/gpt-oss-120b", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]

    assert whole.choices[0].message.content == "hello"
    assert whole.model_extra is not None
    assert whole.model_extra["time_info"]["queue_time"] == 0.00005
    assert whole.choices[0].message.model_extra == {"reasoning_content": "hm"}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello"
    assert chunks[-1].choices[0].finish_reason == "stop"


RATE_HEADERS = {"x-ratelimit-limit-tokens-minute": "60000", "x-ratelimit-remaining-tokens-minute": "59993"}


async def test_cerebras_s_rate_limit_headers_reach_json_callers(stack: Stack, cerebras_vendor: StrictVendor) -> None:
    """With a whole answer and before a stream's first chunk."""
    cerebras_vendor.script(
        Answer(json.dumps(cerebras_wire.answer({"content": "hello"})).encode(), headers=RATE_HEADERS),
        Stream([sse(*cerebras_wire.stream({"content": "hello"}))], headers=RATE_HEADERS),
    )
    ask: Any = {"model": "cerebras/gpt-oss-120b", "messages": HELLO}
    async with stack.openai() as client:
        whole = await client.chat.completions.with_raw_response.create(**ask)
        streamed = await client.chat.completions.with_raw_response.create(**ask, stream=True)
        async for _ in streamed.parse():
            pass

    for response in (whole, streamed):
        assert {name: response.headers.get(name) for name in RATE_HEADERS} == RATE_HEADERS


async def test_cerebras_s_rate_limit_headers_reach_stubs(stack: Stack, cerebras_vendor: StrictVendor) -> None:
    """As initial metadata."""
    cerebras_vendor.script(
        Answer(json.dumps(cerebras_wire.answer({"content": "hello"})).encode(), headers=RATE_HEADERS)
    )
    message = ChatMessage(role=Role.ROLE_USER, content=[ContentPart(text="hello")])
    request = CreateChatCompletionRequest(chat=ChatCompletionRequest(model="cerebras/gpt-oss-120b", messages=[message]))
    async with stack.channel() as channel:
        call = ChatServiceStub(channel).CreateChatCompletion(request, metadata=AUTH)
        metadata = dict(await call.initial_metadata())
        await call

    assert {name: metadata.get(name) for name in RATE_HEADERS} == RATE_HEADERS


@pytest.mark.parametrize("model", ["ollama/llama3.2", "cerebras/gpt-oss-120b"])
async def test_a_parameter_that_the_provider_lacks_is_named(stack: Stack, model: str) -> None:
    """422 with the parameter and the provider."""
    async with stack.openai() as client:
        with pytest.raises(openai.UnprocessableEntityError, match=f"provider '{model.partition('/')[0]}'") as caught:
            await client.chat.completions.create(model=model, messages=HELLO, store=True)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "store")


def held_stream(vendor: StrictVendor) -> None:
    """Answer with one line and then silence."""
    vendor.script(Stream([ollama_wire.ndjson([ollama_wire.answer({"content": "a"}, done=False)]), asyncio.Event()]))


async def test_a_caller_who_leaves_frees_ollama_json_edge(stack: Stack, ollama_vendor: StrictVendor) -> None:
    """Within 250 ms of the SDK's close, Ollama sees its caller gone."""
    held_stream(ollama_vendor)
    async with stack.openai() as client:
        stream = await client.chat.completions.create(model="ollama/llama3.2", messages=HELLO, stream=True)
        await anext(aiter(stream))
        await stream.close()
        async with asyncio.timeout(0.25):
            await ollama_vendor.caller_gone.wait()


async def test_a_caller_who_leaves_frees_ollama_typed_edge(stack: Stack, ollama_vendor: StrictVendor) -> None:
    """Within 250 ms of the stub's cancel, Ollama sees its caller gone."""
    held_stream(ollama_vendor)
    message = ChatMessage(role=Role.ROLE_USER, content=[ContentPart(text="hello")])
    request = StreamChatCompletionRequest(chat=ChatCompletionRequest(model="ollama/llama3.2", messages=[message]))
    async with stack.channel() as channel:
        call = ChatServiceStub(channel).StreamChatCompletion(request, metadata=AUTH)
        await call.read()
        call.cancel()
        async with asyncio.timeout(0.25):
            await ollama_vendor.caller_gone.wait()
