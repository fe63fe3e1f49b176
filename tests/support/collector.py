"""An OTLP collector that keeps the spans it is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class SpanSeen:
    """One span. Ids are hexadecimal; `error` tells whether its status is an error."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    error: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """Where to send spans, and those that came."""

    url: str = ""
    spans: list[SpanSeen] = field(default_factory=list)
    received: bytes = b""
    """Everything that was sent, as it came."""
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        sent = ExportTraceServiceRequest.FromString(body)
        async with self._came:
            self.received += body
            for resource in sent.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += [_seen(span) for span in scope.spans]
            self._came.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def wait_for(self, count: int) -> list[SpanSeen]:
        """Return the spans when there are `count` of them, in the order they started: parents first."""
        async with asyncio.timeout(15), self._came:
            await self._came.wait_for(lambda: len(self.spans) >= count)
        assert len(self.spans) == count
        return sorted(self.spans, key=lambda span: span.attributes["start"])

    def one(self, start: str) -> SpanSeen:
        """Return the only span whose name starts so."""
        (span,) = (span for span in self.spans if span.name.startswith(start))
        return span


def _seen(span: Any) -> SpanSeen:
    attributes = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}
    return SpanSeen(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code == 2,
        {**attributes, "start": span.start_time_unix_nano, "status": span.status.message},
    )


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """Yield a collector on loopback."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    collector.url = f"http://{host}:{port}"
    try:
        yield collector
    finally:
        await runner.cleanup()
