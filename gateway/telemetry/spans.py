"""The spans of a call's attempts. What stands on them is in `span_attributes`."""

from collections.abc import Callable
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from gateway.errors import GatewayError
from gateway.telemetry.record import CallObserver, CallRecord, shown_name
from gateway.telemetry.span_attributes import Operation, Shown, answer_attributes, record_attributes, request_attributes
from gateway.telemetry.traces import Traces

PROJECT: Final = "llmgateway.project_id"
_MAX_ANSWER: Final = 1024 * 1024


class CallTrace(CallObserver):
    """The spans of one call's attempts, children of the span that is current when they start.

    `project` tells the caller's project, once the caller is known.
    """

    def __init__(self, traces: Traces, operation: Operation, project: Callable[[], str | None]) -> None:
        self._traces = traces
        self._shown = Shown(operation, traces.prompts, traces.genai_names)
        self._project = project
        self._body = b""
        self._answer: list[bytes] = []
        self._answer_size = 0
        self._span: Span | None = None
        self._token: Any = None

    def asked(self, body: bytes) -> None:
        self._body = body

    def attempt_started(self, provider: str, model: str) -> None:
        model = shown_name(model)
        attributes = request_attributes(self._shown, provider, model, self._body)
        if (project := self._project()) is not None:
            attributes[PROJECT] = project
        self._span = self._traces.tracer.start_span(
            f"{self._shown.operation} {model}", kind=SpanKind.CLIENT, attributes=attributes
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
        self._span.set_attributes(record_attributes(self._shown, record))
        if self._answer:
            self._span.set_attributes(answer_attributes(b"".join(self._answer)))
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self._span is None:
            return
        otel_context.detach(self._token)
        if error is not None:
            mark_failed(self._span, error)
        self._span.end()
        self._span = None


def mark_failed(span: Span, error: BaseException) -> None:
    """Say on `span` why it failed, in the error table's words; a vendor's words may quote the prompt and stay out."""
    if isinstance(error, GatewayError):
        span.set_attributes({"error.type": error.reason.value, "http.response.status_code": error.http_status})
        span.set_status(Status(StatusCode.ERROR, None if error.vendor_text else error.message))
    else:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
