"""Any sequence of calls, on a clock that runs, jumps and steps back: both limiters do what a simple model says."""

import datetime as dt
import math
import uuid
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.admission.limits.memory import MemoryLimiter
from gateway.admission.limits.model import Charge, Grant, Limiter, LimitRule
from gateway.admission.limits.redis import RedisLimiter, connect
from gateway.config import Secret
from gateway.errors import QuotaExceeded, RateLimited
from tests.admission.limits.conftest import Clock

LENGTH = {"minute": 60_000, "day": 86_400_000, "month": 31 * 86_400_000}
LABEL = {"minute": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass
class Use:
    """What one grant counts."""

    at: int
    count: int
    lease_end: int


@dataclass
class Model:
    """One rule, as one would explain it: a list of uses, and for the bucket an exact fraction."""

    rule: LimitRule
    uses: dict[int, Use] = field(default_factory=dict)
    missing: Fraction = Fraction(0)
    since: int = 0

    def used(self, now: int) -> int:
        """Return what is used now."""
        window = self.rule.window
        if window is None:
            return sum(use.lease_end > now for use in self.uses.values())
        if self.rule.strategy == "fixed":
            return sum(use.count for use in self.uses.values() if _label(window, use.at) == _label(window, now))
        if self.rule.strategy == "sliding":
            length = LENGTH[window] // 60
            return sum(use.count for use in self.uses.values() if abs(use.at // length - now // length) <= 60)
        return math.ceil(self._refilled(now)[0])

    def add(self, grant: int, now: int, count: int, lease_end: int) -> None:
        """Count a grant."""
        self.uses[grant] = Use(now, count, lease_end)
        self._add_to_bucket(now, count)

    def settle(self, grant: int, now: int, actual: int) -> None:
        """Count what it really used."""
        use = self.uses[grant]
        self._add_to_bucket(now, actual - use.count)
        use.count = actual
        if self.rule.window is None:
            del self.uses[grant]

    def _refilled(self, now: int) -> tuple[Fraction, int]:
        if self.rule.window is None:
            return self.missing, now
        tick = 1000 if self.rule.window == "month" else 1
        length, now = LENGTH[self.rule.window] // tick, now // tick
        if now <= self.since:
            return (Fraction(0), now) if self.since - now > length else (self.missing, self.since)
        return max(Fraction(0), self.missing - Fraction(now - self.since, length) * self.rule.amount), now

    def _add_to_bucket(self, now: int, count: int) -> None:
        missing, self.since = self._refilled(now)
        self.missing = max(Fraction(0), missing + count) if math.ceil(missing) + count > 0 else Fraction(0)


def _label(window: str, at: int) -> str:
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=at)).strftime(LABEL[window])


def _rules() -> st.SearchStrategy[list[LimitRule]]:
    amounts = st.one_of(st.integers(0, 12), st.integers(0, 10**15))
    kinds: Any = st.tuples(
        st.sampled_from(["requests", "tokens", "spend_nano"]),
        st.sampled_from(["minute", "day", "month"]),
        st.sampled_from(["fixed", "sliding", "token_bucket"]),
    )
    windows = st.lists(st.tuples(kinds, amounts), min_size=1, max_size=4, unique_by=lambda rule: rule[0])
    concurrent = st.one_of(st.none(), st.integers(0, 4))
    return st.builds(_build_rules, windows, concurrent)


def _build_rules(windows: list[Any], concurrent: int | None) -> list[LimitRule]:
    rules = [
        LimitRule(scope="key", scope_id="k", metric=metric, window=window, strategy=strategy, amount=amount)
        for (metric, window, strategy), amount in windows
    ]
    if concurrent is not None:
        rules.append(LimitRule(scope="key", scope_id="k", metric="concurrent", amount=concurrent))
    return rules


_STEPS = st.one_of(
    st.integers(0, 5_000),
    st.integers(0, 120_000),
    st.integers(0, 3 * 86_400_000),
    st.integers(-120_000, 0),
    st.integers(-40 * 86_400_000, 40 * 86_400_000),
)
_COUNTS = st.one_of(st.integers(0, 6), st.integers(0, 10**15))
_CHARGES = st.builds(Charge, requests=st.integers(0, 3), tokens=_COUNTS, spend_nano=_COUNTS)
_ACTIONS = st.lists(
    st.tuples(_STEPS, st.sampled_from(["reserve", "reserve", "reserve", "settle", "release"]), _CHARGES), max_size=25
)
_STARTS = st.integers(1_577_836_800_000, 4_102_444_800_000)  # 2020 to 2100


@settings(max_examples=150, derandomize=True, deadline=None)
@given(rules=_rules(), start=_STARTS, actions=_ACTIONS)
async def test_memory_limiter_does_what_the_model_says(rules: list[LimitRule], start: int, actions: list[Any]) -> None:
    """In process."""
    clock = Clock(start)
    await _compare(MemoryLimiter(clock), clock, rules, actions)


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=_rules(), start=_STARTS, actions=_ACTIONS)
async def test_redis_limiter_does_what_the_model_says(
    redis_url: Secret, rules: list[LimitRule], start: int, actions: list[Any]
) -> None:
    """In Redis."""
    clock = Clock(start)
    async with connect(redis_url, timeout_s=5) as redis:
        limiter = RedisLimiter(redis, clock, namespace=f"test-{uuid.uuid4().hex}")
        await _compare(limiter, clock, rules, actions)
        await limiter.aclose()


async def _compare(limiter: Limiter, clock: Clock, rules: list[LimitRule], actions: list[Any]) -> None:
    models = [Model(rule) for rule in rules]
    grants: list[tuple[int, Grant]] = []
    for number, (step, action, charge) in enumerate(actions):
        clock.now_ms += step
        now = clock.now_ms
        if action == "reserve":
            needs = [charge.of(rule.metric) for rule in rules]
            fits = all(
                not need or model.used(now) + need <= model.rule.amount
                for model, need in zip(models, needs, strict=True)
            )
            try:
                grants.append((number, await limiter.reserve(rules, charge, 45)))
            except (RateLimited, QuotaExceeded):
                assert not fits
            else:
                assert fits
                for model, need in zip(models, needs, strict=True):
                    if need:
                        model.add(number, now, need, now + 45_000)
                assert [standing.used for standing in grants[-1][1].standing] == [m.used(now) for m in models]
        elif grants:
            grant_number, grant = grants.pop(charge.requests % len(grants))
            actual = charge if action == "settle" else Charge(requests=0)
            await limiter.settle(grant, actual)
            for model in models:
                if grant_number in model.uses or model.rule.window:
                    model.uses.setdefault(grant_number, Use(grant.at_ms, 0, 0))
                    model.settle(grant_number, now, actual.of(model.rule.metric))
        standing = await limiter.standing(rules)
        assert [row.used for row in standing] == [model.used(now) for model in models]
