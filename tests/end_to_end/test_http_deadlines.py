"""gRPC's own deadline in an HTTP request: the gateway obeys it, so that its end has OpenAI's shape too."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.stack import KEY, Stack
from tests.support.vendor import Answer, Stream, Vendor, chunk, sse

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {KEY}"}
FIRST = sse(chunk({"content": "a"}), done=False)
OUR_TEXT = "The request's deadline passed before an answer was ready."
"""gRPC's own end of a call gets another one from Envoy."""


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "openai/gpt-test", "messages": [{"role": "user", "content": "hello"}], **fields}


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with a key."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(stack.url, headers=HEADERS, timeout=timeout) as session:
        yield session


def last_error(status: int, data: bytes) -> Any:
    """Return the error that a whole answer is, or that a stream ends with."""
    if status == 200:
        assert data.endswith(b"\n\n")
        data = data.removesuffix(b"\n\n").rsplit(b"\n\n", 1)[-1].removeprefix(b"data: ")
    return json.loads(data)["error"]


@pytest.mark.parametrize("sent", ["0n", "1n", "900u", "15m", "00000015m"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
async def test_a_short_deadline_ends_in_openais_shape(
    http: aiohttp.ClientSession, vendor: Vendor, sent: str, streaming: bool
) -> None:
    """504, or an error in the stream when that has begun, and never gRPC's own end; the vendor is let go."""
    vendor.script(Stream([FIRST, asyncio.Event()]) if streaming else Answer(b"{}", wait_for=asyncio.Event()))
    for _ in range(10):
        async with http.post(CHAT, json=body(stream=streaming), headers={"grpc-timeout": sent}) as response:
            data = await response.read()
            status = response.status

        assert status == 504 or (streaming and status == 200)
        assert last_error(status, data) == {
            "message": OUR_TEXT, "type": "server_error", "param": None, "code": "timeout",
        }  # fmt: skip


async def test_a_worker_that_was_held_up_still_ends_its_stream_with_an_error(
    http: aiohttp.ClientSession, vendor: Vendor
) -> None:
    """The deadline passes while the worker, which shares its thread with this test, can do nothing about it."""
    vendor.script(Stream([FIRST, asyncio.Event()]))
    sent = time.monotonic()
    async with http.post(CHAT, json=body(stream=True), headers={"grpc-timeout": "2S"}) as response:
        begun = await response.content.readuntil(b"\n\n")
        time.sleep(max(0.0, sent + 2.1 - time.monotonic()))  # noqa: ASYNC251 - nothing else holds a worker up
        data = await response.read()

    assert begun == FIRST
    assert last_error(200, data)["message"] == OUR_TEXT


@pytest.mark.parametrize(("sent", "other"), [("150m", "9000"), ("9S", "150")])
async def test_the_least_deadline_counts(http: aiohttp.ClientSession, vendor: Vendor, sent: str, other: str) -> None:
    """Of gRPC's and the gateway's own."""
    vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    started = time.monotonic()
    headers = {"grpc-timeout": sent, "x-request-timeout-ms": other}
    async with http.post(CHAT, json=body(), headers=headers) as response:
        status = response.status

    assert status == 504
    assert 0.15 <= time.monotonic() - started < 5


@pytest.mark.parametrize("sent", ["soon", "5", "5s", "1.5S", "-5S", "999999999S", "1n,1n", "٣S"])
async def test_a_wrong_deadline_is_named(http: aiohttp.ClientSession, sent: str) -> None:
    """By the name that the caller gave it."""
    async with http.post(CHAT, json=body(), headers={"grpc-timeout": sent}) as response:
        status, error = response.status, (await response.json())["error"]

    assert (status, error["param"], error["code"]) == (422, "grpc-timeout", "invalid_value")
    assert "grpc-timeout" in error["message"]
