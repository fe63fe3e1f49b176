"""The gateway as a process of its own, to be killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc.aio

from tests.support.ports import free_port

_START_S = 30.0
_ROOT = Path(__file__).resolve().parents[2]
_SOURCES = {"PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'generated'}"}
_QUIET = {"PROVIDER_CHECK_INTERVAL_S": "0"}
"""Vendors see only what a test sends."""


@asynccontextmanager
async def worker(
    folder: Path, environment: Mapping[str, str], *arguments: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `serve` and yield its process and address once it answers; it is killed at the end if it still runs.

    What it logs is in `worker.log` of `folder`.
    """
    port = free_port()
    with (folder / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve", *arguments,
            cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, **_SOURCES, **_QUIET, "METRICS_PORT": "0", "GRPC_PORT": str(port), **environment},
        )  # fmt: skip
    address = f"127.0.0.1:{port}"
    try:
        ended = asyncio.ensure_future(process.wait())
        async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(_START_S):
            ready = asyncio.ensure_future(channel.channel_ready())
            await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                raise AssertionError("the worker ended:\n" + (folder / "worker.log").read_text())
        yield process, address
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
