"""Strategies for bodies: nearly right requests, any JSON, and bytes that are no JSON."""

import json
from typing import Any, Final

from hypothesis import strategies as st

MODELS: Final = (
    "custom/echo", "openai/gpt-test", "gpt-test", "gemini/gemini-2.5-flash", "cerebras/llama3.1-8b", "ollama/llama3.2",
    "fallback", "nowhere/gpt", "nope/none", "nope",
)  # fmt: skip
_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
_SCHEMA: Final = {
    "name": "answer",
    "schema": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"type": "integer", "minimum": 3}},
    },
    "strict": True,
}
_CALL: Final = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
_IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
_USER: Final = {"role": "user", "content": "hello"}
CHATS: Final[tuple[dict[str, Any], ...]] = (
    {"messages": [_USER]},
    {"messages": [{"role": "system", "content": "Be short."}, _USER], "stream": True, "n": 2, "stop": ["a", "b"]},
    {
        "messages": [_USER, {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                     {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}],
        "tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False, "stream": True, "stream_options": {"include_usage": True},
    },
    {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look."}, _IMAGE,
                      {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                      {"type": "file", "file": {"filename": "a", "file_data": "data:text/plain;base64,aGk="}}]}],
        "max_tokens": 5, "logit_bias": {"50256": -100}, "logprobs": True, "top_logprobs": 3, "seed": 7,
    },
    {
        "messages": [_USER], "response_format": {"type": "json_schema", "json_schema": _SCHEMA},
        "temperature": 0.5, "top_p": 0.9, "frequency_penalty": 1, "presence_penalty": -1, "max_completion_tokens": 9,
        "metadata": {"a": "b"}, "user": "u", "reasoning_effort": "low", "service_tier": "auto", "store": False,
    },
    {
        "messages": [_USER], "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"},
        "prediction": {"type": "content", "content": "x"}, "web_search_options": {"search_context_size": "low"},
        "functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"},
    },
)  # fmt: skip
EMBEDDINGS: Final[tuple[dict[str, Any], ...]] = (
    {"input": "hello"},
    {"input": ["a", "b"], "encoding_format": "base64", "dimensions": 3, "user": "u"},
    {"input": [1, 2, 3]},
    {"input": [[1], [2, 3]]},
)

_NUMBERS = (
    st.integers()
    | st.sampled_from([-1, 0, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30])
    | st.floats()
    | st.sampled_from([1e308, -0.0, 5e-324])
)
_TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "", "auto", "none", "required", "json_object", "user", "data:image/png;base64,", "data:;base64,@@", "#/$defs/x",
        "http://[", "https://example.org/a.png", "{", "null", "\ud800", "\x00", "custom/embed", "true", "call_1",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def nearly_right(draw: st.DrawFn, seeds: tuple[dict[str, Any], ...], models: tuple[str, ...] = MODELS) -> Any:
    """A valid request in which up to three places were changed."""
    body = json.loads(json.dumps({"model": draw(st.sampled_from(models)), **draw(st.sampled_from(seeds))}))
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(_places(body)))
        change = draw(st.sampled_from(["replace", "replace", "delete", "wrap", "repeat", "rename", "add"]))
        if change == "replace":
            holder[key] = draw(VALUES)
        elif change == "delete":
            del holder[key]
        elif change == "wrap":
            holder[key] = [holder[key]]
        elif change == "repeat" and isinstance(holder, list):
            holder.extend([holder[key]] * draw(st.integers(1, 20)))
        elif change == "rename" and isinstance(holder, dict):
            holder[draw(_TEXTS)] = holder.pop(key)
        elif isinstance(holder, dict):
            holder[draw(_TEXTS)] = draw(VALUES)
        if not body:
            break
    return body


def _places(node: Any) -> list[tuple[Any, Any]]:
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
    found = [(node, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """A valid request of which bytes were cut, doubled or overwritten."""
    text = bytearray(json.dumps({"model": "custom/echo", **draw(st.sampled_from(CHATS + EMBEDDINGS))}).encode())
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 40)))
    text[start:end] = draw(st.binary(max_size=8)) if draw(st.booleans()) else text[start:end] * 2
    return bytes(text)
