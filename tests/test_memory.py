"""Freed memory goes back to the system, when nobody is kept waiting for it."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.memory import Trim, find_trim, give_back, keep_small
from gateway.process_usage import resident as resident_of

LIMIT_S = 30
PAUSE_S = 0.4
PIECES = 100_000
PIECE_BYTES = 1500
"""More than Python's own allocator takes, so it is the C library's."""

trim = find_trim()
with_trim = pytest.mark.skipif(trim is None, reason="the C library has no malloc_trim")


def resident() -> int:
    return resident_of(os.getpid())


@asynccontextmanager
async def giving_back(trim: Trim | None) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(give_back(trim, pause=PAUSE_S))
    await asyncio.sleep(0)  # it has seen what is needed
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def fragmented() -> list[bytes]:
    """Take much memory and free all but a little at its end, which keeps the C library from giving back the rest."""
    pieces = [bytes([1]) * PIECE_BYTES for _ in range(PIECES)]
    return pieces[-10:]


@with_trim
async def test_what_was_freed_is_given_back() -> None:
    """All but a little of it, soon after it is quiet."""
    before = resident()
    async with giving_back(trim):
        kept = fragmented()
        assert resident() - before > PIECES * PIECE_BYTES / 2
        async with asyncio.timeout(LIMIT_S):
            while resident() - before > PIECES * PIECE_BYTES / 5:  # noqa: ASYNC110  # the kernel tells nobody
                await asyncio.sleep(PAUSE_S)

    assert len(kept) == 10


async def test_a_busy_process_is_left_alone() -> None:
    """Giving back takes time that its callers would wait for; it is done when they have gone."""
    calls: list[int] = []
    worked = [(time.monotonic(), time.process_time())]

    def note(padding: int) -> int:
        calls.append(padding)
        return 1

    loop = asyncio.get_running_loop()
    async with giving_back(note):
        more = b"\1" * (resident() // 5)
        ends = loop.time() + 5 * PAUSE_S
        while loop.time() < ends and not calls:
            sum(range(1000))
            worked.append((time.monotonic(), time.process_time()))
            await asyncio.sleep(0)
        assert calls == [] or share_of_a_core(worked) < 0.2, "it was busy"
        async with asyncio.timeout(LIMIT_S):
            while not calls:  # noqa: ASYNC110  # a thread of another library has no event to wait for
                await asyncio.sleep(PAUSE_S)

    assert (calls, len(more) > 0) == ([0], True)


def share_of_a_core(worked: list[tuple[float, float]]) -> float:
    """Return how much of a core this process had in the last look: a machine with more to do may give it none."""
    now, used = worked[-1]
    then, before = max((each for each in worked if each[0] <= now - PAUSE_S), default=worked[0])
    return (used - before) / (now - then)


async def test_without_malloc_trim_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """It says why, and ends."""
    async with giving_back(None) as task, asyncio.timeout(LIMIT_S):
        await task

    assert "the C library has no malloc_trim" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc, which is Linux's")
@pytest.mark.parametrize(
    ("growths", "asked_each_time"),
    [pytest.param(2, 1, id="it grows again"), pytest.param(1, 3, id="it may have freed what was in use")],
)
async def test_another_process_is_asked_more_than_once(growths: int, asked_each_time: int) -> None:
    """Each time it has grown, and later too, for nothing shows outside when what it was asked for is free.

    Looking ends with the process.
    """
    program = f"more = []\nwhile True: print(flush=True); input(); more.append(bytes([1]) * {PIECES * PIECE_BYTES})"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    asked = asyncio.Semaphore(0)

    async def release() -> None:
        asked.release()

    async with asyncio.timeout(LIMIT_S):
        await child.stdout.readline()
        looking = asyncio.create_task(keep_small(child.pid, release, pause=PAUSE_S))
        await asyncio.sleep(0)  # it has seen what is needed
        for _ in range(growths):
            child.stdin.write(b"\n")
            await child.stdout.readline()
            for _ in range(asked_each_time):
                await asked.acquire()
        child.kill()
        await child.communicate()
        await looking
