"""What one call to a vendor costs beside aiohttp: CPU a call, without gRPC and Envoy (`python -m bench.vendor_calls`).

Both clients ask the same upstream in turns; the CPU is this process's. `--gather` (milliseconds) has chunks of streams
wait for each other, as `STREAM_GATHER_MS` does.
"""

import argparse
import asyncio
import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import uvloop
from yarl import URL

from gateway.http.client import HttpClient

_HEADERS: Final = {"Authorization": "Bearer x", "Content-Type": "application/json", "Accept-Encoding": "identity"}
_BODY: Final = b'{"model":"%b","stream":%b,"messages":[{"role":"user","content":"hello there"}]}'
_CHUNKS: Final = 50
_START_LIMIT_S: Final = 10.0

Call = Callable[[URL, bytes], Awaitable[None]]


class Case:
    """One kind of call: its name, its model, how many callers make how many of them."""

    def __init__(self, name: str, model: bytes, *, callers: int, calls: int, streams: bool = True) -> None:
        self.name = name
        self.body = _BODY % (model, b"true" if streams else b"false")
        self.callers = callers
        self.calls = calls
        self.parts = _CHUNKS if b"paced" in model else 1


CASES: Final = (
    Case("whole answer", b"whole", callers=16, calls=6000, streams=False),
    Case("stream of 50 chunks at once", b"burst-50", callers=16, calls=3000),
    Case("paced chunk, 64 streams", b"paced-50-20ms", callers=64, calls=128),
)


def _aiohttp_call(session: aiohttp.ClientSession) -> Call:
    async def call(url: URL, body: bytes) -> None:
        async with session.post(url, data=body, headers=_HEADERS, allow_redirects=False) as response:
            async for _ in response.content.iter_any():
                pass

    return call


def _own_call(client: HttpClient) -> Call:
    async def call(url: URL, body: bytes) -> None:
        answer = await client.send("POST", url, _HEADERS, body)
        try:
            while await answer.piece():
                pass
        finally:
            answer.release()

    return call


async def _cost(call: Call, url: URL, case: Case, calls: int) -> float:
    """Return microseconds of CPU a call, or a chunk of a paced one."""
    left = iter(range(calls))

    async def caller(delay: float) -> None:
        await asyncio.sleep(delay)
        for _ in left:
            await call(url, case.body)

    before = time.process_time()
    spread = 1.0 if case.parts > 1 else 0.0  # strangers do not start together
    await asyncio.gather(*(caller(spread * number / case.callers) for number in range(case.callers)))
    return (time.process_time() - before) / calls / case.parts * 1e6


async def _measure(port: int, rounds: int, gather: float) -> None:
    url = URL(f"http://127.0.0.1:{port}/v1/chat/completions")
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, HttpClient(5.0, gather=gather) as client:
        calls = {"aiohttp": _aiohttp_call(session), "gateway": _own_call(client)}
        for case in CASES:
            found: dict[str, list[float]] = {name: [] for name in calls}
            for call in calls.values():
                await _cost(call, url, case, case.callers)
            for _ in range(rounds):
                for name, call in calls.items():
                    found[name].append(await _cost(call, url, case, case.calls))
            costs = ", ".join(f"{name} {statistics.median(each):.1f} µs" for name, each in found.items())
            print(f"{case.name:30} {costs}")


def main() -> None:
    """Start the upstream and print a line a case."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--gather", type=float, default=0.0)
    chosen = options.parse_args()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    upstream = subprocess.Popen([sys.executable, "-m", "bench.upstream", "--port", str(port)])
    try:
        end = time.monotonic() + _START_LIMIT_S
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if time.monotonic() > end:
                raise SystemExit("the upstream did not start")
            time.sleep(0.05)  # between two looks, bounded by the deadline above
        uvloop.run(_measure(port, chosen.rounds, chosen.gather / 1000))
    finally:
        upstream.terminate()
        upstream.wait()


if __name__ == "__main__":
    main()
