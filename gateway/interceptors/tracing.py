"""One span an RPC, under the caller's own if it sent a `traceparent`."""

from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, SpanKind, format_trace_id, set_span_in_context

from gateway.errors import GatewayError
from gateway.interceptors.base import Proceed, Rpc
from gateway.interceptors.route import route
from gateway.telemetry.record import shown_name
from gateway.telemetry.spans import PROJECT, CallTrace, mark_failed
from gateway.telemetry.traces import Traces

_UNTRACED: Final = ("/grpc.", "/llmgateway.v1.SystemService/")


class TracingInterceptor:
    """Makes the server's span, and has the pipeline's attempts make theirs under it."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        if rpc.method.startswith(_UNTRACED):
            return await proceed()
        span = self._traces.tracer.start_span(
            rpc.method[1:], context=self._traces.context(rpc.metadata), kind=SpanKind.SERVER
        )
        token = otel_context.attach(set_span_in_context(span))
        try:
            if not span.is_recording():
                return await proceed()
            rpc.trace_id = format_trace_id(span.get_span_context().trace_id)
            return await self._recorded(span, rpc, proceed)
        finally:
            otel_context.detach(token)
            span.end()

    async def _recorded(self, span: Span, rpc: Rpc, proceed: Proceed) -> Any:
        trace = CallTrace(
            self._traces,
            "embeddings" if "Embedding" in rpc.method else "chat",
            lambda: rpc.caller.project_id,
        )
        rpc.record.observer = trace
        failure: BaseException | None = None
        try:
            return await proceed()
        except BaseException as exc:
            failure = exc
            raise
        finally:
            trace.finish(rpc.record, failure)
            self._describe(span, rpc, failure)

    def _describe(self, span: Span, rpc: Rpc, failure: BaseException | None) -> None:
        service, _, method = rpc.method[1:].partition("/")
        record = rpc.record
        said: dict[str, str | int] = {
            "openinference.span.kind": "CHAIN",
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "llmgateway.edge": "http" if rpc.from_http else "grpc",
            "llmgateway.request_id": rpc.request_id,
            "llmgateway.key_id": rpc.caller.key_id,
            "llmgateway.attempts": record.attempts,
        }
        if rpc.caller.project_id is not None:
            said[PROJECT] = rpc.caller.project_id
        if rpc.from_http:
            said["http.route"] = route(rpc)
        if record.cost_nano is not None:
            said["llmgateway.cost_nano_usd"] = record.cost_nano
        if record.provider is not None and record.model is not None:
            said |= {"llmgateway.provider": record.provider, "llmgateway.model": shown_name(record.model)}
        if isinstance(failure, GatewayError) and failure.http_status < 500:
            said |= {"error.type": failure.reason.value, "http.response.status_code": failure.http_status}
        elif failure is not None:
            mark_failed(span, failure)
        span.set_attributes(said)
