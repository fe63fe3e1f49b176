"""One worker process: the gRPC server and its metrics page, until a signal."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry, start_http_server

from gateway.app import ListenError, running
from gateway.config import Settings
from gateway.telemetry.logs import configure_logs

_log = structlog.get_logger("gateway.serve")


def serve(settings: Settings, *, socket: Path | None, commit: str) -> None:
    """Serve until SIGTERM or SIGINT, then drain. `socket` is a unix socket for Envoy. Raises ListenError."""
    configure_logs(settings.telemetry)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, socket, commit))


async def _serve(settings: Settings, socket: Path | None, commit: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = settings.service
    addresses = [f"{service.host}:{service.grpc_port}"]
    if socket is not None:
        addresses.append(f"unix:{socket}")
    registry = CollectorRegistry()
    with _metrics_page(service.host, service.metrics_port, registry):
        async with running(settings, addresses=addresses, commit=commit, registry=registry) as app:
            _log.info("serving", host=service.host, grpc_port=app.grpc_port, metrics_port=service.metrics_port)
            await stop.wait()
            _log.info("draining", grace_s=service.shutdown_grace_s)
    _log.info("stopped")


@contextlib.contextmanager
def _metrics_page(host: str, port: int, registry: CollectorRegistry) -> Iterator[None]:
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as exc:
        raise ListenError(f"METRICS_PORT {port} on {host} cannot be listened on: {exc.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
