"""`run`: a worker and Envoy in front of it, started together and stopped together."""

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from gateway.config import Secret, Settings
from gateway.envoy import EnvoyMissingError, EnvoySettings, envoy_binary, render

_START_LIMIT_S: Final = 60.0
_POLL_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
GENERATED: Final = Path(__file__).resolve().parent.parent / "generated"


class StartError(Exception):
    """The gateway cannot start. The text is one line, fit to print."""


class _ChildEndedError(Exception):
    pass


class _Child(msgspec.Struct):
    name: str
    process: asyncio.subprocess.Process


async def supervise(settings: Settings, environment: Mapping[str, str]) -> int:
    """Run until a signal (0) or until a child dies (1); print the addresses when ready.

    Without a configured key one is made for this run and printed. Raises StartError.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = _check_ports(settings)
    envoy = _find_envoy()
    key = _first_key(settings)
    children: list[_Child] = []
    with tempfile.TemporaryDirectory(prefix="llmgateway-") as folder:
        worker_socket = Path(folder, "worker-0.sock")
        config = _write(Path(folder, "envoy.yaml"), render(envoy_settings(settings, (str(worker_socket),))))
        try:
            children.append(await _start_worker(settings, worker_socket, key, environment))
            children.append(await _start_envoy(envoy, config))
            await _until_ready(settings, children, stop)
            if not stop.is_set():
                _print_banner(settings, key)
            await _until_stopped(children, stop)
        except _ChildEndedError as exc:
            print(f"llmgateway: {exc}; stopping", file=sys.stderr, flush=True)
            return 1
        finally:
            await _stop_all(children, settings.service.shutdown_grace_s)
    return 0


def envoy_settings(settings: Settings, upstreams: tuple[str, ...]) -> EnvoySettings:
    """Return what Envoy has to know of the settings. `upstreams` are the workers' unix sockets."""
    return EnvoySettings(
        host=settings.service.host,
        port=settings.service.port,
        upstreams=upstreams,
        descriptor=GENERATED / "descriptor.binpb",
        max_body_bytes=settings.service.max_body_bytes,
        # Envoy must not be the one that ends a call which the gateway still allows.
        stream_idle_timeout_s=max(settings.time.stream_s, settings.time.request_s, 600.0) + 60,
        cors_allow_origins=settings.access.cors_allow_origins,
        security_headers=settings.access.security_headers,
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def _check_ports(settings: Settings) -> Settings:
    """Return the settings with every port 0 replaced by a free one. Raises StartError for a taken port."""
    service = settings.service
    chosen = {}
    for field, variable in (
        ("port", "SERVICE_PORT"),
        ("grpc_port", "GRPC_PORT"),
        ("metrics_port", "METRICS_PORT"),
    ):
        port = getattr(service, field)
        family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((service.host, port))
            except OSError as exc:
                raise StartError(
                    f"port {port} on {service.host} cannot be used ({os.strerror(exc.errno or 0)}): "
                    f"stop what listens there, or set {variable}"
                ) from None
            chosen[field] = probe.getsockname()[1]
    return msgspec.structs.replace(settings, service=msgspec.structs.replace(service, **chosen))


def _first_key(settings: Settings) -> Secret | None:
    """Return a key made for this run where one is needed and none is configured."""
    if settings.access.api_keys or not settings.access.require_auth:
        return None
    return Secret("sk-dev-" + secrets.token_urlsafe(24))


async def _start_worker(
    settings: Settings, worker_socket: Path, key: Secret | None, environment: Mapping[str, str]
) -> _Child:
    service = settings.service
    environment = {
        **environment,
        "GRPC_PORT": str(service.grpc_port),
        "METRICS_PORT": str(service.metrics_port),
    }
    if key is not None:
        environment["ALLOWED_API_KEYS"] = key.reveal()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--socket", str(worker_socket),
        env=environment, start_new_session=True, preexec_fn=_die_with_parent,
    )  # fmt: skip
    return _Child("the gateway", process)


def _find_envoy() -> Path:
    try:
        return envoy_binary()
    except EnvoyMissingError as exc:
        raise StartError(str(exc)) from None


async def _start_envoy(program: Path, config: Path) -> _Child:
    process = await asyncio.create_subprocess_exec(
        str(program), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn",
        start_new_session=True, preexec_fn=_die_with_parent,
    )  # fmt: skip
    return _Child("Envoy", process)


def _die_with_parent() -> None:
    """Have the kernel end this child with the supervisor, even if that is killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _until_ready(settings: Settings, children: list[_Child], stop: asyncio.Event) -> None:
    url = f"http://{_host(settings)}:{settings.service.port}/readyz"
    deadline = asyncio.get_running_loop().time() + _START_LIMIT_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while not stop.is_set():
            _raise_if_ended(children)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            if asyncio.get_running_loop().time() > deadline:
                raise StartError(f"not ready within {_START_LIMIT_S:.0f} seconds")
            await asyncio.sleep(_POLL_S)


async def _until_stopped(children: list[_Child], stop: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(child.process.wait()) for child in children]
    waits.append(asyncio.ensure_future(stop.wait()))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not stop.is_set():
        _raise_if_ended(children)


def _raise_if_ended(children: list[_Child]) -> None:
    for child in children:
        code = child.process.returncode
        if code is not None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise _ChildEndedError(f"{child.name} {how}")


async def _stop_all(children: list[_Child], grace: float) -> None:
    """Stop the worker first, so that running calls finish through Envoy, then Envoy; kill what outlives its grace."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.process.terminate()
        try:
            async with asyncio.timeout(grace + 5):
                await child.process.wait()
        except TimeoutError:
            child.process.kill()
            await child.process.wait()


def _host(settings: Settings) -> str:
    host = settings.service.host
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _print_banner(settings: Settings, key: Secret | None) -> None:
    service = settings.service
    host = _host(settings)
    shown = key.reveal() if key is not None else "YOUR_KEY"
    lines = [
        "",
        "llmgateway is ready. Ctrl-C stops it.",
        f"  JSON and gRPC   http://{host}:{service.port}   (OpenAI base URL: http://{host}:{service.port}/v1)",
        f"  gRPC only       {host}:{service.grpc_port}",
        f"  metrics         http://{host}:{service.metrics_port}/metrics",
    ]
    if key is not None:
        lines.append(f"  development key {shown}   (made for this run; set ALLOWED_API_KEYS for your own)")
    lines += [
        "",
        f"  curl http://{host}:{service.port}/v1/chat/completions -H 'Authorization: Bearer {shown}' \\",
        "    -H 'Content-Type: application/json' \\",
        '    -d \'{"model":"custom/echo","messages":[{"role":"user","content":"hello"}]}\'',
        "",
    ]
    print("\n".join(lines), flush=True)
