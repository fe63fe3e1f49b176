"""Reading a vendor's answers, in whatever way HTTP/1.1 lets them be sent."""

import asyncio
import gzip
import zlib

import pytest

from gateway.http import connection as connection_module
from gateway.http.answer import HIGH_WATER_BYTES, BrokenAnswer
from gateway.http.client import HttpClient
from tests.support.raw_vendor import Caller, RawVendor, Talk, idle, raw_vendor

OK = b"HTTP/1.1 200 OK\r\n"
TEXT = b"hello, this is the body"


async def asked(client: HttpClient, vendor: RawVendor) -> tuple[int, bytes]:
    """Return status and body of one answer."""
    answer = await client.send("POST", vendor.url, {}, b"{}")
    try:
        return answer.status, await answer.read()
    finally:
        answer.release()


def saying(*answers: bytes, packet: int | None = None, closes: bool = False) -> Talk:
    """Return a talk that answers each request of a connection with the next of the given bytes."""

    async def talk(caller: Caller) -> None:
        for said in answers:
            await caller.request()
            await caller.say(said, packet)
        if not closes:
            await caller.left()

    return talk


@pytest.mark.parametrize("packet", [None, 1, 7], ids=["at once", "byte by byte", "in pieces"])
@pytest.mark.parametrize(
    ("said", "closes"),
    [
        pytest.param(OK + b"content-length: 23\r\n\r\n" + TEXT, False, id="length"),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n12;x=y\r\n, this is the body\r\n0\r\n\r\n",
            False,
            id="chunks",
        ),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\n17\r\n" + TEXT + b"\r\n0\r\nx-trailer: 1\r\n\r\n",
            False,
            id="trailer",
        ),
        pytest.param(OK + b"\r\n" + TEXT, True, id="until it closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + TEXT, True, id="HTTP 1.0"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
            + OK
            + b"content-length: 23\r\n\r\n"
            + TEXT,
            False,
            id="interim answers",
        ),
    ],
)
async def test_a_body_is_read_however_it_is_framed(said: bytes, closes: bool, packet: int | None) -> None:
    """Packets fall anywhere."""
    async with raw_vendor(saying(said, packet=packet, closes=closes)) as vendor, HttpClient(5.0) as client:
        assert await asked(client, vendor) == (200, TEXT)


async def test_headers_are_read_without_regard_to_case() -> None:
    """Repeated ones are joined; an interim answer's are dropped."""
    said = (
        b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After:  7 \r\nX-A: 1\r\nx-a: 2\r\n"
        b"Content-Type: Text/Event-Stream; charset=utf-8\r\ncontent-length: 0\r\n\r\n"
    )
    async with raw_vendor(saying(said)) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, {})
        answer.release()

    assert answer.status == 429
    assert answer.content_type == "text/event-stream"
    assert answer.headers == {
        "retry-after": "7",
        "x-a": "1, 2",
        "content-type": "Text/Event-Stream; charset=utf-8",
        "content-length": "0",
    }


@pytest.mark.parametrize("packet", [None, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(("name", "packed"), [("gzip", gzip.compress(TEXT)), ("deflate", zlib.compress(TEXT))])
async def test_a_packed_body_is_unpacked(name: str, packed: bytes, packet: int | None) -> None:
    """Some vendors pack though nobody asked for it."""
    said = OK + f"Content-Encoding: {name}\r\ncontent-length: {len(packed)}\r\n\r\n".encode() + packed
    async with raw_vendor(saying(said, packet=packet)) as vendor, HttpClient(5.0) as client:
        assert await asked(client, vendor) == (200, TEXT)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(OK + b"content-length: 30\r\n\r\n" + TEXT, id="too short"),
        pytest.param(OK + b"transfer-encoding: chunked\r\n\r\n17\r\n" + TEXT + b"\r\n", id="no last chunk"),
        pytest.param(OK + b"transfer-encoding: chunked\r\n\r\nhello\r\n", id="no chunk"),
        pytest.param(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", id="two lengths"),
        pytest.param(OK + b"content-encoding: gzip\r\ncontent-length: 23\r\n\r\n" + TEXT, id="not packed"),
        pytest.param(
            OK + b"content-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + gzip.compress(TEXT)[:20],
            id="half of a packing",
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc", id="upgrade"),
        pytest.param(OK + b"x: " + b"y" * 100_000 + b"\r\n\r\n", id="headers without end"),
    ],
)
async def test_an_answer_that_is_broken_says_so(said: bytes) -> None:
    """Half an answer is none, and what is not HTTP is none either."""
    async with raw_vendor(saying(said, closes=True)) as vendor, HttpClient(5.0) as client:
        with pytest.raises(BrokenAnswer):
            await asked(client, vendor)


async def test_a_vendor_that_closes_without_a_word_is_a_lost_connection() -> None:
    """The request may be sent again elsewhere."""

    async def talk(caller: Caller) -> None:
        await caller.request()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client:
        with pytest.raises(ConnectionError):
            await asked(client, vendor)


async def test_a_packed_body_may_be_empty() -> None:
    """Nothing came, so nothing is missing."""
    said = OK + b"content-encoding: gzip\r\ncontent-length: 0\r\n\r\n"
    async with raw_vendor(saying(said)) as vendor, HttpClient(5.0) as client:
        assert await asked(client, vendor) == (200, b"")


async def test_pieces_arrive_before_what_broke_off() -> None:
    """A stream's reader gets what was said, and then the failure."""
    said = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with raw_vendor(saying(said, closes=True)) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, {})
        assert await answer.piece() == b"hello"
        with pytest.raises(BrokenAnswer):
            await answer.piece()
        answer.release()


async def test_a_limit_reads_the_start_only() -> None:
    """The rest of an endless error page is not waited for."""
    said = OK + b"\r\n" + b"x" * 5000
    async with raw_vendor(saying(said)) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, {})
        assert await answer.read(1000) == b"x" * 1000
        answer.release()
        async with asyncio.timeout(5):
            await vendor.callers[0].gone.wait()


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
async def test_a_vendor_that_is_faster_than_its_reader_waits(whole: bool) -> None:
    """Little of an answer of 64 MiB lies here while nobody reads it, and then all of it arrives."""
    size = 64 * 1024 * 1024
    sent = 0

    async def talk(caller: Caller) -> None:
        nonlocal sent
        await caller.request()
        await caller.say(OK + b"content-length: %d\r\n\r\n" % size)
        while sent < size:
            await caller.say(b"x" * 65536)
            sent += 65536
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, {})
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert HIGH_WATER_BYTES < sent < size / 4
        if whole:
            assert len(await answer.read()) == size
        else:
            received = 0
            while piece := await answer.piece():
                received += len(piece)
            assert received == size
        answer.release()


async def test_a_whole_answer_is_left_to_its_reader_after_the_next_request() -> None:
    """Its connection is free as soon as it has ended, read or not."""
    size = HIGH_WATER_BYTES * 2
    said = [OK + b"content-length: %d\r\n\r\n" % size + each * size for each in (b"a", b"b")]
    async with raw_vendor(saying(*said)) as vendor, HttpClient(5.0) as client:
        first = await client.send("POST", vendor.url, {})
        body = await first.piece()
        while not first.ended:
            body += await first.piece()
        status, second = await asked(client, vendor)
        while piece := await first.piece():
            body += piece
        first.release()

    assert (status, body, second) == (200, b"a" * size, b"b" * size)
    assert len(vendor.callers) == 1


async def test_an_end_that_comes_late_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has heard everything leaves; the connection is used again if the end follows, and closed if it does not."""
    monkeypatch.setattr(connection_module, "_PATIENCE_S", 0.2)
    end = asyncio.Event()

    async def talk(caller: Caller) -> None:
        await caller.request()
        await caller.say(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await end.wait()
        await caller.say(b"0\r\n\r\n")
        await caller.request()
        await caller.say(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nagain\r\n")
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client:
        for said in (b"hello", b"again"):
            answer = await client.send("POST", vendor.url, {})
            assert await answer.piece() == said
            answer.finish()
            answer.release()
            if not end.is_set():
                end.set()
                await idle(client)
        async with asyncio.timeout(5):
            await vendor.callers[0].gone.wait()

    assert len(vendor.callers) == 1


async def test_a_rest_that_never_ends_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience has a limit in bytes too."""
    monkeypatch.setattr(connection_module, "_PATIENCE_S", 60.0)

    async def talk(caller: Caller) -> None:
        await caller.request()
        await caller.say(OK + b"\r\nhello")
        while True:
            await caller.say(b"x" * 65536)

    async with raw_vendor(talk) as vendor, HttpClient(5.0) as client:
        answer = await client.send("POST", vendor.url, {})
        await answer.piece()
        answer.finish()
        answer.release()
        async with asyncio.timeout(5):
            await vendor.callers[0].gone.wait()
