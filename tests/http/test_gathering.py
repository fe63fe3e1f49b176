"""Chunks of many streams share a wake-up."""

import asyncio

import pytest

from gateway.http.client import HttpClient
from gateway.http.gathering import Gatherer
from tests.http.test_answers import OK
from tests.support.raw_vendor import Caller, raw_vendor, until


def gatherer_of(streams: int, limit_s: float = 3600.0) -> Gatherer:
    gatherer = Gatherer(limit_s)
    gatherer.streams = streams
    return gatherer


async def test_what_is_added_within_a_window_is_called_together() -> None:
    """In the order in which it was added; a later one waits for the next window."""
    called: list[int] = []
    gatherer = gatherer_of(25)
    gatherer.add(lambda: called.append(1))
    gatherer.add(lambda: called.append(2))
    assert called == []
    await until(lambda: called)
    assert called == [1, 2]
    gatherer.add(lambda: called.append(3))
    assert called == [1, 2]
    await until(lambda: len(called) == 3)
    assert called == [1, 2, 3]


@pytest.mark.parametrize(
    ("streams", "limit_s"),
    [pytest.param(1, 3600.0, id="one stream"), pytest.param(10_000, 0.0, id="turned off")],
)
def test_nothing_waits(streams: int, limit_s: float) -> None:
    """It is called at once."""
    called: list[int] = []
    gatherer_of(streams, limit_s).add(lambda: called.append(1))

    assert called == [1]


@pytest.mark.parametrize(("streams", "window_s"), [(3, 0.0015), (50, 0.025), (64, 0.03), (10_000, 0.03)])
async def test_the_window_grows_with_the_streams(streams: int, window_s: float) -> None:
    """By 0.5 ms for each, up to the limit."""
    loop = asyncio.get_running_loop()
    gatherer = gatherer_of(streams, 0.03)
    before = loop.time()
    gatherer.add(lambda: None)

    timer = gatherer._timer
    assert timer is not None
    assert timer.when() - before == pytest.approx(window_s, abs=0.002)
    timer.cancel()


async def test_streams_are_counted_while_they_flow() -> None:
    """From the first piece that is read until they are given up; whole answers are none."""

    async def talk(caller: Caller) -> None:
        for _ in range(2):
            await caller.request()
            await caller.say(OK + b"content-length: 2\r\n\r\nok")
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0, gather=0.03) as client, asyncio.timeout(20):
        stream = await client.send("POST", vendor.url, {})
        assert client._gatherer.streams == 0
        assert await stream.piece() == b"ok"
        assert client._gatherer.streams == 1
        assert await stream.piece() == b""
        stream.release()
        stream.release()
        assert client._gatherer.streams == 0
        whole = await client.send("POST", vendor.url, {})
        assert await whole.read() == b"ok"
        assert client._gatherer.streams == 0
        whole.release()


async def test_first_and_last_pieces_do_not_wait() -> None:
    """Only those between them do: here for a window that nobody sees the end of."""
    steps = [asyncio.Event() for _ in range(2)]

    async def talk(caller: Caller) -> None:
        await caller.request()
        await caller.say(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await steps[0].wait()
        await caller.say(b"6\r\nmiddle\r\n")
        await steps[1].wait()
        await caller.say(b"4\r\nlast\r\n0\r\n\r\n")
        await caller.left()

    async with raw_vendor(talk) as vendor, HttpClient(5.0, gather=3600.0) as client, asyncio.timeout(20):
        answer = await client.send("POST", vendor.url, {})
        assert await answer.piece() == b"first"
        client._gatherer.streams = 1_000_000
        second = asyncio.create_task(answer.piece())
        steps[0].set()
        await until(lambda: client._gatherer._waiting)
        assert not second.done()
        steps[1].set()
        assert await second == b"middlelast"
        assert await answer.piece() == b""
        answer.release()
        client._gatherer._wake_all()
