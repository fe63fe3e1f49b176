"""What stands on the spans: OpenInference's names, which Arize Phoenix reads, and OpenTelemetry's GenAI names.

Sources: OpenInference's semantic conventions; OpenTelemetry's semantic conventions for generative AI. Prompts and
answers are there only with `TRACE_PROMPTS`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from opentelemetry import context as otel_context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from gateway.errors import GatewayError
from gateway.telemetry.record import CallObserver, CallRecord
from gateway.telemetry.traces import Traces
from gateway.telemetry.usage import cached_tokens, reasoning_tokens
from gateway.wire.completion import Usage
from gateway.wire.sse import payloads

Attributes = Mapping[str, AttributeValue]

_MAX_ANSWER: Final = 1024 * 1024
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


class CallTrace(CallObserver):
    """The spans of one call's attempts, children of the span that is current when they start."""

    def __init__(self, traces: Traces, operation: str) -> None:
        self._traces = traces
        self._operation = operation
        self._body = b""
        self._answer: list[bytes] = []
        self._answer_size = 0
        self._span: Span | None = None
        self._token: Any = None

    def asked(self, body: bytes) -> None:
        self._body = body

    def attempt_started(self, provider: str, model: str) -> None:
        self._span = self._traces.tracer.start_span(
            f"{self._operation} {model}", kind=SpanKind.CLIENT, attributes=self._request(provider, model)
        )
        self._token = otel_context.attach(set_span_in_context(self._span))

    def attempt_failed(self, error: GatewayError) -> None:
        self._end(error)

    def answered(self, data: bytes) -> None:
        if self._traces.prompts and self._answer_size < _MAX_ANSWER:
            self._answer.append(data)
            self._answer_size += len(data)

    def finish(self, record: CallRecord, error: BaseException | None) -> None:
        """End the last attempt's span, if it is open, with what the whole call gave."""
        if self._span is None:
            return
        if record.usage is not None:
            self._span.set_attributes(self._usage(record.usage))
        if record.first_token_s is not None and self._traces.genai_names:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", record.first_token_s)
        if self._answer:
            self._span.set_attributes(self._output(b"".join(self._answer)))
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self._span is None:
            return
        otel_context.detach(self._token)
        if error is not None:
            mark_failed(self._span, error)
        self._span.end()
        self._span = None

    def _request(self, provider: str, model: str) -> Attributes:
        shown: dict[str, AttributeValue] = {
            "openinference.span.kind": "EMBEDDING" if self._operation == "embeddings" else "LLM",
            "embedding.model_name" if self._operation == "embeddings" else "llm.model_name": model,
            "llm.provider": provider,
        }
        request = _decoded(self._body)
        parameters = {name: request[name] for name in _PARAMETERS if request.get(name) is not None}
        if parameters:
            shown["llm.invocation_parameters"] = msgspec.json.encode(parameters).decode()
        if self._traces.genai_names:
            shown |= {
                "gen_ai.operation.name": self._operation,
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
            }
            shown |= {key: parameters[name] for name, key in _PARAMETERS.items() if key and name in parameters}
        if self._traces.prompts:
            shown |= {"input.value": self._body.decode("utf-8", "replace"), "input.mime_type": "application/json"}
            shown |= _messages("llm.input_messages", request.get("messages"))
        return shown

    def _usage(self, usage: Usage) -> Attributes:
        counts: dict[str, int] = {
            "llm.token_count.prompt": usage.prompt_tokens,
            "llm.token_count.completion": usage.completion_tokens,
            "llm.token_count.total": usage.total_tokens,
        }
        cached, reasoning = cached_tokens(usage), reasoning_tokens(usage)
        if cached:
            counts["llm.token_count.prompt_details.cache_read"] = cached
        if reasoning:
            counts["llm.token_count.completion_details.reasoning"] = reasoning
        if self._traces.genai_names:
            counts["gen_ai.usage.input_tokens"] = usage.prompt_tokens
            counts["gen_ai.usage.output_tokens"] = usage.completion_tokens
        return counts

    def _output(self, answer: bytes) -> Attributes:
        shown: dict[str, AttributeValue] = {"output.value": answer.decode("utf-8", "replace")}
        if answer.startswith(b"data: "):
            messages = _joined(answer)
        else:
            shown["output.mime_type"] = "application/json"
            choices = _decoded(answer).get("choices")
            messages = [_part(choice, "message") for choice in choices] if isinstance(choices, list) else []
        return {**shown, **_messages("llm.output_messages", messages)}


def mark_failed(span: Span, error: BaseException) -> None:
    """Say on `span` why it failed, in the error table's words; a vendor's words may quote the prompt and stay out."""
    if isinstance(error, GatewayError):
        span.set_attributes({"error.type": error.reason.value, "http.response.status_code": error.http_status})
        span.set_status(Status(StatusCode.ERROR, None if error.vendor_text else error.message))
    else:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))


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
