"""Many waits, one timer."""

import asyncio
import time

import pytest

from gateway.dispatch.time_limits import TimeLimits


async def test_work_that_ends_in_time_is_returned() -> None:
    """What it raises is raised."""
    limits = TimeLimits()

    async def work(fails: bool) -> str:
        await asyncio.sleep(0)
        if fails:
            raise KeyError("x")
        return "done"

    assert await limits.until(time.monotonic() + 60, work(fails=False)) == "done"
    with pytest.raises(KeyError):
        await limits.until(time.monotonic() + 60, work(fails=True))


async def test_each_wait_ends_at_its_own_time() -> None:
    """Whatever the order in which they began; those that may go on do."""
    limits = TimeLimits()
    never = asyncio.Event()
    started = time.monotonic()

    async def ended_after(seconds: float) -> float:
        with pytest.raises(TimeoutError):
            await limits.until(started + seconds, never.wait())
        return time.monotonic() - started

    patient = asyncio.create_task(limits.until(started + 60, never.wait()))
    delays = [0.15, 0.05, 0.1, 0.05, 0.0, -1.0]
    async with asyncio.timeout(10):
        taken = await asyncio.gather(*map(ended_after, delays))

    assert all(took >= delay - 0.01 for took, delay in zip(taken, delays, strict=True))
    assert taken[4] < taken[1] < taken[2] < taken[0]
    assert not patient.done()
    never.set()
    assert await patient


async def test_a_wait_that_began_after_another_ended_is_kept_too() -> None:
    """The timer of the first is still set, and serves the second."""
    limits = TimeLimits()
    await limits.until(time.monotonic() + 0.05, asyncio.sleep(0))
    began = time.monotonic()
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await limits.until(began + 0.1, asyncio.Event().wait())

    assert time.monotonic() - began >= 0.09


async def test_a_caller_that_cancels_is_cancelled() -> None:
    """It is no time-out, and the task counts no cancellation of ours."""
    limits = TimeLimits()
    task = asyncio.create_task(limits.until(time.monotonic() + 60, asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert task.cancelled()


async def test_a_cancellation_wins_over_a_time_out() -> None:
    """Both at once: who cancels must not be kept."""
    limits = TimeLimits()
    never = asyncio.Event()

    async def hold() -> None:
        try:
            await never.wait()
        except asyncio.CancelledError:
            task.cancel()
            raise

    task = asyncio.create_task(limits.until(time.monotonic() + 0.01, hold()))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_after_a_time_out_the_task_goes_on() -> None:
    """Its next wait is not cancelled."""
    limits = TimeLimits()
    with pytest.raises(TimeoutError):
        await limits.until(time.monotonic() + 0.01, asyncio.Event().wait())
    await asyncio.sleep(0)
    task = asyncio.current_task()

    assert task is not None
    assert task.cancelling() == 0
