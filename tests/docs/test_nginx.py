"""docs/nginx.md, with a real nginx in front of a real gateway."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.command import ROOT
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.stack import AUTH, KEY, Stack
from tests.support.vendor import Stream, Vendor, chat_stream, sse

NGINX = program("nginx")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed; `make nginx` takes Debian's")
(DOCUMENTED,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/nginx.md").read_text(), re.DOTALL)
BODY = {"model": "openai/gpt-test", "messages": [{"role": "user", "content": "hello"}]}


async def running_nginx(stack: Stack, directory: Path, http2: bool) -> AsyncIterator[str]:
    """Yield the address of an nginx with the documented configuration."""
    assert NGINX is not None
    port = free_port()
    server = DOCUMENTED.replace("127.0.0.1:8080", stack.envoy).replace("127.0.0.1:8081", f"127.0.0.1:{port}")
    if not http2:
        server = server.replace(f":{port} http2", f":{port}")
    paths = "".join(f"{name}_temp_path {directory};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = directory / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {directory}/nginx.pid; error_log stderr warn;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{server}}}\n"
    )
    log = directory / "nginx.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            NGINX, "-p", directory, "-e", "stderr", "-c", config, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.returncode is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


@pytest.fixture
async def json_port(stack: Stack, tmp_path: Path) -> AsyncIterator[str]:
    async for address in running_nginx(stack, tmp_path, http2=False):
        yield address


@pytest.fixture
async def grpc_port(stack: Stack, tmp_path: Path) -> AsyncIterator[str]:
    async for address in running_nginx(stack, tmp_path, http2=True):
        yield address


@pytest.mark.parametrize("mode", ["sse", "ndjson", "text"])
async def test_a_stream_is_not_held_back(json_port: str, vendor: Vendor, mode: str) -> None:
    """The first text arrives while the vendor still waits to send the second, in every form of stream."""
    first, rest = chat_stream("one", "two")[:2], chat_stream("one", "two")[2:]
    go_on = asyncio.Event()
    vendor.script(Stream([sse(*first, done=False), go_on, sse(*rest)]))
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.post(
            f"http://{json_port}/v1/chat/completions?stream_mode={mode}",
            json={**BODY, "stream": True},
            headers={"authorization": f"Bearer {KEY}"},
        ) as response,
    ):
        assert response.status == 200
        received = b""
        while b"one" not in received:
            received += await response.content.readany()
        assert b"two" not in received
        go_on.set()
        received += await response.content.read()
    assert b"two" in received


async def test_the_gateway_asks_not_to_be_held_back(stack: Stack, vendor: Vendor) -> None:
    """The header is for nginx, which keeps it; a whole answer of known length goes without."""
    vendor.script(Stream([sse(*chat_stream("one"))]))
    headers = {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(stack.url, headers=headers) as http:
        async with http.post("/v1/chat/completions", json={**BODY, "stream": True}) as response:
            assert response.headers["x-accel-buffering"] == "no"
        async with http.get("/livez") as response:
            assert "x-accel-buffering" not in response.headers


async def test_errors_and_ids_pass(json_port: str, vendor: Vendor) -> None:
    """An error keeps its status and its body, and the caller's request id comes back."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{json_port}/v1/chat/completions", json=BODY, headers={"x-request-id": "mine-1"}) as response,
    ):
        answer = json.loads(await response.read())
    assert response.status == 401
    assert answer["error"]["type"] == "invalid_request_error"
    assert response.headers["x-request-id"] == "mine-1"


async def test_native_grpc_passes(grpc_port: str, stack: Stack, vendor: Vendor) -> None:
    """A stream by stub, message by message."""
    first, rest = chat_stream("one", "two")[:2], chat_stream("one", "two")[2:]
    go_on = asyncio.Event()
    vendor.script(Stream([sse(*first, done=False), go_on, sse(*rest)]))
    request = pb.StreamChatCompletionRequest()
    request.chat.model = "openai/gpt-test"
    request.chat.messages.add(role=3).content.add(text="hello")
    texts = []
    async with stack.channel(grpc_port) as channel:
        async for message in ChatServiceStub(channel).StreamChatCompletion(request, metadata=AUTH, timeout=20):
            texts += [choice.delta.content for choice in message.chunk.choices]
            if "one" in texts:
                go_on.set()
    assert "".join(texts) == "onetwo"
