"""One count a rule, in process: what is used now, and adding to it. Times are integer milliseconds, never float.

Each keeps right through a clock that jumps: a calendar window finds its own count again when the clock comes back,
and use that seems to lie less than a window in the future still counts.
"""

# ruff: noqa: ARG002  # every counter takes all that one of them needs
from typing import Final, Protocol

from gateway.admission.limits.model import LimitRule
from gateway.admission.limits.windows import SLICES, Window, calendar, refill, slice_of, tick_of, ticks

_KEPT_WINDOWS: Final = 4


class Counter(Protocol):
    """The count of one rule."""

    mark: int
    """`Reading.mark`, as of the last call of `used` or `add`."""

    def used(self, now_ms: int, amount: int) -> int:
        """Return what is used at `now_ms` of a rule of `amount`."""
        ...

    def add(self, now_ms: int, amount: int, need: int, grant: str, lease_end_ms: int) -> int:
        """Count `need` at `now_ms`, for which `used` was asked just before, and return what is used then."""
        ...

    def adjust(self, at_ms: int, now_ms: int, amount: int, delta: int, grant: str) -> None:
        """Correct by `delta` what the grant added at `at_ms`."""
        ...

    def room_mark(self, amount: int, need: int) -> int:
        """Return the mark for a refusal of `need`, as of the last call of `used`."""
        ...


class FixedCounter:
    """Calendar windows: the one around the last call, and a few others by their start."""

    __slots__ = ("_end", "_others", "_start", "_used", "_window", "mark")

    def __init__(self, window: Window) -> None:
        self._window: Final = window
        self._start = self._end = self._used = 0
        self._others: dict[int, int] = {}
        self.mark = 0

    def used(self, now_ms: int, amount: int) -> int:
        if not self._start <= now_ms < self._end:
            self._turn_to(now_ms)
        return self._used

    def add(self, now_ms: int, amount: int, need: int, grant: str, lease_end_ms: int) -> int:
        self._used += need
        return self._used

    def adjust(self, at_ms: int, now_ms: int, amount: int, delta: int, grant: str) -> None:
        if self._start <= at_ms < self._end:
            self._used = max(0, self._used + delta)
            return
        start = calendar(self._window, at_ms)[0]
        if delta > 0 or start in self._others:
            self._others[start] = max(0, self._others.get(start, 0) + delta)

    def room_mark(self, amount: int, need: int) -> int:
        return self.mark

    def _turn_to(self, now_ms: int) -> None:
        if self._used:
            self._others[self._start] = self._used
        self._start, self._end = calendar(self._window, now_ms)
        self.mark = self._end
        self._used = self._others.pop(self._start, 0)
        if len(self._others) > _KEPT_WINDOWS:
            del self._others[max(self._others, key=lambda start: abs(start - self._start))]


class SlidingCounter:
    """The current slice and the `SLICES` before it, which together cover more than the window."""

    __slots__ = ("_counts", "_slice", "_total", "_window", "mark")

    def __init__(self, window: Window) -> None:
        self._window: Final = window
        self._slice = -1
        self._counts: dict[int, int] = {}
        self._total = 0
        self.mark = 0

    def used(self, now_ms: int, amount: int) -> int:
        current = slice_of(self._window, now_ms)
        if current != self._slice:
            self._slice = current
            inside = self._inside()
            self._total = sum(inside.values())
            self.mark = max(inside, default=current)
        return self._total

    def add(self, now_ms: int, amount: int, need: int, grant: str, lease_end_ms: int) -> int:
        if self._slice not in self._counts:
            self._counts = {**self._inside(), self._slice: 0}
        self._counts[self._slice] += need
        self._total += need
        self.mark = max(self.mark, self._slice)
        return self._total

    def adjust(self, at_ms: int, now_ms: int, amount: int, delta: int, grant: str) -> None:
        at = slice_of(self._window, at_ms)
        if delta > 0 or at in self._counts:
            count = self._counts.get(at, 0)
            self._counts[at] = max(0, count + delta)
            if abs(at - self._slice) <= SLICES:
                self._total += self._counts[at] - count
                self.mark = max(self.mark, at)

    def _inside(self) -> dict[int, int]:
        return {at: count for at, count in self._counts.items() if abs(at - self._slice) <= SLICES}

    def room_mark(self, amount: int, need: int) -> int:
        left = self._total
        for at, count in sorted(self._inside().items()):
            left -= count
            if left + need <= amount:
                return at
        return self._slice


class BucketCounter:
    """A token bucket, kept as what is missing from it."""

    __slots__ = ("_length", "_state", "_window", "mark")

    def __init__(self, window: Window) -> None:
        self._window: Final = window
        self._length: Final = ticks(window)
        self._state = (0, 0, 0)
        self.mark = 0

    def used(self, now_ms: int, amount: int) -> int:
        used, self.mark, _ = self._refilled(now_ms, amount)
        return used

    def add(self, now_ms: int, amount: int, need: int, grant: str, lease_end_ms: int) -> int:
        used, rest, since = self._refilled(now_ms, amount)
        self._state = (used + need, rest, since)
        self.mark = rest
        return used + need

    def adjust(self, at_ms: int, now_ms: int, amount: int, delta: int, grant: str) -> None:
        used, rest, since = self._refilled(now_ms, amount)
        self._state = (used + delta, rest, since) if used + delta > 0 else (0, 0, since)

    def _refilled(self, now_ms: int, amount: int) -> tuple[int, int, int]:
        return refill(self._state, tick_of(self._window, now_ms), amount, self._length)

    def room_mark(self, amount: int, need: int) -> int:
        return self.mark


class LeaseCounter:
    """Concurrent calls, each until its lease ends."""

    __slots__ = ("_ends", "mark")

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}
        self.mark = 0

    def used(self, now_ms: int, amount: int) -> int:
        if self._ends and self.mark <= now_ms:
            self._ends = {grant: end for grant, end in self._ends.items() if end > now_ms}
            self.mark = min(self._ends.values(), default=0)
        return len(self._ends)

    def add(self, now_ms: int, amount: int, need: int, grant: str, lease_end_ms: int) -> int:
        self.mark = min(self.mark, lease_end_ms) if self._ends else lease_end_ms
        self._ends[grant] = lease_end_ms
        return len(self._ends)

    def adjust(self, at_ms: int, now_ms: int, amount: int, delta: int, grant: str) -> None:
        self._ends.pop(grant, None)

    def room_mark(self, amount: int, need: int) -> int:
        return self.mark


def counter_for(rule: LimitRule) -> Counter:
    """Return an empty count for `rule`."""
    if rule.window is None:
        return LeaseCounter()
    if rule.strategy == "fixed":
        return FixedCounter(rule.window)
    if rule.strategy == "sliding":
        return SlidingCounter(rule.window)
    return BucketCounter(rule.window)
