"""Chunks of many streams share a wake-up."""

import asyncio

from gateway.http.client import HttpClient
from gateway.http.gathering import Gatherer
from tests.http.test_answers import OK
from tests.support.raw_vendor import Caller, raw_vendor, until


async def test_what_is_added_within_a_window_is_called_together() -> None:
    """In the order in which it was added; a later one waits for the next window."""
    called: list[int] = []
    gatherer = Gatherer(0.01)
    gatherer.add(lambda: called.append(1))
    gatherer.add(lambda: called.append(2))
    assert called == []
    await until(lambda: called)
    assert called == [1, 2]
    gatherer.add(lambda: called.append(3))
    assert called == [1, 2]
    await until(lambda: len(called) == 3)
    assert called == [1, 2, 3]


def test_without_a_window_nothing_waits() -> None:
    """It is called at once."""
    called: list[int] = []
    Gatherer(0.0).add(lambda: called.append(1))

    assert called == [1]


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
        second = asyncio.create_task(answer.piece())
        steps[0].set()
        await until(lambda: client._gatherer._waiting)
        assert not second.done()
        steps[1].set()
        assert await second == b"middlelast"
        assert await answer.piece() == b""
        answer.release()
        client._gatherer._wake_all()
