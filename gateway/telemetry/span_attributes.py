"""What stands on the spans: OpenInference's names, which Arize Phoenix reads, and OpenTelemetry's GenAI names.

Sources: OpenInference's semantic conventions; OpenTelemetry's semantic conventions for generative AI. Prompts and
answers are there only with `TRACE_PROMPTS`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from opentelemetry.util.types import AttributeValue

from gateway.telemetry.record import CallRecord
from gateway.telemetry.usage import cached_tokens, reasoning_tokens
from gateway.wire.completion import Usage
from gateway.wire.sse import payloads

Attributes = dict[str, AttributeValue]
Operation = Literal["chat", "embeddings"]

_PARAMETERS: Final = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "n": "gen_ai.request.choice.count",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "stream": "gen_ai.request.stream",
    "reasoning_effort": None,
    "logprobs": None,
    "top_logprobs": None,
    "parallel_tool_calls": None,
    "service_tier": None,
    "dimensions": "gen_ai.embeddings.dimension.count",
    "encoding_format": None,
}
"""Request fields that are shown, because they hold no text of the caller's, and their GenAI names."""
_TEMPLATE: Final = {
    "prompt_template": "llm.prompt_template.template",
    "prompt_template_variables": "llm.prompt_template.variables",
}
_TEMPLATE_VERSION: Final = {"prompt_template_version": "llm.prompt_template.version"}
"""Keys of the request's `metadata` that tell what the prompt was made of; the variables are JSON."""


class Shown(msgspec.Struct, frozen=True):
    """What kind of call it is, and what the operator wants to see of it."""

    operation: Operation
    prompts: bool
    genai_names: bool


def request_attributes(shown: Shown, provider: str, model: str, body: bytes) -> Attributes:
    """Return what an attempt's span starts with; `body` is the caller's request."""
    attributes: Attributes = {
        "openinference.span.kind": "EMBEDDING" if shown.operation == "embeddings" else "LLM",
        "embedding.model_name" if shown.operation == "embeddings" else "llm.model_name": model,
        "llm.provider": provider,
    }
    request = _decoded(body)
    parameters = {name: request[name] for name in _PARAMETERS if request.get(name) is not None}
    if parameters:
        attributes["llm.invocation_parameters"] = msgspec.json.encode(parameters).decode()
    if shown.genai_names:
        attributes |= {
            "gen_ai.operation.name": shown.operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        attributes |= {key: parameters[name] for name, key in _PARAMETERS.items() if key and name in parameters}
    attributes |= _template(_part(request, "metadata"), prompts=shown.prompts)
    if shown.prompts:
        attributes |= {"input.value": body.decode("utf-8", "replace"), "input.mime_type": "application/json"}
        attributes |= _messages("llm.input_messages", request.get("messages"))
    return attributes


def record_attributes(shown: Shown, record: CallRecord) -> Attributes:
    """Return what the end of a call adds to the span of its last attempt."""
    attributes: Attributes = {}
    if record.usage is not None:
        attributes |= _usage(shown, record.usage)
    if record.cost_nano is not None:
        attributes["llm.cost.total"] = record.cost_nano / 1e9
    if record.first_token_s is not None and shown.genai_names:
        attributes["gen_ai.response.time_to_first_chunk"] = record.first_token_s
    return attributes


def answer_attributes(answer: bytes) -> Attributes:
    """Return the answer itself: a whole one, or the blocks of a stream."""
    attributes: Attributes = {"output.value": answer.decode("utf-8", "replace")}
    if answer.startswith(b"data: "):
        messages = _joined(answer)
    else:
        attributes["output.mime_type"] = "application/json"
        choices = _decoded(answer).get("choices")
        messages = [_part(choice, "message") for choice in choices] if isinstance(choices, list) else []
    return attributes | _messages("llm.output_messages", messages)


def _usage(shown: Shown, usage: Usage) -> Attributes:
    cached, reasoning = cached_tokens(usage), reasoning_tokens(usage)
    counts: Attributes = {
        "llm.token_count.prompt": usage.prompt_tokens,
        "llm.token_count.completion": usage.completion_tokens,
        "llm.token_count.total": usage.total_tokens,
    }
    if cached:
        counts["llm.token_count.prompt_details.cache_read"] = cached
    if reasoning:
        counts["llm.token_count.completion_details.reasoning"] = reasoning
    if shown.genai_names:
        counts["gen_ai.usage.input_tokens"] = usage.prompt_tokens
        counts["gen_ai.usage.output_tokens"] = usage.completion_tokens
        if cached:
            counts["gen_ai.usage.cache_read.input_tokens"] = cached
        if reasoning:
            counts["gen_ai.usage.reasoning.output_tokens"] = reasoning
    return counts


def _template(metadata: Mapping[str, Any], *, prompts: bool) -> Attributes:
    """Return what the caller tells of its prompt template. Its version is a label; the rest is the prompt in parts."""
    told = _TEMPLATE_VERSION | (_TEMPLATE if prompts else {})
    return {name: metadata[key] for key, name in told.items() if isinstance(metadata.get(key), str)}


def _decoded(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        decoded = msgspec.json.decode(body)
        if isinstance(decoded, dict):
            return decoded
    return {}


def _part(node: Any, name: str) -> dict[str, Any]:
    part = node.get(name) if isinstance(node, dict) else None
    return part if isinstance(part, dict) else {}


def _joined(stream: bytes) -> list[dict[str, Any]]:
    """Return the messages that a stream's deltas make: role and text."""
    messages: dict[int, dict[str, Any]] = {}
    for payload in payloads(stream):
        for choice in _decoded(payload).get("choices") or ():
            delta = _part(choice, "delta")
            message = messages.setdefault(choice.get("index", 0), {"role": "assistant", "content": ""})
            message["content"] += delta.get("content") or ""
    return [messages[index] for index in sorted(messages)]


def _messages(prefix: str, messages: Any) -> Attributes:
    return dict(_flat(prefix, messages)) if isinstance(messages, list) else {}


def _flat(prefix: str, messages: list[Any]) -> Iterator[tuple[str, str]]:
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        start = f"{prefix}.{index}.message"
        yield f"{start}.role", str(message.get("role", ""))
        content = message.get("content")
        if isinstance(content, str):
            yield f"{start}.content", content
        elif content is not None:
            yield f"{start}.content", msgspec.json.encode(content).decode()
        for number, call in enumerate(message.get("tool_calls") or ()):
            function = _part(call, "function")
            yield f"{start}.tool_calls.{number}.tool_call.function.name", str(function.get("name", ""))
            yield f"{start}.tool_calls.{number}.tool_call.function.arguments", str(function.get("arguments", ""))
