"""OpenAI's own SDK, unmodified, as the client: only base URL and key differ."""

import asyncio
from typing import Any, cast

import openai
import pydantic
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from tests.support.stack import KEY, Stack

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello wide world"}]
WEATHER_TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


async def test_a_chat_is_answered(stack: Stack) -> None:
    """The async client gets a whole completion with exact usage."""
    async with stack.openai() as client:
        completion = await client.chat.completions.create(model="custom/echo", messages=HELLO)

    assert completion.choices[0].message.content == "hello wide world"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3
    assert completion._request_id


async def test_the_sync_client_works_too(stack: Stack) -> None:
    """The blocking client, in a thread, gets the same answer."""

    def ask() -> str | None:
        with OpenAI(base_url=stack.url + "/v1", api_key=KEY, max_retries=0) as client:
            return client.chat.completions.create(model="echo", messages=HELLO).choices[0].message.content

    assert await asyncio.to_thread(ask) == "hello wide world"


async def test_a_stream_arrives_in_chunks_with_usage_when_asked(stack: Stack) -> None:
    """Role first, texts, finish reason, then the usage chunk."""
    async with stack.openai() as client:
        stream = await client.chat.completions.create(
            model="custom/echo",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello wide world"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_a_stream_has_no_usage_chunk_unless_asked(stack: Stack) -> None:
    """Programs that index `choices[0]` of every chunk do not break."""
    async with stack.openai() as client:
        stream = await client.chat.completions.create(model="custom/echo", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]

    assert all(chunk.choices for chunk in chunks)


async def test_parse_returns_the_caller_s_own_type(stack: Stack) -> None:
    """Structured output: the SDK's `parse` validates the answer against the schema it sent."""

    class Step(pydantic.BaseModel):
        explanation: str
        score: float

    class Plan(pydantic.BaseModel):
        steps: list[Step]
        final: bool

    async with stack.openai() as client:
        completion = await client.chat.completions.parse(model="custom/echo", messages=HELLO, response_format=Plan)

    assert completion.choices[0].message.parsed == Plan(steps=[Step(explanation="text", score=1.0)], final=True)


async def test_a_tool_is_called_and_its_result_answered(stack: Stack) -> None:
    """The two turns of a tool call, whole."""
    async with stack.openai() as client:
        first = await client.chat.completions.create(model="custom/echo", messages=HELLO, tools=[WEATHER_TOOL])
        message = first.choices[0].message
        assert message.tool_calls is not None
        call = message.tool_calls[0]
        assert call.type == "function"
        assistant = cast("ChatCompletionMessageParam", message.model_dump(exclude_none=True))
        second = await client.chat.completions.create(
            model="custom/echo",
            messages=[*HELLO, assistant, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}],
            tools=[WEATHER_TOOL],
        )

    assert first.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"text","days":2}')
    assert second.choices[0].message.content == "sunny"


async def test_the_sdk_s_stream_helper_joins_tool_calls(stack: Stack) -> None:
    """The SDK's accumulating helper, which is strict about indexes and repeated names, reads our stream."""
    async with (
        stack.openai() as client,
        client.chat.completions.stream(model="custom/echo", messages=HELLO, tools=[WEATHER_TOOL]) as stream,
    ):
        completion = await stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"city":"text","days":2}'
    assert completion.choices[0].message.role == "assistant"


@pytest.mark.parametrize(
    ("options", "expected", "code"),
    [
        pytest.param({"model": "nope"}, openai.NotFoundError, "model_not_found", id="unknown model"),
        pytest.param({"temperature": 9}, openai.UnprocessableEntityError, "invalid_value", id="out of range"),
        pytest.param({"extra_body": {"foo": 1}}, openai.UnprocessableEntityError, "unknown_parameter", id="unknown"),
        pytest.param({"messages": []}, openai.UnprocessableEntityError, "invalid_value", id="no messages"),
    ],
)
async def test_bad_input_raises_the_sdk_s_own_class(
    stack: Stack, options: dict[str, Any], expected: type[openai.APIStatusError], code: str
) -> None:
    """The status picks the SDK's exception; the body has OpenAI's code."""
    async with stack.openai() as client:
        with pytest.raises(expected) as caught:
            await client.chat.completions.create(**{"model": "custom/echo", "messages": HELLO, **options})

    assert caught.value.code == code
    assert caught.value.request_id


async def test_a_wrong_key_is_an_authentication_error(stack: Stack) -> None:
    """401 with `invalid_api_key`."""
    async with stack.openai(api_key="sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="custom/echo", messages=HELLO)

    assert caught.value.code == "invalid_api_key"


async def test_models_are_listed_and_found(stack: Stack) -> None:
    """Ids with a slash work, percent-encoded by the SDK."""
    async with stack.openai() as client:
        listed = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("custom/echo")

    assert "custom/echo" in listed
    assert one.owned_by == "custom"
