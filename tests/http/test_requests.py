"""What a vendor receives."""

import asyncio

import pytest
from yarl import URL

from gateway.http.client import HttpClient, _head, _target
from tests.http.test_answers import OK
from tests.support.raw_vendor import Caller, raw_vendor

HELLO = OK + b"content-length: 5\r\n\r\nhello"


class Echo:
    """Answers, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []

    async def __call__(self, caller: Caller) -> None:
        while True:
            self.requests.append(await caller.request())
            await caller.say(HELLO)


async def test_a_request_is_what_was_asked_for() -> None:
    """Method, path and query, host, headers, length and body."""
    echo = Echo()
    async with raw_vendor(echo) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, {"Authorization": "Bearer x"}, b'{"a":1}')
        assert await answer.read() == b"hello"
        answer.release()

    host = f"127.0.0.1:{vendor.url.port}".encode()
    head = b"POST /v1/chat?q=1 HTTP/1.1\r\nhost: %b\r\nauthorization: Bearer x\r\ncontent-length: 7\r\n\r\n" % host
    assert echo.requests == [(head, b'{"a":1}')]


async def test_a_header_has_one_value() -> None:
    """Names are the same in any case: one key must never go out beside another."""
    echo = Echo()
    headers = {"authorization": "Bearer ours", "x-a": "1", "Authorization": "Bearer theirs"}
    async with raw_vendor(echo) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, headers)
        answer.release()

    assert echo.requests[0][0].lower().count(b"authorization:") == 1
    assert b"authorization: Bearer theirs\r\n" in echo.requests[0][0]


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 20 * 1024 * 1024])
async def test_a_body_of_any_size_arrives_whole(size: int) -> None:
    """Also one that goes piece by piece; the connection is then used again."""
    echo = Echo()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with raw_vendor(echo) as vendor, HttpClient(5.0) as client, asyncio.timeout(20):
        for _ in range(2):
            answer = await client.send("POST", vendor.url, {}, body)
            assert await answer.read() == b"hello"
            answer.release()

    assert [sent for _, sent in echo.requests] == [body, body]
    assert len(vendor.callers) == 1


async def test_an_answer_before_the_body_s_end_is_the_answer() -> None:
    """A vendor may refuse a large body without reading it; what is left of it is not sent."""

    async def talk(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client, asyncio.timeout(20):
        for _ in range(2):
            answer = await client.send("POST", vendor.url, {}, b"x" * 50_000_000)
            assert (answer.status, await answer.read()) == (413, b"large")
            answer.release()

    assert len(vendor.callers) == 2


async def test_a_vendor_that_leaves_during_the_body_is_a_lost_connection() -> None:
    """Nobody waits for it."""

    async def talk(caller: Caller) -> None:
        await caller.head()
        caller.writer.transport.abort()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client, asyncio.timeout(20):
        with pytest.raises(ConnectionError):
            await client.send("POST", vendor.url, {}, b"x" * 50_000_000)


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "a\rb", "a\0b"])
async def test_a_header_cannot_hold_another(value: str) -> None:
    """The error does not repeat it: it may be a secret."""
    async with HttpClient(5.0) as client:
        with pytest.raises(ValueError, match="line break") as caught:
            await client.send("POST", URL("http://127.0.0.1:1/"), {"x-key": value})

    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        pytest.param("http://example.test/a%20b?c=d", ["GET /a%20b?c=d HTTP/1.1", "host: example.test"], id="port"),
        pytest.param("http://[::1]:8080", ["GET / HTTP/1.1", "host: [::1]:8080"], id="IPv6"),
        pytest.param(
            "https://user:pass@example.test:443/",
            ["GET / HTTP/1.1", "host: example.test", "authorization: Basic dXNlcjpwYXNz"],
            id="user",
        ),
    ],
)
def test_a_url_becomes_a_request(url: str, lines: list[str]) -> None:
    """Default ports are not named; a user becomes a header."""
    assert _head("GET", _target(URL(url)), {}, 0).decode().split("\r\n")[:-2] == lines


@pytest.mark.parametrize("url", ["ftp://example.test/", "/v1"])
async def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    """Settings are checked before; this is the last line."""
    async with HttpClient(5.0) as client:
        with pytest.raises(ValueError, match="http"):
            await client.send("GET", URL(url), {})


async def test_the_trace_is_told() -> None:
    """The headers of the caller stay as they are."""
    echo = Echo()
    headers = {"a": "b"}
    client = HttpClient(5.0, trace=lambda each: each.update(traceparent="00-1"))
    async with raw_vendor(echo) as vendor, client:
        answer = await client.send("POST", vendor.url, headers)
        await answer.read()
        answer.release()

    assert b"traceparent: 00-1\r\n" in echo.requests[0][0]
    assert headers == {"a": "b"}
