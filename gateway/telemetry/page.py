"""The Prometheus page: a worker's own, and the page of several workers in one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SCRAPE_LIMIT_S: Final = 5.0


@contextlib.asynccontextmanager
async def metrics_page(read: Callable[[], Awaitable[bytes]], where: tuple[str, int] | Path) -> AsyncIterator[None]:
    """Serve what `read` gives at `/metrics`, on a TCP address or a unix socket. Raises OSError if that is taken."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=await read(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.UnixSite(runner, where) if isinstance(where, Path) else web.TCPSite(runner, *where)
        await site.start()
        yield
    finally:
        await runner.cleanup()


def registry_page(
    registry: CollectorRegistry, refresh: Callable[[], Awaitable[None]] | None = None
) -> Callable[[], Awaitable[bytes]]:
    """Return the reader of one registry, which calls `refresh` first.

    It works in a thread, so that a scrape holds up no call.
    """

    async def read() -> bytes:
        if refresh is not None:
            await refresh()
        return await asyncio.to_thread(generate_latest, registry)

    return read


async def scrape(socket: Path) -> bytes:
    """Return the page that a worker serves on a unix socket. Raises aiohttp.ClientError, OSError or TimeoutError."""
    timeout = aiohttp.ClientTimeout(total=_SCRAPE_LIMIT_S)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
        session.get("http://worker/metrics", raise_for_status=True) as response,
    ):
        return await response.read()


def workers_page(sockets: Mapping[str, Path], registry: CollectorRegistry) -> Callable[[], Awaitable[bytes]]:
    """Return the reader of `registry` and of all workers' pages, their samples with the worker's name as a label.

    Sums over workers are Prometheus's: so a worker that restarts is a counter reset of its own series only. A worker
    that does not answer is left out.
    """

    async def read() -> bytes:
        pages = await asyncio.gather(*(scrape(socket) for socket in sockets.values()), return_exceptions=True)
        named = zip(sockets, pages, strict=True)
        return generate_latest(registry) + joined({name: page for name, page in named if isinstance(page, bytes)})

    return read


def joined(pages: Mapping[str, bytes]) -> bytes:
    """Join pages in Prometheus's text format: each family once, each sample with the label `worker`."""
    families: dict[str, list[str]] = {}
    for worker, page in pages.items():
        samples: list[str] = []
        for line in page.decode().splitlines():
            if line.startswith("# HELP "):
                samples = families.setdefault(line, [])
            elif line.startswith("#"):
                if line not in samples:
                    samples.append(line)
            elif line:
                samples.append(_labelled(line, worker))
    lines = (line for head, samples in families.items() for line in (head, *samples))
    return "".join(f"{line}\n" for line in lines).encode()


def _labelled(sample: str, worker: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
