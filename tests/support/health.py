"""What the health pages say, waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

LIMIT_S = 20
OFTEN = {"PROVIDER_CHECK_INTERVAL_S": "0.05", "PROVIDER_CHECK_TIMEOUT_S": "0.5"}
"""Settings that check providers all the time."""


class HealthPages:
    """The gateway's pages over HTTP, without a key."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def get(self, path: str) -> tuple[int, Any]:
        """Return a page's status and JSON."""
        async with self._http.get(path) as response:
            return response.status, await response.json()

    async def provider(self, name: str) -> dict[str, Any]:
        """Return what `/health/providers` says of one."""
        status, page = await self.get(f"/health/providers?provider={name}")
        assert status == 200, page
        (found,) = page["providers"]
        return dict(found)

    async def until_provider(self, name: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return what is said of a provider as soon as it fits."""
        return dict(await _until(lambda: self.provider(name), fits))

    async def until_status(self, path: str, status: int) -> Any:
        """Return a page as soon as it has this status."""
        return (await _until(lambda: self.get(path), lambda got: got[0] == status))[1]


async def _until(read: Callable[[], Awaitable[Any]], fits: Callable[[Any], bool]) -> Any:
    got: Any = None
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                got = await read()
                if fits(got):
                    return got
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it did not come to that: {got}") from None


@asynccontextmanager
async def health_pages(url: str) -> AsyncIterator[HealthPages]:
    """Yield the pages of a gateway."""
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield HealthPages(http)
