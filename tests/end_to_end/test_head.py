"""HEAD is answered as GET is, without the body: RFC 9110, and what many a probe asks."""

import asyncio

import aiohttp
import pytest

from tests.support.raw_http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, frames
from tests.support.stack import KEY, Stack

LIMIT_S = 20
AUTH = {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/healthz", "/health", "/version", "/v1/models", "/v1/models/custom/echo", "/nowhere"]
)
@pytest.mark.parametrize("headers", [AUTH, {}], ids=["with a key", "without a key"])
async def test_head_has_the_headers_of_get(stack: Stack, path: str, headers: dict[str, str]) -> None:
    """Also where the answer is an error; and the connection is used again."""
    async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http:
        for _ in range(2):
            async with http.get(path, headers=headers) as get, http.head(path, headers=headers) as head:
                body = await get.read()
                nothing = await head.read()

            assert (head.status, nothing) == (get.status, b"")
            for name in ("content-type", "x-content-type-options"):
                assert head.headers[name] == get.headers[name]
            assert head.headers.get("content-length", str(len(body))) == str(len(body))


async def test_not_a_byte_of_a_body_is_sent(stack: Stack) -> None:
    """What would follow the headers would be taken for the next answer."""
    host, _, port = stack.envoy.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = b"HEAD /livez HTTP/1.1\r\nhost: x\r\n"
    writer.write((request + b"\r\n") * 2 + request + b"connection: close\r\n\r\n")
    async with asyncio.timeout(LIMIT_S):
        said = await reader.read()
    writer.close()

    answers = said.split(b"\r\n\r\n")
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 3 + [b""]


async def test_over_http2_it_is_the_same(stack: Stack) -> None:
    """The stream ends without data."""
    fields = {":method": "HEAD", ":scheme": "http", ":path": "/livez", ":authority": "localhost"}
    block = b"".join(
        b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in fields.items()
    )
    host, _, port = stack.envoy.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS) + frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=1))
    data = b""
    async with asyncio.timeout(LIMIT_S):
        async for kind, flags, payload in frames(reader):
            data += payload if kind == DATA else b""
            if kind in {HEADERS, DATA} and flags & END_STREAM:
                break
    writer.close()

    assert data == b""


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        pytest.param("HEAD", "/v1/chat/completions", "POST", id="HEAD where there is no GET"),
        pytest.param("DELETE", "/v1/models", "GET, HEAD", id="another method where there is GET"),
    ],
)
async def test_where_there_is_no_get_there_is_no_head(stack: Stack, method: str, path: str, allowed: str) -> None:
    """405 names the methods that there are, HEAD among them beside GET."""
    async with (
        aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http,
        http.request(method, path, headers=AUTH) as answer,
    ):
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert (await answer.read() == b"") == (method == "HEAD")
