"""A real Ollama server with models that the tests make themselves.

`OLLAMA_BIN` names the program. With Go and a C++ compiler, Ollama builds without models and without a GPU, by
`go install github.com/ollama/ollama@latest`. Where that ends with missing headers: Go leaves `vendor` folders out
of a module's zip, and llama.cpp has three header-only libraries in one. Put `stb/stb_image.h`, `nlohmann/json.hpp`
with `nlohmann/json_fwd.hpp`, and `miniaudio/miniaudio.h` into one folder, from a checkout of llama.cpp or from the
libraries' own packages, and show it to the compiler: `CGO_CPPFLAGS=-I/that/folder`. `-p 1` keeps the build small.
"""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.support.tiny_gguf import Uint32, tiny_gguf

PROGRAM: Final = os.environ.get("OLLAMA_BIN", "")
CHAT_MODEL: Final = "tiny-chat"
EMBEDDING_MODEL: Final = "tiny-embed"
_START_S: Final = 30
_TEMPLATE: Final = (
    "{{ if .System }}{{ .System }} {{ end }}{{ if .Tools }}{{ .Tools }} {{ end }}"
    "{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ range .ToolCalls }}{{ .Function.Arguments }}{{ end }} {{ end }}"
)


@dataclass
class RealOllama:
    """Where it listens, and what it has logged."""

    url: str
    log: Path


@asynccontextmanager
async def running_real_ollama(directory: Path) -> AsyncIterator[RealOllama]:
    """Start the server on loopback and give it two tiny models."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    log = directory / "ollama.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "OLLAMA_HOST": address}
    with log.open("wb") as output:
        server = await asyncio.create_subprocess_exec(PROGRAM, "serve", env=environment, stdout=output, stderr=output)
    try:
        async with aiohttp.ClientSession(f"http://{address}") as session:
            async with asyncio.timeout(_START_S):
                await _answering(session)
                await _make_model(session, CHAT_MODEL, tiny_gguf())
                await _make_model(session, EMBEDDING_MODEL, tiny_gguf(llama__pooling_type=Uint32(1)))
        yield RealOllama(f"http://{address}", log)
    finally:
        server.terminate()
        await server.wait()


async def _answering(session: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with session.get("/api/version") as response:
                response.raise_for_status()
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)


async def _make_model(session: aiohttp.ClientSession, name: str, weights: bytes) -> None:
    digest = f"sha256:{hashlib.sha256(weights).hexdigest()}"
    async with session.post(f"/api/blobs/{digest}", data=weights) as response:
        response.raise_for_status()
    model = {"model": name, "files": {f"{name}.gguf": digest}, "template": _TEMPLATE, "stream": False}
    async with session.post("/api/create", json=model) as response:
        response.raise_for_status()
