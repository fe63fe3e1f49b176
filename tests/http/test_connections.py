"""Keeping connections, and giving up those that cannot be trusted."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from yarl import URL

from gateway.http import origin as origin_module
from gateway.http.client import HttpClient
from tests.http.test_answers import OK, asked, saying
from tests.support.certificates import Authority
from tests.support.raw_vendor import Caller, idle, raw_vendor, until

HELLO = OK + b"content-length: 5\r\n\r\nhello"


async def test_a_connection_is_used_again() -> None:
    """One after the other."""
    async with raw_vendor(saying(HELLO, HELLO, HELLO)) as vendor, HttpClient(5.0) as client:
        for _ in range(3):
            assert await asked(client, vendor) == (200, b"hello")

    assert len(vendor.callers) == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello", id="the vendor says so"),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", id="HTTP 1.0"),
        pytest.param(HELLO + HELLO.replace(b"hello", b"wrong"), id="a second answer"),
        pytest.param(HELLO + b"x", id="a byte too much"),
    ],
)
async def test_a_connection_is_not_used_again(said: bytes) -> None:
    """What one answer left on it can never be taken for the next one."""
    async with raw_vendor(saying(said)) as vendor, HttpClient(5.0) as client:
        for _ in range(2):
            assert await asked(client, vendor) == (200, b"hello")

    assert len(vendor.callers) == 2


async def test_words_nobody_asked_for_close_the_connection() -> None:
    """They are not the next request's answer."""
    spoke = asyncio.Event()

    async def talk(caller: Caller) -> None:
        await caller.request()
        await caller.say(HELLO)
        await spoke.wait()
        await caller.say(HELLO.replace(b"hello", b"wrong"))
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client:
        assert await asked(client, vendor) == (200, b"hello")
        spoke.set()
        async with asyncio.timeout(5):
            await vendor.callers[0].gone.wait()
        assert await asked(client, vendor) == (200, b"hello")

    assert len(vendor.callers) == 2


async def test_a_connection_that_the_vendor_closed_is_not_used() -> None:
    """Idle ones are closed by vendors at any time."""
    async with raw_vendor(saying(HELLO, closes=True)) as vendor, HttpClient(5.0) as client:
        for _ in range(2):
            assert await asked(client, vendor) == (200, b"hello")
            await until(lambda: not any(one.usable for origin in client._origins.values() for one in origin._idle))

    assert len(vendor.callers) == 2


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing else is sent."""
    monkeypatch.setattr(origin_module, "_IDLE_S", 0.1)
    async with raw_vendor(saying(HELLO)) as vendor, HttpClient(5.0) as client:
        await asked(client, vendor)
        async with asyncio.timeout(5):
            await vendor.callers[0].gone.wait()


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_who_leaves_early_closes_the_connection(begun: bool) -> None:
    """The vendor notices at once, and can stop generating."""
    never = OK + b"content-length: 50\r\n\r\nhello" if begun else b""
    async with raw_vendor(saying(never)) as vendor, HttpClient(5.0) as client:
        task = asyncio.create_task(asked(client, vendor))
        async with asyncio.timeout(5):
            await until(lambda: vendor.callers)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await vendor.callers[0].gone.wait()


async def test_many_at_once_have_a_connection_each() -> None:
    """None waits for another; all are kept."""
    together = asyncio.Barrier(50)

    async def talk(caller: Caller) -> None:
        await caller.request()
        await together.wait()
        await caller.say(HELLO)
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client, asyncio.timeout(20):
        assert await asyncio.gather(*(asked(client, vendor) for _ in range(50))) == [(200, b"hello")] * 50

    assert len(vendor.callers) == 50


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/"], ids=["refused", "unknown"])
async def test_a_vendor_that_is_not_there_is_an_os_error(url: str) -> None:
    """So is a name that nobody knows."""
    async with HttpClient(5.0) as client:
        with pytest.raises(OSError, match=r"."):
            await client.send("GET", URL(url), {})


async def test_every_address_of_a_host_is_tried() -> None:
    """A host may have addresses that nothing listens on."""
    loop = asyncio.get_running_loop()
    async with raw_vendor(saying(HELLO)) as vendor, HttpClient(5.0) as client:
        real = loop.getaddrinfo

        async def two(host: str, port: int, **_: object) -> object:
            dead = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
            return [dead, *await real("127.0.0.1", port, type=socket.SOCK_STREAM)]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(origin_module, "_resolve", two)
            assert await asked(client, vendor) == (200, b"hello")


async def test_tls_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an authority that the machine trusts is taken, and no other."""
    authority = Authority(tmp_path, "root")
    pair = authority.issue("vendor")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    async with raw_vendor(saying(HELLO, HELLO), tls=context) as vendor:
        async with HttpClient(5.0) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await asked(client, vendor)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
        async with HttpClient(5.0) as client:
            for _ in range(2):
                assert await asked(client, vendor) == (200, b"hello")

    assert len(vendor.callers) == 1


async def test_closing_the_client_closes_what_is_idle() -> None:
    """Nothing is left open."""
    async with raw_vendor(saying(HELLO)) as vendor:
        async with HttpClient(5.0) as client:
            await asked(client, vendor)
            await idle(client)
        async with asyncio.timeout(5):
            await vendor.callers[0].gone.wait()


async def test_what_is_under_way_when_the_client_closes_ends_and_is_not_kept() -> None:
    """A reload closes the client of the old settings while its last answers arrive."""
    closed = asyncio.Event()

    async def talk(caller: Caller) -> None:
        await caller.request()
        await closed.wait()
        await caller.say(HELLO)
        await caller.left()

    async with raw_vendor(talk) as vendor, asyncio.timeout(10):
        async with HttpClient(5.0) as client:
            call = asyncio.create_task(asked(client, vendor))
            await until(lambda: vendor.callers)
        closed.set()
        assert await call == (200, b"hello")
        await vendor.callers[0].gone.wait()
