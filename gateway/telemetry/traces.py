"""Traces by OpenTelemetry, sent to any OTLP endpoint in the background."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import __version__
from gateway.config import TelemetrySettings

_log = structlog.get_logger("gateway.traces")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_QUEUE: Final = 2048
_QUEUE_WITH_PROMPTS: Final = 256
"""Spans that wait for a slow collector; those with prompts are large."""
_BATCH: Final = 256
_DELAY_MS: Final = 1000
_EXPORT_LIMIT_S: Final = 5
_CLOSE_LIMIT_S: Final = 3.0
_MAX_TEXT: Final = 64 * 1024
"""Longer attribute values are cut (characters)."""
_COMPLAIN_S: Final = 60.0


class Traces:
    """Makes spans, and carries W3C trace context from callers to providers."""

    def __init__(self, tracer: Tracer, settings: TelemetrySettings) -> None:
        self.tracer: Final = tracer
        self.prompts: Final = settings.trace_prompts
        self.genai_names: Final = settings.trace_genai_names

    @staticmethod
    def context(metadata: Mapping[str, str]) -> Context:
        """Return the caller's trace context, an empty one without a valid `traceparent`."""
        return _PROPAGATOR.extract(metadata, Context())


@contextlib.asynccontextmanager
async def running_traces(settings: TelemetrySettings) -> AsyncIterator[Traces | None]:
    """Yield what makes spans, None without an endpoint; on leaving, send what waits for a few seconds at most.

    A collector that is slow, broken or away never holds up a call: spans wait in a bounded queue and are dropped when
    it is full, and the log says so once a minute.
    """
    if not settings.otlp_endpoint:
        yield None
        return
    _complain_briefly()
    exporter = OTLPSpanExporter(endpoint=_traces_url(settings.otlp_endpoint), timeout=_EXPORT_LIMIT_S)
    processor = BatchSpanProcessor(
        exporter,
        max_queue_size=_QUEUE_WITH_PROMPTS if settings.trace_prompts else _QUEUE,
        max_export_batch_size=_BATCH,
        schedule_delay_millis=_DELAY_MS,
    )
    provider = TracerProvider(
        sampler=_sampler(settings),
        resource=Resource.create({"service.name": settings.service_name, "service.version": __version__}),
        span_limits=SpanLimits(max_span_attribute_length=_MAX_TEXT, max_span_attributes=1024),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    try:
        yield Traces(provider.get_tracer("llmgateway", __version__), settings)
    finally:
        # A thread that the interpreter does not wait for: a collector that hangs must not hold up the exit.
        closing = threading.Thread(target=provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSE_LIMIT_S)


def add_trace_context(headers: dict[str, str]) -> None:
    """Add the current span's `traceparent` to the headers of a request to a vendor."""
    _PROPAGATOR.inject(headers)


def _traces_url(endpoint: str) -> str:
    return endpoint.rstrip("/") + "/v1/traces"


def _sampler(settings: TelemetrySettings) -> Sampler:
    name = settings.traces_sampler
    roots: dict[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(settings.traces_sampler_arg),
    }
    root = roots[name.removeprefix("parentbased_")]
    return ParentBased(root) if name.startswith("parentbased_") else root


class _Complaints(logging.Handler):
    """Turns what the SDK logs about a dead collector into one line a minute."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last = -_COMPLAIN_S

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._last >= _COMPLAIN_S:
            self._last = now
            _log.warning("traces are not delivered", reason=record.getMessage()[:300])


def _complain_briefly() -> None:
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_Complaints()]
    logger.propagate = False
