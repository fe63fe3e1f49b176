"""The lines of Envoy and of the workers share one pipe, and stay whole there."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway_process import KEY, running_gateway

_REFUSED = 4000
"""Their lines are more than the pipe and its sleeping reader hold."""
_AT_ONCE = 50
_PATIENCE_S = 1


async def _refused(http: aiohttp.ClientSession, url: str, number: int) -> None:
    async with http.get(f"{url}/no/such/path", headers={"x-request-id": f"refused-{number}"}) as answer:
        assert answer.status == 404


async def _answered(http: aiohttp.ClientSession, url: str, key: str) -> None:
    body = {"model": "custom/echo", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


def _edges(lines: list[str]) -> Counter[str]:
    """Return how many requests each edge wrote of. Raises ValueError for a line that is torn."""
    events = [json.loads(line) for line in lines if ("{" in line or "}" in line) and "-d '" not in line]
    return Counter(event["edge"] for event in events if event["event"] == "request")


@pytest.mark.parametrize("workers", [1, 2])
async def test_lines_stay_whole_in_a_pipe_that_is_full(workers: int, tmp_path: Path) -> None:
    """Its reader sleeps, so that Envoy and a worker both wait in the middle of what they write."""
    limit = aiohttp.TCPConnector(limit=_AT_ONCE)
    asked: set[asyncio.Task[None]] = set()
    async with (
        running_gateway(tmp_path, "--workers", str(workers)) as gateway,
        aiohttp.ClientSession(connector=limit) as http,
    ):
        async with gateway.unread():
            await asyncio.gather(*(_refused(http, gateway.url, number) for number in range(_REFUSED)))
            waiting: set[asyncio.Task[None]] = set()
            while not waiting:
                asked |= {asyncio.create_task(_answered(http, gateway.url, KEY)) for _ in range(_AT_ONCE)}
                _, waiting = await asyncio.wait(asked, timeout=_PATIENCE_S)
        await asyncio.gather(*asked)
    edges = _edges(gateway.lines)

    assert edges["envoy"] == _REFUSED
    assert edges["http"] == len(asked)
