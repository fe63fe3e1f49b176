"""Runs the real Envoy for a test."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gateway.envoy import EnvoySettings, envoy_binary, render
from tests.support.ports import free_port

START_DEADLINE_S = 20
STOP_DEADLINE_S = 10
MAX_BODY_BYTES = 64 * 1024
DESCRIPTOR = Path(__file__).parents[2] / "generated" / "descriptor.binpb"


def settings_for(directory: Path) -> EnvoySettings:
    """Returns settings with a small body limit, one origin and the socket `gateway.sock` in `directory`."""
    return EnvoySettings(
        port=0,
        admin_port=0,
        upstreams=(str(directory / "gateway.sock"),),
        descriptor=DESCRIPTOR,
        max_body_bytes=MAX_BODY_BYTES,
        cors_allow_origins=("https://app.example",),
    )


@asynccontextmanager
async def running_envoy(settings: EnvoySettings, directory: Path) -> AsyncIterator[str]:
    """Yields `http://host:port` of an Envoy that listens; ends that process afterwards.

    A port of 0 in `settings` means any free one. Files are written to `directory`. Raises `AssertionError`
    with Envoy's output when it does not listen in time.
    """
    settings = replace(settings, port=settings.port or free_port())
    config = directory / f"envoy-{settings.port}.yaml"
    config.write_text(render(settings))
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(envoy_binary(), "--config-path", config, "--concurrency", "1"),
            *("--disable-hot-restart", "--log-level", "warn", "--file-flush-interval-msec", "50"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not await _listens(settings):
            assert process.returncode is None, f"Envoy ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"Envoy does not listen:\n{log.read_text()}"
            await asyncio.sleep(0.02)
        yield f"http://{settings.host}:{settings.port}"
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _listens(settings: EnvoySettings) -> bool:
    addresses = [(settings.host, settings.port), (settings.admin_host, settings.admin_port)]
    with suppress(OSError):
        for host, port in addresses if settings.admin_port else addresses[:1]:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
        return True
    return False
