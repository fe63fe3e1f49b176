"""One worker process: the gRPC server and its metrics page, until a signal."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from gateway.app import App, running
from gateway.config import Settings
from gateway.listening import ListenError
from gateway.memory import find_trim, give_back
from gateway.telemetry.logs import configure_logs
from gateway.telemetry.page import metrics_page, registry_page
from gateway.wake_ups import EventLoop

_log = structlog.get_logger("gateway.serve")


class Place(msgspec.Struct, frozen=True):
    """Where a worker serves beside GRPC_PORT.

    `socket` is a unix socket for Envoy. `metrics_socket` takes the place of METRICS_PORT, for the supervisor, which
    joins the pages of its workers. `shared_port`: other workers listen on GRPC_PORT too.
    """

    socket: Path | None = None
    metrics_socket: Path | None = None
    shared_port: bool = False


def serve(settings: Settings, *, place: Place, load: Callable[[], Settings], watched: Path | None, commit: str) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    On SIGUSR2 another worker has taken its place: calls in hand go on to their ends, and nobody is told that the
    gateway goes down. On SIGHUP, and when the file `watched` changes, the settings that `load` gives are put in force.
    Raises ListenError.
    """
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(_serve(settings, place, load, watched, commit))


async def _serve(
    settings: Settings, place: Place, load: Callable[[], Settings], watched: Path | None, commit: str
) -> None:
    lines = configure_logs(settings.telemetry)
    stop, replaced = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR2, replaced.set)
    service = settings.service
    addresses = [f"{service.host}:{service.grpc_port}"]
    if place.socket is not None:
        addresses.append(f"unix:{place.socket}")
    registry = CollectorRegistry()
    async with (
        running(
            settings,
            addresses=addresses,
            commit=commit,
            registry=registry,
            shared_port=place.shared_port,
            load=load,
            watched=watched,
            lines=lines,
        ) as app,
        _metrics(settings, place, registry_page(registry, app.read_limits)),
    ):
        gc.collect()
        gc.freeze()  # else every full collection walks all that was imported: 40 to 80 ms in which no call moves
        loop.add_signal_handler(signal.SIGHUP, app.reloader.ask)
        _log.info("serving", host=service.host, grpc_port=app.grpc_port, metrics_port=service.metrics_port)
        giving_back = asyncio.create_task(give_back(find_trim()))
        await _until_left(app, settings, stop, replaced)
        giving_back.cancel()
    _log.info("stopped")


async def _until_left(app: App, settings: Settings, stop: asyncio.Event, replaced: asyncio.Event) -> None:
    """Return when it is to end and its calls have ended. A stop after a replacement shortens their time."""
    service, first = settings.service, asyncio.FIRST_COMPLETED
    stopping, leaving = asyncio.create_task(stop.wait()), asyncio.create_task(replaced.wait())
    await asyncio.wait((stopping, leaving), return_when=first)
    if stop.is_set():
        leaving.cancel()
        _log.info("draining", grace_s=service.shutdown_grace_s)
        await app.drain(service.shutdown_delay_s, service.shutdown_grace_s)
        return
    _log.info("handing over", grace_s=settings.hand_over_s)
    handing_over = asyncio.create_task(app.hand_over(settings.hand_over_s))
    await asyncio.wait((stopping, handing_over), return_when=first)
    if stop.is_set():
        await app.hand_over(service.shutdown_grace_s)
    stopping.cancel()
    await handing_over


@contextlib.asynccontextmanager
async def _metrics(settings: Settings, place: Place, page: Callable[[], Awaitable[bytes]]) -> AsyncIterator[None]:
    host, port = settings.service.host, settings.service.metrics_port
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(metrics_page(page, place.metrics_socket or (host, port)))
        except OSError as exc:
            raise ListenError(f"METRICS_PORT {port} on {host} cannot be listened on: {exc.strerror}") from None
        yield
