"""`run` and `serve --workers`: worker processes, and Envoy in front of them, started and stopped together."""

import asyncio
import contextlib
import functools
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry

from gateway.config import Secret, Settings, StorageSettings
from gateway.envoy import (
    EnvoyMissingError,
    EnvoySettings,
    envoy_binary,
    envoy_environment,
    release_memory,
    render,
)
from gateway.memory import keep_small
from gateway.open_files import affordable
from gateway.telemetry.forwarding import forwarded_lines
from gateway.telemetry.logs import configure_logs
from gateway.telemetry.page import metrics_page, workers_page
from gateway.workers import (
    Patience,
    WorkerEndedError,
    Workers,
    WorkerStartError,
    die_with_parent,
    how_it_ended,
    stop_process,
)

_START_LIMIT_S: Final = 60.0
_POLL_S: Final = 0.05
_ENVOY_ADMIN: Final = "envoy.admin"
GENERATED: Final = Path(__file__).resolve().parent.parent / "generated"


class StartError(Exception):
    """The gateway cannot start. The text is one line, fit to print."""


class _EnvoyEndedError(Exception):
    pass


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to supervise: how many workers, whether with Envoy in front, and where the workers' unix sockets are.

    Without `sockets` they are in a folder of this run's own. Inside it is `worker-0.sock` and so on. `python -m module
    serve` is a worker.
    """

    workers: int = 1
    envoy: bool = True
    sockets: Path | None = None
    module: str = "gateway"


async def supervise(settings: Settings, environment: Mapping[str, str], plan: Plan) -> int:
    """Run until SIGTERM or SIGINT (0) or until Envoy ends by itself (1); print the addresses when ready.

    A worker that crashes is restarted, with growing pauses. SIGHUP has every worker load its settings again, except at
    a terminal, whose closing it means there: then it stops. SIGUSR2 replaces the workers one after the other. Without
    a configured key one is made for this run and printed. Raises StartError.
    """
    configure_logs(settings.telemetry)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for number in (signal.SIGHUP, signal.SIGUSR2):  # too early: there is nothing yet to reload or replace
        loop.add_signal_handler(number, lambda: None)
    settings = _check_ports(settings, envoy=plan.envoy)
    service, key = settings.service, _first_key(settings)
    async with contextlib.AsyncExitStack() as stack:
        folder = plan.sockets or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmgateway-")))
        folder.mkdir(parents=True, exist_ok=True)
        registry = CollectorRegistry()
        patience = Patience(service.shutdown_delay_s + service.shutdown_grace_s, settings.hand_over_s)
        variables = _worker_environment(settings, key, environment)
        workers = Workers(plan.workers, folder, variables, patience, registry, module=plan.module)
        page = workers_page(workers.metrics_sockets, registry)
        await stack.enter_async_context(metrics_page(page, (service.host, service.metrics_port)))
        try:
            envoy = await _start_envoy(settings, workers, folder, stack) if plan.envoy else None
            stack.push_async_callback(workers.stop)  # before Envoy, so that running calls finish through it
            start = await stack.enter_async_context(_tasks())
            over = [start(stop.wait()), *([start(_envoy_ended(envoy))] if envoy is not None else ())]
            started = start(_started(settings, workers, plan))
            await _first((*over, started))
            if started.done() and not stop.is_set():
                await stack.enter_async_context(_steered(workers, stop))
                over.append(start(workers.keep()))
                start(workers.keep_small())
                if envoy is not None:
                    start(keep_small(envoy.pid, functools.partial(release_memory, folder / _ENVOY_ADMIN)))
                _print_banner(settings, key, plan)
                await _first(over)
        except (_EnvoyEndedError, WorkerEndedError) as exc:
            print(f"llmgateway: {exc}; stopping", file=sys.stderr, flush=True)
            return 1
        except (WorkerStartError, EnvoyMissingError) as exc:
            raise StartError(str(exc)) from None
    return 0


async def _first(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Wait until one of the tasks has ended. Raises what ended it."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


@contextlib.asynccontextmanager
async def _tasks() -> AsyncIterator[Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]]:
    """Yield a function that starts tasks; all of them are cancelled when the block is left."""
    tasks: list[asyncio.Task[Any]] = []

    def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    try:
        yield start
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _envoy_ended(envoy: asyncio.subprocess.Process) -> NoReturn:
    raise _EnvoyEndedError(f"Envoy {how_it_ended(await envoy.wait())}")


def envoy_settings(settings: Settings, upstreams: tuple[str, ...]) -> EnvoySettings:
    """Return what Envoy has to know of the settings. `upstreams` are the workers' unix sockets."""
    return EnvoySettings(
        host=settings.service.host,
        port=settings.service.port,
        admin_host=settings.service.admin_host,
        admin_port=settings.service.admin_port,
        upstreams=upstreams,
        descriptor=GENERATED / "descriptor.binpb",
        max_body_bytes=settings.service.max_body_bytes,
        # Envoy must not be the one that ends a call which the gateway still allows.
        stream_idle_timeout_s=max(settings.time.stream_s, settings.time.request_s, 600.0) + 60,
        cors_allow_origins=settings.access.cors_allow_origins,
        security_headers=settings.access.security_headers,
        request_read_timeout_s=settings.service.request_read_timeout_s,
        max_connections=settings.service.max_connections,
        max_concurrent_streams=settings.service.max_concurrent_streams,
        tls_cert_file=settings.service.tls_cert_file,
        tls_key_file=settings.service.tls_key_file,
        tls_client_ca_file=settings.service.tls_client_ca_file,
        log_format=settings.telemetry.log_format if settings.telemetry.log_level in {"debug", "info"} else "none",
    )


def _check_ports(settings: Settings, *, envoy: bool) -> Settings:
    """Return the settings with every port 0 replaced by a free one, but for the operators' port, which 0 turns off.

    Raises StartError for a taken port.
    """
    service = settings.service
    chosen: dict[str, int] = {}
    for field, variable, host in (
        *((("port", "SERVICE_PORT", service.host),) if envoy else ()),
        ("grpc_port", "GRPC_PORT", service.host),
        ("metrics_port", "METRICS_PORT", service.host),
        *((("admin_port", "ADMIN_PORT", service.admin_host),) if envoy and service.admin_port else ()),
    ):
        port = getattr(service, field)
        if port in chosen.values():
            raise StartError(f"port {port} is named twice: set {variable} to another")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as exc:
                raise StartError(
                    f"port {port} on {host} cannot be used ({os.strerror(exc.errno or 0)}): "
                    f"stop what listens there, or set {variable}"
                ) from None
            chosen[field] = probe.getsockname()[1]
    return msgspec.structs.replace(settings, service=msgspec.structs.replace(service, **chosen))


def _first_key(settings: Settings) -> Secret | None:
    """Return a key made for this run where one is needed and none is configured."""
    if settings.access.api_keys or not settings.access.require_auth:
        return None
    return Secret("sk-dev-" + secrets.token_urlsafe(24))


def _worker_environment(settings: Settings, key: Secret | None, environment: Mapping[str, str]) -> Mapping[str, str]:
    changes = {"GRPC_PORT": str(settings.service.grpc_port)}
    if key is not None:
        changes["ALLOWED_API_KEYS"] = key.reveal()
    return {**environment, **changes}


async def _start_envoy(
    settings: Settings, workers: Workers, folder: Path, stack: contextlib.AsyncExitStack
) -> asyncio.subprocess.Process:
    config = folder / "envoy.yaml"
    known = envoy_settings(settings, workers.sockets)
    known = replace(known, max_connections=affordable(known.max_connections), admin_socket=str(folder / _ENVOY_ADMIN))
    config.write_text(render(known), "utf-8")
    process = await asyncio.create_subprocess_exec(
        str(envoy_binary()), "-c", str(config), "--concurrency", str(len(workers.sockets)), "--disable-hot-restart",
        "--log-level", "warn", "--file-flush-interval-msec", "100", stdout=stack.enter_context(forwarded_lines()),
        env=envoy_environment(os.environ), start_new_session=True, preexec_fn=die_with_parent,
    )  # fmt: skip
    stack.push_async_callback(stop_process, process, 0)
    return process


async def _started(settings: Settings, workers: Workers, plan: Plan) -> None:
    await workers.start()
    if plan.envoy:
        await _until_ready(settings)


async def _until_ready(settings: Settings) -> None:
    """Return when Envoy serves: the workers do already, ready or not.

    With TLS it need not have a certificate that we would trust, and may want one that we do not have, so that it
    listens has to do.
    """
    host, port = _host(settings.service.host), settings.service.port
    deadline = asyncio.get_running_loop().time() + _START_LIMIT_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                if settings.service.tls_cert_file:
                    _, writer = await asyncio.open_connection(host.strip("[]"), port)
                    writer.close()
                    return
                async with session.get(f"http://{host}:{port}/livez") as response:
                    if response.status == 200:
                        return
            if asyncio.get_running_loop().time() > deadline:
                raise StartError(f"not ready within {_START_LIMIT_S:.0f} seconds")
            await asyncio.sleep(_POLL_S)


@contextlib.asynccontextmanager
async def _steered(workers: Workers, stop: asyncio.Event) -> AsyncIterator[None]:
    """Reload and replace workers by signal until the block is left."""
    at_terminal = sys.stdin is not None and sys.stdin.isatty()
    async with _tasks() as start:
        rounds: list[asyncio.Task[Any]] = []

        def replace() -> None:
            if all(task.done() for task in rounds):  # one round at a time
                rounds[:] = [start(workers.replace())]

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, stop.set if at_terminal else workers.reload)
        loop.add_signal_handler(signal.SIGUSR2, replace)
        yield


def _host(host: str) -> str:
    """Return a host to connect to, fit for a URL, for one to listen on."""
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _not_shared(storage: StorageSettings, workers: int) -> list[str]:
    """Return lines that say what several workers are not meant to go without, and what follows."""
    lines = []
    if not storage.redis_url:
        lines.append(
            f"  limits          each of the {workers} workers counts alone, so {workers} times a limit can pass."
            " Set REDIS_URL to share them"
        )
    if storage.database_url.reveal().startswith("sqlite"):
        lines.append(
            f"  database        the {workers} workers take turns at one SQLite file. Set DATABASE_URL to PostgreSQL"
            " for more than a try"
        )
    return lines


def _print_banner(settings: Settings, key: Secret | None, plan: Plan) -> None:
    service = settings.service
    host, scheme = _host(service.host), "https" if service.tls_cert_file else "http"
    public, admin = f"{scheme}://{host}:{service.port}", f"{scheme}://{_host(service.admin_host)}:{service.admin_port}"
    shown = key.reveal() if key is not None else "YOUR_KEY"
    lines = [
        "",
        "llmgateway is ready. Ctrl-C stops it.",
        *(
            [f"  JSON and gRPC   {public}   (OpenAI base URL: {public}/v1)"]
            if plan.envoy
            else [f"  workers         {plan.workers}, for Envoy at {plan.sockets or 'no fixed place'}"]
        ),
        f"  gRPC only       {host}:{service.grpc_port}",
        f"  metrics         http://{host}:{service.metrics_port}/metrics",
    ]
    if plan.envoy and service.admin_port:
        lines.append(f"  operators       {admin}/admin/v1   (with a key made by `keys create --admin`)")
    if plan.workers > 1:
        lines += _not_shared(settings.storage, plan.workers)
    if key is not None:
        lines.append(f"  development key {shown}   (made for this run; set ALLOWED_API_KEYS for your own)")
    if plan.envoy:
        lines += [
            "",
            f"  curl {public}/v1/chat/completions -H 'Authorization: Bearer {shown}' \\",
            "    -H 'Content-Type: application/json' \\",
            '    -d \'{"model":"custom/echo","messages":[{"role":"user","content":"hello"}]}\'',
            "",
        ]
    print("\n".join(lines), flush=True)
