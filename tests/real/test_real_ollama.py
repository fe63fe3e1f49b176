"""The gateway before a real Ollama, driven by OpenAI's SDK through Envoy.

Ollama is reached twice: by its native API, and by its own OpenAI endpoint as a vendor that is only a row of settings.
The models have random weights, so what they say means nothing; what is said about it must be right.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from gateway.providers.base import Provider
from tests.support.provider_calls import running_provider
from tests.support.real_ollama import CHAT_MODEL, EMBEDDING_MODEL, PROGRAM, RealOllama, running_real_ollama
from tests.support.stack import Stack, running_stack
from tests.support.tiny_gguf import CONTEXT, WIDTH

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PROGRAM, reason="OLLAMA_BIN does not name an Ollama program"),
]

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
TIME: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
        "strict": True,
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"enum": [1, 2]}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
NATIVE, COMPATIBLE = f"ollama/{CHAT_MODEL}", f"compatible/{CHAT_MODEL}"


@pytest.fixture(scope="module")
async def ollama(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealOllama]:
    async with running_real_ollama(tmp_path_factory.mktemp("ollama")) as running:
        yield running


@pytest.fixture(scope="module")
async def stack(ollama: RealOllama, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway with Ollama under both names."""
    yaml = f"providers: {{compatible: {{kind: openai, base_url: '{ollama.url}/v1'}}}}"
    environment = {"OLLAMA_HOST": ollama.url, "AI_GATEWAY_MAX_RETRIES": "0"}
    async with running_stack(tmp_path_factory.mktemp("stack"), environment, yaml) as running:
        yield running


@pytest.fixture
async def provider(ollama: RealOllama) -> AsyncIterator[Provider]:
    async with running_provider("ollama", ollama.url) as running:
        yield running


@pytest.mark.parametrize("model", [NATIVE, COMPATIBLE])
async def test_a_text(stack: Stack, model: str) -> None:
    """The cap is kept, the tokens are counted."""
    async with stack.openai() as client:
        completion = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=8, seed=1)

    assert completion.choices[0].finish_reason == "length"
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 8
    assert completion.usage.prompt_tokens > 0


@pytest.mark.parametrize("model", [NATIVE, COMPATIBLE])
async def test_a_stream_says_what_the_whole_answer_says(stack: Stack, model: str) -> None:
    """With one seed, the deltas joined are the whole text, and usage is the same."""
    ask: Any = {"model": model, "messages": HELLO, "max_tokens": 8, "seed": 1, "temperature": 0}
    async with stack.openai() as client:
        whole = await client.chat.completions.create(**ask)
        stream = await client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


async def test_a_schema_binds_even_random_weights(stack: Stack) -> None:
    """Ollama's grammar leaves no choice: the text is JSON of the schema."""
    async with stack.openai() as client:
        completion = await client.chat.completions.create(
            model=NATIVE,
            messages=HELLO,
            max_tokens=256,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
        )

    value = json.loads(completion.choices[0].message.content or "")
    assert value["colour"] in {"red", "green"}
    assert value["count"] in {1, 2}


async def test_a_conversation_with_tools_is_taken(stack: Stack) -> None:
    """Tools, a call of one and its result pass Ollama's own parser."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": '{"zone": "CET"}'}}
    messages: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]
    async with stack.openai() as client:
        completion = await client.chat.completions.create(model=NATIVE, messages=messages, tools=[TIME], max_tokens=4)

    assert completion.choices[0].finish_reason in {"length", "stop"}


async def test_log_probabilities(stack: Stack) -> None:
    """One entry for each token, with as many alternatives as asked for."""
    async with stack.openai() as client:
        completion = await client.chat.completions.create(
            model=NATIVE, messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2
        )

    logprobs = completion.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert {len(token.top_logprobs) for token in logprobs.content} == {2}


async def test_vectors(stack: Stack) -> None:
    """One of the model's width for each text, with the tokens counted."""
    async with stack.openai() as client:
        answer = await client.embeddings.create(model=f"ollama/{EMBEDDING_MODEL}", input=["hello", "you"])

    assert [len(item.embedding) for item in answer.data] == [WIDTH, WIDTH]
    assert answer.usage.prompt_tokens > 0


async def test_a_text_too_long_is_refused_and_not_cut(stack: Stack) -> None:
    """Ollama would cut it silently."""
    async with stack.openai() as client:
        with pytest.raises(openai.BadRequestError, match="context length"):
            await client.embeddings.create(model=f"ollama/{EMBEDDING_MODEL}", input="you " * 6000)


@pytest.mark.parametrize("provider_name", ["ollama", "compatible"])
async def test_an_unknown_model_is_not_found(stack: Stack, provider_name: str) -> None:
    """404 with Ollama's own text."""
    async with stack.openai() as client:
        with pytest.raises(openai.NotFoundError, match="'nope' not found"):
            await client.chat.completions.create(model=f"{provider_name}/nope", messages=HELLO)


async def test_models_are_listed(provider: Provider) -> None:
    """With the tag that Ollama gives them, and what they can do."""
    listed = {model.id: model for model in await provider.models()}

    assert set(listed) == {f"{CHAT_MODEL}:latest", f"{EMBEDDING_MODEL}:latest"}
    assert {"chat", "tools"} <= set(listed[f"{CHAT_MODEL}:latest"].capabilities)
    assert "embeddings" in listed[f"{EMBEDDING_MODEL}:latest"].capabilities
    assert "chat" not in listed[f"{EMBEDDING_MODEL}:latest"].capabilities
    assert {model.context_window for model in listed.values()} == {CONTEXT}


async def test_a_caller_who_leaves_stops_ollama(stack: Stack, ollama: RealOllama) -> None:
    """Ollama logs the request as ended long before it would have said everything."""
    async with stack.openai() as client:
        stream = await client.chat.completions.create(model=NATIVE, messages=HELLO, max_tokens=1900, stream=True)
        await anext(aiter(stream))
        before = ollama.log.read_text().count("/api/chat")
        await stream.close()
        async with asyncio.timeout(2):
            while ollama.log.read_text().count("/api/chat") == before:  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.01)
