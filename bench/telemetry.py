"""What a call's log line, metrics and spans cost: CPU a call (`python -m bench.telemetry`, a minute and a half).

The real interceptors run around a call that does nothing but fill in its record, at a pace that drops no span. The CPU
is the whole process's, so writing lines and sending spans count too; the collector is a process of its own. The same
round without interceptors is taken off. Rows take turns: median and range over the rounds.
"""

import argparse
import asyncio
import contextlib
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import msgspec
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.admission.keys import Caller
from gateway.config import TelemetrySettings
from gateway.interceptors.access_log import AccessLogInterceptor
from gateway.interceptors.base import Interceptor, Proceed, Rpc
from gateway.interceptors.metrics import MetricsInterceptor
from gateway.interceptors.tracing import TracingInterceptor
from gateway.telemetry.logs import LineWriter, configure_logs
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import add_trace_context, running_traces
from gateway.wire.completion import Usage
from llmgateway.v1 import openai_service_pb2

_SERVICE: Final = openai_service_pb2.DESCRIPTOR.services_by_name["OpenAIService"]
_METHOD: Final = f"/{_SERVICE.full_name}/ChatCompletions"
_METADATA: Final = {
    "x-envoy-original-path": "/v1/chat/completions",
    "authorization": "Bearer bench-key-0123456789abcdef",
    "content-type": "application/grpc",
    "user-agent": "bench",
}
_CALLER: Final = Caller("key-0123abcd", project_id="bench")
_BODY: Final = b'{"model":"gpt-4o","temperature":0.5,"messages":[{"role":"user","content":"' + b"words " * 40 + b'"}]}'
_USAGE: Final = Usage(prompt_tokens=50, completion_tokens=20, total_tokens=70)
_HEADERS: Final = {"authorization": "Bearer x", "content-type": "application/json"}
_CALLS: Final = 2000
_AT_ONCE: Final = 20
_PAUSE_S: Final = 0.002
_SETTLE_S: Final = 0.15
_SEND_S: Final = 1.2
"""After a round: longer than a line or a span waits to be sent."""


class Row(msgspec.Struct, frozen=True):
    """Something to measure; `traced` calls tell the provider of the trace."""

    name: str
    chain: tuple[Interceptor, ...] = ()
    traced: bool = False


async def _work(rpc: Rpc, row: Row) -> None:
    """Do what the pipeline does to a record, and what the HTTP client does with the trace."""
    record = rpc.record
    record.observer.asked(_BODY)
    record.provider, record.model, record.attempts = "openai", "gpt-4o", 1
    record.observer.attempt_started("openai", "gpt-4o")
    if row.traced:
        add_trace_context(dict(_HEADERS))
    record.observer.answered(b"{}")
    record.usage, record.cost_nano, record.upstream_s = _USAGE, 325_000, 0.001


async def _call(row: Row) -> None:
    rpc = Rpc(
        method=_METHOD,
        context=cast("Any", None),
        metadata=_METADATA,
        started=time.monotonic(),
        request_id="0f8fad5b-d9cb-469f-a165-70867728950e",
        caller=_CALLER,
    )
    proceed: Proceed = functools.partial(_work, rpc, row)
    for interceptor in reversed(row.chain):
        proceed = functools.partial(interceptor.intercept, rpc, proceed)
    await proceed()


async def _round(row: Row) -> float:
    """Return the CPU of a round in microseconds a call."""
    cpu = time.process_time()
    for number in range(_CALLS):
        await _call(row)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(_PAUSE_S)
    await asyncio.sleep(_SEND_S if row.traced else _SETTLE_S)
    return (time.process_time() - cpu) / _CALLS * 1e6


@contextlib.asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    """Yield the address of a process that takes spans and forgets them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.telemetry", "--collector", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # it is a pipe
    try:
        yield (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def _collect() -> None:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def _settings(endpoint: str, share: float, *, prompts: bool = False) -> TelemetrySettings:
    return TelemetrySettings(
        otlp_endpoint=endpoint,
        traces_sampler="parentbased_traceidratio",
        traces_sampler_arg=share,
        trace_prompts=prompts,
    )


async def _measure(rounds: int, lines: LineWriter | None) -> None:
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(_collector())
        log = AccessLogInterceptor(time.monotonic, lines=lines)
        metrics = MetricsInterceptor(Metrics(CollectorRegistry()), time.monotonic)
        bare = Row("nothing")
        rows = [Row("log line", (log,)), Row("metrics", (metrics,)), Row("log line and metrics", (log, metrics))]
        for name, settings in {
            "spans, 0 % sampled": _settings(endpoint, 0.0),
            "spans, 10 % sampled": _settings(endpoint, 0.1),
            "spans, all sampled": _settings(endpoint, 1.0),
            "spans, all, with prompts": _settings(endpoint, 1.0, prompts=True),
        }.items():
            traces = await stack.enter_async_context(running_traces(settings))
            assert traces is not None  # there is an endpoint
            rows.append(Row(name, (TracingInterceptor(traces),), traced=True))
        for row in rows:
            await _round(row)
        taken: dict[str, list[float]] = {row.name: [] for row in rows}
        for _ in range(rounds):
            base = await _round(bare)
            for row in rows:
                taken[row.name].append(await _round(row) - base)
        for name, found in taken.items():
            print(f"{name:26} {statistics.median(found):6.1f} µs CPU a call  ({min(found):.1f}..{max(found):.1f})")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--collector", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.collector:
        asyncio.run(_collect())
        return
    with tempfile.TemporaryFile("w") as log, contextlib.redirect_stderr(log):
        uvloop.run(_measure(chosen.rounds, configure_logs(TelemetrySettings())))


if __name__ == "__main__":
    main()
