"""A real OpenAI-compatible server: that of `llama-cpp-python`, with a model that the tests make themselves.

`LLAMA_CPP_PYTHON` names a Python that has it: `pip install 'llama-cpp-python[server]'`.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from tests.support.tiny_gguf import tiny_gguf

PYTHON: Final = os.environ.get("LLAMA_CPP_PYTHON", "")
MODEL: Final = "tiny-chat"
_START_S: Final = 50


@asynccontextmanager
async def running_llama_cpp(directory: Path) -> AsyncIterator[str]:
    """Start the server on loopback and yield its base URL."""
    weights = directory / "tiny.gguf"
    weights.write_bytes(tiny_gguf())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"model": weights, "model_alias": MODEL, "host": "127.0.0.1", "port": port, "n_ctx": 1024}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    with (directory / "llama_cpp.log").open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            PYTHON, "-m", "llama_cpp.server", *arguments, "--chat_format", "chatml", stdout=output, stderr=output
        )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(_START_S):
            await _answering(session, f"http://127.0.0.1:{port}/v1/models")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        await server.wait()


async def _answering(session: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with session.get(url) as response:
                response.raise_for_status()
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
