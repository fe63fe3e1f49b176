"""Has Envoy give back memory while no caller comes.

Its allocator keeps to `soft_memory_limit_bytes` only when it is asked for a large piece, which in silence it is not.
The page of its own statistics is one: half a megabyte of text. Envoy's main thread writes it, which serves no caller.
"""

import contextlib
from pathlib import Path
from typing import Final

import aiohttp

PAGE: Final = "/memory/tcmalloc"
_LIMIT_S: Final = 5.0


async def release_memory(socket: Path) -> None:
    """Ask the Envoy whose `admin_socket` this is. One that does not answer is left alone."""
    timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
            session.get(f"http://envoy{PAGE}") as response,
        ):
            await response.read()
