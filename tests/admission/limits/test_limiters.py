"""Both limiters behave alike: the same tests for each."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.admission.limits.model import Charge, Grant, Limiter, LimitRule
from gateway.errors import QuotaExceeded, RateLimited
from tests.admission.limits.conftest import NOON, Clock

LEASE_S = 60.0
DAY = 86_400_000
STRATEGIES = ["fixed", "sliding", "token_bucket"]


def rule(metric: Any = "requests", window: Any = "minute", amount: int = 3, **fields: Any) -> LimitRule:
    """Return a rule for key `k`, three requests a minute unless told otherwise."""
    return LimitRule(
        **{"scope": "key", "scope_id": "k", "metric": metric, "window": window, "amount": amount, **fields}
    )


async def fits(limiter: Limiter, rules: Sequence[LimitRule], **charge: int) -> bool:
    """Reserve and tell whether it was granted."""
    try:
        await limiter.reserve(rules, Charge(**charge), LEASE_S)
    except (RateLimited, QuotaExceeded):
        return False
    return True


async def left(limiter: Limiter, *rules: LimitRule) -> list[int]:
    """Return what is left of each rule."""
    return [standing.remaining for standing in await limiter.standing(rules)]


def at(text: str) -> int:
    """Return a time in UTC as milliseconds."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("window", ["minute", "day", "month"])
@pytest.mark.parametrize("metric", ["requests", "tokens", "spend_nano"])
async def test_amount_fits_and_not_one_more(limiter: Limiter, metric: Any, window: Any, strategy: Any) -> None:
    """Exactly the amount can be reserved, whatever is counted, over whichever window, by whichever strategy."""
    limit = rule(metric, window, amount=7, strategy=strategy)
    granted = [await fits(limiter, [limit], **{metric: size}) for size in (3, 5, 4, 1)]

    assert granted == [True, False, True, False]
    assert await left(limiter, limit) == [0]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_nothing_is_counted_unless_every_rule_agrees(limiter: Limiter, strategy: Any) -> None:
    """A call that breaks one rule leaves the others as they were."""
    wide, narrow = rule(amount=10, strategy=strategy), rule("tokens", amount=5, strategy=strategy)
    concurrent = rule("concurrent", None)

    assert not await fits(limiter, [wide, concurrent, narrow], tokens=6)
    assert await left(limiter, wide, concurrent, narrow) == [10, 3, 5]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_settling_replaces_the_bound_by_the_actual(limiter: Limiter, strategy: Any) -> None:
    """What was reserved too much is free again at once."""
    limit = rule("tokens", amount=100, strategy=strategy)
    grant = await limiter.reserve([limit], Charge(tokens=90), LEASE_S)
    await limiter.settle(grant, Charge(tokens=25))

    assert await left(limiter, limit) == [75]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_use_beyond_the_bound_counts(limiter: Limiter, strategy: Any) -> None:
    """A provider that reports more than the bound makes a debt, which the next calls pay."""
    limit = rule("tokens", amount=100, strategy=strategy)
    grant = await limiter.reserve([limit], Charge(tokens=10), LEASE_S)
    await limiter.settle(grant, Charge(tokens=120))

    assert [standing.used for standing in await limiter.standing([limit])] == [120]
    assert not await fits(limiter, [limit], tokens=1)
    assert await fits(limiter, [limit], tokens=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_released_call_leaves_no_trace(limiter: Limiter, strategy: Any) -> None:
    """A release gives back the request, its tokens, its spend and its place."""
    rules = [rule(metric, strategy=strategy) for metric in ("requests", "tokens", "spend_nano")]
    rules.append(rule("concurrent", None))
    grant = await limiter.reserve(rules, Charge(tokens=2, spend_nano=2), LEASE_S)
    await limiter.release(grant)

    assert await left(limiter, *rules) == [3, 3, 3, 3]


async def test_grant_ends_once(limiter: Limiter) -> None:
    """Only the first settle or release of a grant counts."""
    limit = rule("tokens", amount=100)
    await limiter.reserve([limit], Charge(tokens=50), LEASE_S)
    grant = await limiter.reserve([limit], Charge(tokens=10), LEASE_S)
    await limiter.settle(grant, Charge(tokens=5))
    await limiter.release(grant)
    await limiter.settle(grant, Charge(tokens=1))

    assert await left(limiter, limit) == [45]


async def test_rules_of_all_scopes_decide_together(limiter: Limiter) -> None:
    """A key, its project, the provider and the gateway are separate counts of one decision."""
    scopes: list[Any] = ["key", "project", "provider", "gateway"]
    rules = [rule(scope=scope, amount=amount) for scope, amount in zip(scopes, (9, 2, 9, 9), strict=True)]
    granted = [await fits(limiter, rules) for _ in range(3)]

    assert granted == [True, True, False]
    assert await left(limiter, *rules) == [7, 0, 7, 7]


async def test_changed_amount_keeps_what_is_used(limiter: Limiter) -> None:
    """Raising or lowering a limit does not start its count anew."""
    for strategy in STRATEGIES:
        await fits(limiter, [rule(amount=3, strategy=strategy)])

        assert await left(limiter, rule(amount=10, strategy=strategy), rule(amount=1, strategy=strategy)) == [9, 0]


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        pytest.param("minute", "2026-03-01T12:00:59.999", "2026-03-01T12:01:00", id="minute"),
        pytest.param("day", "2026-03-01T00:00:00", "2026-03-02T00:00:00", id="day"),
        pytest.param("month", "2026-01-31T00:00:00", "2026-02-01T00:00:00", id="January"),
        pytest.param("month", "2026-02-01T00:00:00", "2026-03-01T00:00:00", id="February"),
        pytest.param("month", "2028-02-28T23:59:59.999", "2028-03-01T00:00:00", id="leap day"),
        pytest.param("month", "2100-02-28T00:00:00", "2100-03-01T00:00:00", id="no leap day in 2100"),
        pytest.param("month", "2026-12-31T23:59:59", "2027-01-01T00:00:00", id="new year"),
    ],
)
async def test_fixed_window_is_the_calendars(limiter: Limiter, clock: Clock, window: Any, start: str, end: str) -> None:
    """A fixed window ends with the minute, day or month in UTC, to the millisecond."""
    limit = rule(window=window, amount=1)
    clock.now_ms = at(start)
    granted = [await fits(limiter, [limit])]
    reset = (await limiter.standing([limit]))[0].reset_ms
    clock.now_ms = at(end) - 1
    granted.append(await fits(limiter, [limit]))
    clock.now_ms = at(end)
    granted.append(await fits(limiter, [limit]))

    assert granted == [True, False, True]
    assert reset == at(end) - at(start)


async def test_sliding_window_forgets_after_its_length(limiter: Limiter, clock: Clock) -> None:
    """Use counts for a whole minute after it, and no more than a slice longer."""
    limit = rule(strategy="sliding", amount=1)
    clock.now_ms = NOON + 30_999
    granted = [await fits(limiter, [limit])]
    clock.now_ms += 60_000
    granted.append(await fits(limiter, [limit]))
    clock.now_ms += 1
    granted.append(await fits(limiter, [limit]))

    assert granted == [True, False, True]


async def test_token_bucket_refills_evenly(limiter: Limiter, clock: Clock) -> None:
    """A bucket of 3 a minute gets one back every 20 s, however often it is asked."""
    limit = rule(strategy="token_bucket", amount=3)
    granted = [await fits(limiter, [limit]) for _ in range(3)]
    for step in (6_667, 6_667, 6_665, 1):
        clock.now_ms += step
        granted.append(await fits(limiter, [limit]))

    assert granted == [True] * 3 + [False] * 3 + [True]


async def test_full_bucket_saves_nothing_up(limiter: Limiter, clock: Clock) -> None:
    """The time that a bucket was full, or was filled by a refund, does not count towards the next token."""
    limit = rule(strategy="token_bucket", amount=7)
    grant = await limiter.reserve([limit], Charge(requests=2), LEASE_S)
    clock.now_ms += 5_000
    await limiter.release(grant)
    granted = [await fits(limiter, [limit], requests=7)]
    for step in (8_571, 1):
        clock.now_ms += step
        granted.append(await fits(limiter, [limit]))

    assert granted == [True, False, True]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_waiting_as_told_is_enough(limiter: Limiter, clock: Clock, strategy: Any) -> None:
    """After `retry_after` the same call fits; a millisecond earlier it does not."""
    limit = rule("tokens", amount=100, strategy=strategy)
    clock.now_ms = NOON + 12_345
    for tokens in (30, 30, 40):
        await fits(limiter, [limit], tokens=tokens)
        clock.now_ms += 3_210
    with pytest.raises(RateLimited) as refused:
        await limiter.reserve([limit], Charge(tokens=35), LEASE_S)
    assert refused.value.retry_after is not None
    clock.now_ms += round(refused.value.retry_after * 1000) - 1
    early = await fits(limiter, [limit], tokens=35)
    clock.now_ms += 1

    assert (early, await fits(limiter, [limit], tokens=35)) == (False, True)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_reset_frees_everything(limiter: Limiter, clock: Clock, strategy: Any) -> None:
    """After the reset that a grant tells, the whole amount is free."""
    limit = rule("tokens", amount=100, strategy=strategy)
    grant = await limiter.reserve([limit], Charge(tokens=70), LEASE_S)
    (standing,) = grant.standing
    assert (standing.used, standing.remaining) == (70, 30)
    clock.now_ms += standing.reset_ms

    assert await left(limiter, limit) == [100]


async def test_place_of_a_crashed_holder_is_free_after_its_lease(limiter: Limiter, clock: Clock) -> None:
    """A concurrent call that never ends frees its place when its lease does, and its late end frees no other's."""
    limit = rule("concurrent", None, amount=1)
    crashed = await limiter.reserve([limit], Charge(), 30)
    clock.now_ms += 29_999
    granted = [await fits(limiter, [limit])]
    clock.now_ms += 1
    granted.append(await fits(limiter, [limit]))
    await limiter.release(crashed)
    granted.append(await fits(limiter, [limit]))

    assert granted == [False, True, False]


async def test_place_is_free_when_the_call_ends(limiter: Limiter) -> None:
    """A settled concurrent call makes room for the next."""
    limit = rule("concurrent", None, amount=1)
    for _ in range(3):
        grant = await limiter.reserve([limit], Charge(), LEASE_S)
        assert not await fits(limiter, [limit])
        await limiter.settle(grant, Charge())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("jump", [pytest.param(5_000, id="seconds"), pytest.param(400 * DAY, id="a year")])
async def test_clock_that_jumps_and_comes_back_gives_nothing_away(
    limiter: Limiter, clock: Clock, strategy: Any, jump: int
) -> None:
    """A clock that was ahead for a while neither gives the amount twice nor locks anybody out."""
    limit = rule(amount=2, strategy=strategy)
    clock.now_ms = NOON + 20_000
    await fits(limiter, [limit])
    clock.now_ms += jump
    ahead = await left(limiter, limit)
    clock.now_ms -= jump
    assert await left(limiter, limit) == [1]
    granted = [await fits(limiter, [limit]) for _ in range(2)]
    clock.now_ms += 61_000

    assert granted == [True, False]
    assert ahead == [2 if jump > DAY else 1]
    assert await left(limiter, limit) == [2]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_clock_set_back_by_a_year_locks_nobody_out(limiter: Limiter, clock: Clock, strategy: Any) -> None:
    """Use that a wrong clock put far into the future does not count against the present."""
    limit = rule(amount=2, strategy=strategy)
    clock.now_ms = NOON + 400 * DAY
    granted = [await fits(limiter, [limit]) for _ in range(3)]
    clock.now_ms = NOON
    await fits(limiter, [limit], requests=0)
    clock.now_ms += 60_000

    assert granted == [True, True, False]
    assert await fits(limiter, [limit])


async def test_racing_calls_never_exceed_a_budget(limiter: Limiter) -> None:
    """Of 200 calls at once exactly those that fit get through, and each nano-dollar is counted once."""
    budget = rule("spend_nano", "month", amount=50 * 1_000_003)
    places = rule("concurrent", None, amount=200)

    async def call() -> Grant | None:
        try:
            return await limiter.reserve([budget, places], Charge(spend_nano=1_000_003), LEASE_S)
        except QuotaExceeded:
            return None

    grants = [grant for grant in await asyncio.gather(*(call() for _ in range(200))) if grant]
    assert len(grants) == 50
    assert await left(limiter, budget, places) == [0, 150]
    await asyncio.gather(*(limiter.settle(grant, Charge(spend_nano=400_001)) for grant in grants))

    assert await left(limiter, budget, places) == [50 * 600_002, 200]


async def test_large_amounts_are_exact(limiter: Limiter) -> None:
    """The largest amount counts to the last nano-dollar."""
    for strategy in STRATEGIES:
        limit = rule("spend_nano", "day", amount=2**52, strategy=strategy)
        granted = [await fits(limiter, [limit], spend_nano=spend) for spend in (2**52 - 1, 2, 1, 1)]

        assert granted == [True, False, True, False]


async def test_no_rules_are_no_limit(limiter: Limiter) -> None:
    """A call that nothing limits is granted and settled."""
    grant = await limiter.reserve([], Charge(tokens=5), LEASE_S)
    await limiter.settle(grant, Charge(tokens=5))

    assert grant.standing == []
