"""Windows of time: calendar windows, slices of sliding windows, ticks of token buckets.

All times are integer milliseconds of Unix time, and calendars are UTC's.
"""

import datetime as dt
import functools
from typing import Final, Literal

Window = Literal["minute", "day", "month"]

SLICES: Final = 60
"""A sliding window is counted in this many slices, and the current one."""

LENGTH_MS: Final[dict[Window, int]] = {"minute": 60_000, "day": 86_400_000, "month": 31 * 86_400_000}
"""Of sliding windows and token buckets: a month is the longest one, so that a calendar month never gets more."""

TICK_MS: Final[dict[Window, int]] = {"minute": 1, "day": 1, "month": 1000}
"""A token bucket's unit of time: a window's ticks squared stay below 2^53, which keeps Lua's arithmetic exact."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def calendar(window: Window, now_ms: int) -> tuple[int, int]:
    """Return the start and the end of the calendar window around `now_ms`."""
    if window != "month":
        length = LENGTH_MS[window]
        start = now_ms - now_ms % length
        return start, start + length
    return _month(now_ms // LENGTH_MS["day"])


@functools.lru_cache(maxsize=64)  # every decision asks, mostly for today
def _month(day: int) -> tuple[int, int]:
    now = _EPOCH + dt.timedelta(days=day)
    start_of_month = dt.datetime(now.year, now.month, 1, tzinfo=dt.UTC)
    next_month = dt.datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=dt.UTC)
    return _milliseconds(start_of_month), _milliseconds(next_month)


def _milliseconds(time: dt.datetime) -> int:
    return (time - _EPOCH) // dt.timedelta(milliseconds=1)


def slice_ms(window: Window) -> int:
    """Return the length of a slice."""
    return LENGTH_MS[window] // SLICES


def slice_end(window: Window, number: int) -> int:
    """Return when use in this slice leaves the sliding window."""
    return (number + SLICES + 1) * slice_ms(window)


def slice_of(window: Window, now_ms: int) -> int:
    """Return the number of the slice around `now_ms`."""
    return now_ms // slice_ms(window)


def ticks(window: Window) -> int:
    """Return the ticks in which a token bucket refills from empty."""
    return LENGTH_MS[window] // TICK_MS[window]


def tick_of(window: Window, now_ms: int) -> int:
    """Return the number of the tick at `now_ms`."""
    return now_ms // TICK_MS[window]


def refill(state: tuple[int, int, int], now: int, amount: int, length: int) -> tuple[int, int, int]:
    """Return a token bucket's state at tick `now`: its use, the rest of the last division, the tick they hold for.

    Exact: after any number of calls the bucket has got back what one call over the whole time gives. A clock that
    steps back gives nothing until it has caught up; use that lies more than a window in the future is forgotten.
    """
    used, rest, since = state
    if now <= since:
        return (0, 0, now) if since - now > length else state
    whole, elapsed = divmod(now - since, length)
    quotient, remainder = divmod(amount, length)
    part = elapsed * remainder + rest
    back = whole * amount + elapsed * quotient + part // length
    return (0, 0, now) if back >= used else (used - back, part % length, now)


def refill_ms(window: Window, amount: int, missing: int, rest: int) -> int:
    """Return how long a token bucket of `amount` takes to get `missing` back."""
    return -((rest - missing * ticks(window)) // max(1, amount)) * TICK_MS[window]
