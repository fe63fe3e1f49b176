"""A body over the limit: ordinary clients, which write all of it before they read, see the 413 and not a reset."""

import asyncio
import io
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc.aio
import httpx
import openai
import pytest

from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.grpc_chat import request
from tests.support.stack import AUTH, Stack, running_stack

LIMIT = 4 * 1024 * 1024
LARGE = 48 * 1024 * 1024
"""More than the buffers of a connection hold, so that its sender is still sending when the limit is passed."""
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway that takes 4 MiB."""
    async with running_stack(tmp_path_factory.mktemp("small"), {"MAX_BODY_BYTES": str(LIMIT)}) as running:
        yield running


@pytest.fixture(scope="module")
def body() -> bytes:
    return b'{"model":"custom/echo","messages":[{"role":"user","content":"' + b"x" * LARGE + b'"}]}'


async def by_httpx(url: str, body: bytes) -> tuple[int, Any]:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(url + CHAT, content=body)
        return answer.status_code, answer.json()["error"]


async def by_aiohttp(url: str, body: bytes) -> tuple[int, Any]:
    async with aiohttp.ClientSession(url) as client, client.post(CHAT, data=io.BytesIO(body)) as answer:
        return answer.status, (await answer.json())["error"]


async def by_openai(url: str, body: bytes) -> tuple[int, Any]:
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="sk-any", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.post("/chat/completions", cast_to=object, content=body)
        return caught.value.status_code, caught.value.body


async def by_urllib(url: str, body: bytes) -> tuple[int, Any]:
    def post() -> tuple[int, Any]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url + CHAT, data=body), timeout=30)
        with caught.value as answer:
            return answer.code, {"code": "request_too_large"} if b'"request_too_large"' in answer.read() else None

    return await asyncio.to_thread(post)


async def by_curl(url: str, body: bytes, *options: str) -> tuple[int, Any]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ("curl", "--silent", "--max-time", "30", *options, "--data-binary", "@-", url + CHAT)
    process = await asyncio.create_subprocess_exec(
        *command, "--write-out", "%{http_code}", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(body)
    return int(output[-3:]), {"code": "request_too_large"} if b'"request_too_large"' in output else None


async def by_curl_http2(url: str, body: bytes) -> tuple[int, Any]:
    return await by_curl(url, body, "--http2-prior-knowledge")


@pytest.mark.parametrize("send", [by_httpx, by_aiohttp, by_openai, by_urllib, by_curl, by_curl_http2])
async def test_the_sender_reads_the_413(small: Stack, body: bytes, send: Any) -> None:
    """Whichever client it is."""
    status, error = await send(small.url, body)

    assert (status, error["code"]) == (413, "request_too_large")


async def test_what_nobody_would_wait_for_is_refused_at_once(small: Stack) -> None:
    """A body of more than sixteen times the limit is not read to its end."""
    host, port = small.envoy.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {16 * LIMIT + 1}\r\n\r\n".encode())
    writer.write(b"x" * (LIMIT + 128 * 1024))
    status = await asyncio.wait_for(reader.readline(), 30)
    writer.close()

    assert status.startswith(b"HTTP/1.1 413 ")


async def test_no_caller_chooses_the_refusal(small: Stack) -> None:
    """Its path and its header mean nothing when a caller sends them."""
    async with (
        aiohttp.ClientSession(small.url) as http,
        http.post("/too-large", headers={"x-too-large": "1"}) as answer,
    ):
        assert answer.status == 404


async def test_a_message_over_the_limit_is_told_to_native_callers(small: Stack) -> None:
    """By Envoy with the same status as by a worker."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(small.envoy, options=options) as channel:
        stub: Any = ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(request("custom/echo", "x" * 2 * LIMIT), metadata=AUTH, timeout=30)

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
