"""Ollama as its `docs/api.md` and `api/types.go` describe it: what it takes and what it answers."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import running_vendor


class _Strict(Struct, forbid_unknown_fields=True):
    pass


class _Function(_Strict, kw_only=True):
    name: str
    arguments: dict[str, Any]


class _ToolCall(_Strict, kw_only=True):
    id: str = ""
    function: _Function


class _Message(_Strict, kw_only=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    thinking: str = ""
    images: Annotated[list[bytes], Meta(min_length=1)] | None = None
    tool_calls: Annotated[list[_ToolCall], Meta(min_length=1)] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _ToolFunction(_Strict, kw_only=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None


class _Tool(_Strict, kw_only=True):
    type: Literal["function"]
    function: _ToolFunction


class _Options(_Strict, kw_only=True):
    num_ctx: int | None = None
    num_keep: int | None = None
    seed: int | None = None
    num_predict: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    temperature: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | None = None


class _Chat(_Strict, kw_only=True):
    model: str
    messages: list[_Message]
    stream: bool
    format: Literal["json"] | dict[str, Any] | None = None
    keep_alive: str | float | None = None
    tools: Annotated[list[_Tool], Meta(min_length=1)] | None = None
    options: _Options | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class _Embed(_Strict, kw_only=True):
    model: str
    input: str | list[str]
    truncate: bool | None = None
    keep_alive: str | float | None = None
    dimensions: int | None = None


class _Show(_Strict):
    model: str


@asynccontextmanager
async def running_ollama() -> AsyncIterator[StrictVendor]:
    """Yield an Ollama that listens at `vendor.url`; on leaving, it has had nothing to complain about."""
    vendor = StrictVendor({"/api/chat": _Chat, "/api/embed": _Embed, "/api/show": _Show})
    async with running_vendor(vendor):
        yield vendor
    assert vendor.complaints == []


COUNTS = {
    "total_duration": 5191566416,
    "load_duration": 2154458,
    "prompt_eval_count": 5,
    "prompt_eval_duration": 383809000,
    "eval_count": 2,
    "eval_duration": 4799921000,
}


def answer(message: Mapping[str, Any], *, done: bool = True, **fields: Any) -> dict[str, Any]:
    """One answer or line; a line that is done has the counts."""
    return {
        "model": "llama3.2",
        "created_at": "2026-01-12T20:16:07.414671329Z",
        "message": {"role": "assistant", "content": "", **message},
        "done": done,
        **({"done_reason": "stop", **COUNTS} if done else {}),
        **fields,
    }


def ndjson(lines: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def text_lines(*texts: str) -> list[dict[str, Any]]:
    """The lines of a streamed text."""
    return [*(answer({"content": text}, done=False) for text in texts), answer({})]


def tags(*names: str) -> dict[str, Any]:
    """The list of models of `GET /api/tags`."""
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    }
    return {
        "models": [
            {
                "name": name,
                "model": name,
                "modified_at": "2026-01-12T20:16:07.414671329Z",
                "size": 2019393189,
                "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
                "details": details,
            }
            for name in names
        ]
    }


def shown(*capabilities: str, context_length: int = 4096) -> dict[str, Any]:
    """What `POST /api/show` says of one model."""
    return {
        "modelfile": "FROM llama3.2",
        "template": "{{ .Prompt }}",
        "details": {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
        "model_info": {"general.architecture": "llama", "llama.context_length": context_length},
        "capabilities": list(capabilities),
        "modified_at": "2026-01-12T20:16:07.414671329Z",
    }
