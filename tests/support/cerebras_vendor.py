"""Cerebras as the types of its SDK describe it: what it takes, and answers as its servers stream them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import running_vendor


class _Strict(Struct, forbid_unknown_fields=True):
    pass


class _Text(_Strict, tag_field="type", tag="text"):
    text: str


class _Url(_Strict, kw_only=True):
    url: str
    detail: str | None = None


class _Image(_Strict, tag_field="type", tag="image_url"):
    image_url: _Url


class _Function(_Strict):
    name: str
    arguments: str


class _ToolCall(_Strict, kw_only=True):
    id: str
    type: Literal["function"]
    function: _Function
    index: int | None = None


class _System(_Strict, kw_only=True, tag_field="role", tag="system"):
    content: str | list[_Text | _Image]
    name: str | None = None


class _Developer(_Strict, kw_only=True, tag_field="role", tag="developer"):
    content: str | list[_Text | _Image]
    name: str | None = None


class _User(_Strict, kw_only=True, tag_field="role", tag="user"):
    content: str | list[_Text | _Image]
    name: str | None = None


class _Assistant(_Strict, kw_only=True, tag_field="role", tag="assistant"):
    content: str | list[_Text] | None = None
    name: str | None = None
    reasoning: str | list[_Text] | None = None
    tool_calls: list[_ToolCall] | None = None


class _Result(_Strict, kw_only=True, tag_field="role", tag="tool"):
    content: str | list[_Text]
    tool_call_id: str
    name: str | None = None


class _ToolFunction(_Strict, kw_only=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class _Tool(_Strict):
    type: Literal["function"]
    function: _ToolFunction


class _Name(_Strict):
    name: str


class _ToolChoice(_Strict):
    type: Literal["function"]
    function: _Name


class _StreamOptions(_Strict, kw_only=True):
    include_usage: bool | None = None


class _Chat(_Strict, kw_only=True):
    messages: list[_System | _Developer | _User | _Assistant | _Result]
    model: str
    clear_thinking: bool | None = None
    disable_reasoning: bool | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    min_completion_tokens: int | None = None
    min_tokens: int | None = None
    model_parameters: dict[str, Any] | None = None
    n: int | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    reasoning_format: Literal["none", "parsed", "text_parsed", "raw", "hidden"] | None = None
    response_format: dict[str, Any] | None = None
    seed: int | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None
    tool_choice: Literal["none", "auto", "required"] | _ToolChoice | None = None
    tools: list[_Tool] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: float | None = None
    user: str | None = None


@asynccontextmanager
async def running_cerebras() -> AsyncIterator[StrictVendor]:
    """Yield a Cerebras that listens at `vendor.url`; on leaving, it has had nothing to complain about."""
    vendor = StrictVendor({"/v1/chat/completions": _Chat})
    async with running_vendor(vendor):
        yield vendor
    assert vendor.complaints == []


TIME_INFO = {
    "queue_time": 0.00005,
    "prompt_time": 0.0012,
    "completion_time": 0.0071,
    "total_time": 0.0093,
    "created": 1768248967.25,
}
USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
}
HEAD = {
    "id": "chatcmpl-7f6e",
    "created": 1768248967,
    "model": "gpt-oss-120b",
    "system_fingerprint": "fp_44f1",
}


def answer(message: Mapping[str, Any], finish_reason: str = "stop", **fields: Any) -> dict[str, Any]:
    """A whole answer, without the nulls that OpenAI sends."""
    return {
        **HEAD,
        "choices": [{"finish_reason": finish_reason, "index": 0, "message": {"role": "assistant", **message}}],
        "object": "chat.completion",
        "usage": USAGE,
        "time_info": TIME_INFO,
        **fields,
    }


def delta(fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"delta": dict(fields), "index": 0}], "object": "chat.completion.chunk", **more}


def stream(*deltas: Mapping[str, Any], finish_reason: str = "stop") -> Sequence[dict[str, Any]]:
    """The chunks of a stream: the role alone, the deltas, an empty one, then finish reason, usage and times in one."""
    last = {
        **HEAD,
        "choices": [{"delta": {}, "finish_reason": finish_reason, "index": 0}],
        "object": "chat.completion.chunk",
        "usage": USAGE,
        "time_info": TIME_INFO,
    }
    return [delta({"role": "assistant"}), *(delta(fields) for fields in deltas), delta({}), last]
