"""The gateway before a real OpenAI-compatible server that is only a row of settings, driven by OpenAI's SDK."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.real_llama_cpp import MODEL, PYTHON, running_llama_cpp
from tests.support.stack import Stack, running_stack

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON, reason="LLAMA_CPP_PYTHON does not name a Python with llama_cpp.server"),
]

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_llama_cpp(tmp_path_factory.mktemp("llama_cpp")) as url:
        yaml = f"providers: {{local: {{kind: openai, base_url: '{url}'}}}}"
        environment = {"AI_GATEWAY_MAX_RETRIES": "0"}
        async with running_stack(tmp_path_factory.mktemp("stack"), environment, yaml) as running:
            yield running


async def test_a_text(stack: Stack) -> None:
    """The cap is kept; usage is what the server counts, which is one more than its own cap."""
    async with stack.openai() as client:
        completion = await client.chat.completions.create(
            model=f"local/{MODEL}", messages=HELLO, max_tokens=8, logit_bias={"2": -100}
        )

    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens in {8, 9}
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


async def test_a_stream_says_what_the_whole_answer_says(stack: Stack) -> None:
    """With one seed and no chance, the deltas joined are the whole text."""
    ask: Any = {"model": f"local/{MODEL}", "messages": HELLO, "max_tokens": 8, "seed": 1, "temperature": 0}
    async with stack.openai() as client:
        whole = await client.chat.completions.create(**ask)
        chunks = [chunk async for chunk in await client.chat.completions.create(**ask, stream=True)]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


async def test_json_mode(stack: Stack) -> None:
    """The server's grammar makes even random weights write JSON."""
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}
    response_format: Any = {"type": "json_object", "schema": schema}
    async with stack.openai() as client:
        completion = await client.chat.completions.create(
            model=f"local/{MODEL}", messages=HELLO, max_tokens=200, response_format=response_format
        )

    assert json.loads(completion.choices[0].message.content or "")["colour"] in {"red", "green"}


async def test_its_own_refusal_reaches_the_caller(stack: Stack) -> None:
    """A prompt longer than its context is the caller's error, in the server's words."""
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "you " * 4000}]
    async with stack.openai() as client:
        with pytest.raises(openai.BadRequestError, match="context"):
            await client.chat.completions.create(model=f"local/{MODEL}", messages=long)
