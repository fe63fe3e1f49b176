"""The limiter of one process."""

import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Final

from gateway.admission.limits.counters import Counter, counter_for
from gateway.admission.limits.model import (
    DONE,
    NOTHING,
    Charge,
    Grant,
    LimitRule,
    Metric,
    Reading,
    Standing,
    standings,
)
from gateway.admission.limits.refusal import refusal

_SWEEP_AT_LEAST: Final = 1024


class MemoryLimiter:
    """Counts in this process alone; its counts end with it, until `restore` brings them back from the ledger.

    A decision has no `await` in it, so in one event loop it is atomic. `clock` gives Unix time in nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._counters: dict[LimitRule, Counter] = {}
        self._by_subject: dict[tuple[str, ...], Counter] = {}
        self._sweep_at = _SWEEP_AT_LEAST
        self._ids = count(1)

    async def reserve(self, rules: Sequence[LimitRule], charge: Charge, lease_s: float) -> Grant:
        """See `Limiter`."""
        now = self._clock() // 1_000_000
        if len(self._counters) >= self._sweep_at:
            self._sweep(now)  # not on the way: a counter of this call would be forgotten before it counts
        needs = _more(charge, NOTHING)
        counted = []
        for rule in rules:
            counter = self._counters.get(rule) or self._counter(rule)
            need = needs[rule.metric]
            used = counter.used(now, rule.amount)
            if need and used + need > rule.amount:
                raise self._refusal(rules, charge, now)
            counted.append((counter, rule.amount, need, used))
        lease_end = now + int(lease_s * 1000)
        grant = str(next(self._ids))
        readings = [
            Reading(counter.add(now, amount, need, grant, lease_end) if need else used, counter.mark)
            for counter, amount, need, used in counted
        ]
        return Grant(grant, tuple(rules), charge, now, readings)

    def settle(self, grant: Grant, actual: Charge) -> Awaitable[None]:
        """See `Limiter`."""
        if grant.open:
            grant.open = False
            now = self._clock() // 1_000_000
            more = _more(actual, grant.charge)
            for rule in grant.rules:
                delta = more[rule.metric]
                if delta:
                    counter = self._counters.get(rule) or self._counter(rule)
                    counter.adjust(grant.at_ms, now, rule.amount, delta, grant.id)
        return DONE

    def release(self, grant: Grant) -> Awaitable[None]:
        """See `Limiter`."""
        return self.settle(grant, NOTHING)

    async def standing(self, rules: Sequence[LimitRule]) -> list[Standing]:
        """See `Limiter`."""
        now = self._clock() // 1_000_000
        return standings(rules, self._read(rules, now), now)

    def restore(self, rules: Sequence[LimitRule], charge: Charge, at_ns: int) -> None:
        """Count what was used at `at_ns`, however much it is. Call it in the order of time, before any `reserve`."""
        at = at_ns // 1_000_000
        for rule in rules:
            need = charge.of(rule.metric)
            if need and rule.window is not None:
                counter = self._counter(rule)
                counter.used(at, rule.amount)
                counter.add(at, rule.amount, need, "", 0)

    def _read(self, rules: Sequence[LimitRule], now: int) -> list[Reading]:
        counters = [self._counter(rule) for rule in rules]
        return [
            Reading(counter.used(now, rule.amount), counter.mark) for rule, counter in zip(rules, counters, strict=True)
        ]

    def _refusal(self, rules: Sequence[LimitRule], charge: Charge, now: int) -> Exception:
        readings = []
        for rule in rules:
            counter = self._counter(rule)
            used, need = counter.used(now, rule.amount), charge.of(rule.metric)
            broken = need and used + need > rule.amount
            readings.append(Reading(used, counter.room_mark(rule.amount, need) if broken else counter.mark))
        return refusal(rules, readings, charge, now)

    def _counter(self, rule: LimitRule) -> Counter:
        counter = self._counters.get(rule)
        if counter is None:
            subject = (rule.scope, rule.scope_id, rule.metric, rule.window or "", rule.strategy)
            counter = self._by_subject.setdefault(subject, counter_for(rule))
            self._counters[rule] = counter
        return counter

    def _sweep(self, now: int) -> None:
        """Forget rules that nobody uses now, so that keys which come and go do not fill the memory."""
        self._counters = {rule: counter for rule, counter in self._counters.items() if counter.used(now, rule.amount)}
        kept = {id(counter) for counter in self._counters.values()}
        self._by_subject = {subject: counter for subject, counter in self._by_subject.items() if id(counter) in kept}
        self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self._counters))


def _more(charge: Charge, than: Charge) -> dict[Metric, int]:
    """Return by how much one charge is more than another. One of them holds a place, and the other one does not."""
    return {
        "requests": charge.requests - than.requests,
        "tokens": charge.tokens - than.tokens,
        "spend_nano": charge.spend_nano - than.spend_nano,
        "concurrent": 1,
    }
