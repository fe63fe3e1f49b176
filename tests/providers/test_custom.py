"""The built-in provider: deterministic, and true to OpenAI's rules."""

import json
import time
from typing import Any

import pytest

from gateway.errors import ModelNotFound
from gateway.providers.custom import CustomProvider
from gateway.providers.tokens import count_tokens, token_texts
from gateway.wire.sse import DONE, payloads
from tests.support.calls import body_of, call_of


def user(text: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **({"parameters": parameters} if parameters else {})}}


async def answer(**fields: Any) -> dict[str, Any]:
    """Return the whole answer, after checking that its usage adds up."""
    got = await CustomProvider("custom").complete(call_of(body_of(**fields), "echo"))
    completion: dict[str, Any] = json.loads(got.body)
    usage = completion["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert got.usage is not None
    assert got.usage.total_tokens == usage["total_tokens"]
    return completion


async def streamed(**fields: Any) -> list[dict[str, Any]]:
    """Return the chunks of the same answer as a stream."""
    call = call_of(body_of(stream=True, **fields), "echo")
    data = b"".join([block async for block in CustomProvider("custom").stream(call)])
    assert data.endswith(DONE)
    return [json.loads(payload) for payload in payloads(data)]


def joined(chunks: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """Put a stream's deltas together, as a client does."""
    text, arguments, name, finish = "", "", None, None
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] == index:
                text += choice["delta"].get("content") or ""
                finish = choice["finish_reason"] or finish
                for call in choice["delta"].get("tool_calls", []):
                    name = call["function"].get("name", name)
                    arguments += call["function"].get("arguments", "")
    return {"content": text or None, "name": name, "arguments": arguments, "finish_reason": finish}


SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "boolean"}}}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"messages": user("hello wide world")}, {"content": "hello wide world", "finish_reason": "stop"}),
    "the last message": (
        {"messages": [*user("one"), {"role": "assistant", "content": "two"}, *user("three")]},
        {"content": "three", "finish_reason": "stop"},
    ),
    "text parts": (
        {
            "messages": user(
                [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                    {"type": "text", "text": "b"},
                ]
            )
        },
        {"content": "ab", "finish_reason": "stop"},
    ),
    "no text": ({"messages": [{"role": "assistant", "content": None}]}, {"content": None, "finish_reason": "stop"}),
    "characters of several tokens": (
        {"messages": user("ü 漢字 🎈👩‍👩‍👧‍👦")},
        {"content": "ü 漢字 🎈👩‍👩‍👧‍👦", "finish_reason": "stop"},
    ),
    "stop": ({"messages": user("a b STOP c"), "stop": "STOP"}, {"content": "a b ", "finish_reason": "stop"}),
    "the first of several stops": (
        {"messages": user("a b c d"), "stop": ["d", "b", ""]},
        {"content": "a ", "finish_reason": "stop"},
    ),
    "stop that does not occur": ({"messages": user("a"), "stop": "x"}, {"content": "a", "finish_reason": "stop"}),
    "cap": (
        {"messages": user("one two three four"), "max_tokens": 2},
        {"content": "one two", "finish_reason": "length"},
    ),
    "newer cap": (
        {"messages": user("one two three four"), "max_completion_tokens": 1, "max_tokens": 3},
        {"content": "one", "finish_reason": "length"},
    ),
    "cap that fits": ({"messages": user("one two"), "max_tokens": 2}, {"content": "one two", "finish_reason": "stop"}),
    "JSON object": (
        {"messages": user("hi"), "response_format": {"type": "json_object"}},
        {"content": '{"echo":"hi"}', "finish_reason": "stop"},
    ),
    "JSON schema": (
        {
            "messages": user("hi"),
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
        },
        {"content": '{"b":"text","a":true}', "finish_reason": "stop"},
    ),
    "tool": (
        {"messages": user("hi"), "tools": [tool("f", SCHEMA), tool("g")]},
        {"name": "f", "arguments": '{"b":"text","a":true}', "finish_reason": "tool_calls"},
    ),
    "named tool": (
        {
            "messages": user("hi"),
            "tools": [tool("f"), tool("g")],
            "tool_choice": {"type": "function", "function": {"name": "g"}},
        },
        {"name": "g", "arguments": "{}", "finish_reason": "tool_calls"},
    ),
    "tools forbidden": (
        {"messages": user("hi"), "tools": [tool("f")], "tool_choice": "none"},
        {"content": "hi", "finish_reason": "stop"},
    ),
    "tool's result": (
        {"messages": [*user("hi"), {"role": "tool", "tool_call_id": "1", "content": "sunny"}], "tools": [tool("f")]},
        {"content": "sunny", "finish_reason": "stop"},
    ),
    "named tool that is not there": (
        {
            "messages": user("hi"),
            "tools": [tool("f")],
            "tool_choice": {"type": "function", "function": {"name": "x"}},
        },
        {"content": "hi", "finish_reason": "stop"},
    ),
}


@pytest.mark.parametrize(("fields", "expected"), CASES.values(), ids=CASES.keys())
async def test_whole_and_streamed_say_the_same(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """By rule, and equal in both shapes."""
    choice = (await answer(**fields))["choices"][0]
    message = choice["message"]
    call = (message.get("tool_calls") or [{"function": {}}])[0]["function"]
    whole = {
        "content": message["content"] or None,
        "name": call.get("name"),
        "arguments": call.get("arguments", ""),
        "finish_reason": choice["finish_reason"],
    }

    assert whole == {"content": None, "name": None, "arguments": "", **expected}
    assert joined(await streamed(**fields)) == whole


async def test_several_choices_are_equal_and_paid_for() -> None:
    """`n` choices, each with its index and its own tool call id."""
    fields = {"messages": user("hi"), "tools": [tool("f")], "n": 3}
    completion = await answer(**fields)
    chunks = await streamed(**fields)

    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2]
    assert len({choice["message"]["tool_calls"][0]["id"] for choice in completion["choices"]}) == 3
    assert completion["usage"]["completion_tokens"] % 3 == 0
    assert {json.dumps(joined(chunks, index)) for index in range(3)} == {json.dumps(joined(chunks))}


async def test_logprobs_are_given_when_asked_for() -> None:
    """One for each token, whose bytes are its text."""
    fields = {"messages": user("hello world"), "logprobs": True}
    content = (await answer(**fields))["choices"][0]["logprobs"]["content"]
    chunks = await streamed(**fields)

    assert [bytes(token["bytes"]).decode() for token in content] == ["hello", " world"]
    assert [
        chunk["choices"][0]["logprobs"]["content"][0]["token"]
        for chunk in chunks
        if chunk["choices"] and chunk["choices"][0]["delta"].get("content")
    ] == ["hello", " world"]


async def test_the_same_request_gives_the_same_answer() -> None:
    """Down to the ids, within a second of time."""
    first, second = await answer(), await answer()

    assert {**first, "created": 0} == {**second, "created": 0}


async def test_only_echo_exists() -> None:
    """The name is said."""
    with pytest.raises(ModelNotFound, match="echo"):
        await CustomProvider("custom").complete(call_of(body_of(), "gpt"))


async def test_chunks_can_be_paced() -> None:
    """A stream that takes its time, to build against."""
    provider = CustomProvider("custom", chunk_delay=0.02)
    started = time.monotonic()
    chunks = [block async for block in provider.stream(call_of(body_of(stream=True), "echo"))]

    assert time.monotonic() - started >= 0.02 * (len(chunks) - 1)
    await provider.aclose()


@pytest.mark.parametrize("text", ["", "hello world", "ü漢🎈", "👩‍👩‍👧‍👦" * 3, "\n\t ", "<|endoftext|>"])
def test_tokens_join_to_the_text(text: str) -> None:
    """None has half a character; a special token's name is plain text."""
    assert "".join(token_texts(text)) == text
    assert count_tokens(text) >= len(token_texts(text))


def test_tokens_are_openai_s() -> None:
    """Against counts that OpenAI's own tokenizer gives for o200k_base."""
    assert count_tokens("hello world") == 2
    assert count_tokens("antidisestablishmentarianism") == 6
