"""What a refused caller is told."""

from typing import Any

import pytest
from google.rpc import error_details_pb2

from gateway.admission.limits.headers import NAMES, duration, headers
from gateway.admission.limits.memory import MemoryLimiter
from gateway.admission.limits.model import MAX_AMOUNT, Charge, LimitRule, Reading
from gateway.admission.limits.windows import LENGTH_MS
from gateway.errors import GatewayError, QuotaExceeded, RateLimited
from gateway.interceptors.errors import status_of
from tests.admission.limits.conftest import NOON, Clock


def rule(metric: Any, window: Any, amount: int, **fields: Any) -> LimitRule:
    """Return a rule for key `k`."""
    return LimitRule(
        **{"scope": "key", "scope_id": "k", "metric": metric, "window": window, "amount": amount, **fields}
    )


async def refused(rules: list[LimitRule], used: Charge, asked: Charge) -> GatewayError:
    """Use something, ask for more, and return the error."""
    limiter = MemoryLimiter(Clock(NOON + 15_000))
    await limiter.reserve(rules, used, 60)
    with pytest.raises(GatewayError) as caught:
        await limiter.reserve(rules, asked, 60)
    return caught.value


CASES = [
    pytest.param(
        rule("requests", "minute", 1),
        Charge(),
        (
            RateLimited,
            "requests",
            "The limit of 1 requests per minute for key 'k' is reached: 0 requests left. Try again in 45s.",
            45,
        ),
        id="requests a minute",
    ),
    pytest.param(
        rule("tokens", "minute", 100, strategy="token_bucket", scope="gateway", scope_id=""),
        Charge(tokens=50),
        (
            RateLimited,
            "tokens",
            (
                "The limit of 100 tokens per minute for the whole gateway is reached: 40 tokens left, "
                "50 tokens needed. Try again in 6s."
            ),
            6,
        ),
        id="tokens a minute",
    ),
    pytest.param(
        rule("concurrent", None, 1, scope="project", scope_id="web"),
        Charge(),
        (
            RateLimited,
            "requests",
            "The limit of 1 concurrent calls for project 'web' is reached: 0 concurrent calls left.",
            1,
        ),
        id="concurrent",
    ),
    pytest.param(
        rule("requests", "day", 1),
        Charge(),
        (
            QuotaExceeded,
            "insufficient_quota",
            "The limit of 1 requests per day for key 'k' is reached: 0 requests left. It resets in 11h59m45s.",
            None,
        ),
        id="requests a day",
    ),
    pytest.param(
        rule("spend_nano", "month", 10_000_000_000),
        Charge(spend_nano=2_000_000_001),
        (
            QuotaExceeded,
            "insufficient_quota",
            (
                "The limit of $10.00 per month for key 'k' is reached: $1.25 left, $2.000000001 needed. "
                "It resets in 731h59m45s."
            ),
            None,
        ),
        id="spend a month",
    ),
    pytest.param(
        rule("tokens", "minute", 100),
        Charge(tokens=101),
        (
            RateLimited,
            "tokens",
            "This call needs 101 tokens, more than the limit of 100 tokens per minute for key 'k'.",
            None,
        ),
        id="never fits",
    ),
]


@pytest.mark.parametrize(("limit", "asked", "told"), CASES)
async def test_error_names_the_limit_what_is_left_and_when_it_resets(
    limit: LimitRule, asked: Charge, told: tuple[type[GatewayError], str, str, float | None]
) -> None:
    """The text, OpenAI's type, and `Retry-After` where waiting helps."""
    caught = await refused([limit], Charge(tokens=60, spend_nano=8_750_000_000), asked)

    assert (type(caught), caught.type, caught.message, caught.retry_after) == told


async def test_details_become_a_quota_failure() -> None:
    """The variables travel as `ErrorInfo`, and as `QuotaFailure` in Google's words."""
    caught = await refused([rule("tokens", "day", 100)], Charge(tokens=60), Charge(tokens=50))
    assert caught.details == {
        "limit": "100",
        "metric": "tokens",
        "window": "day",
        "scope": "key",
        "subject": "key:k",
        "remaining": "40",
        "requested": "50",
        "reset_s": "43185",
    }
    info, failure = error_details_pb2.ErrorInfo(), error_details_pb2.QuotaFailure()
    status = status_of(caught)
    assert status.details[0].Unpack(info)
    assert status.details[-1].Unpack(failure)
    (violation,) = failure.violations

    assert caught.details.items() <= dict(info.metadata).items()
    assert violation == error_details_pb2.QuotaFailure.Violation(
        subject="key:k",
        description=caught.message,
        quota_metric="tokens",
        quota_id="tokens-per-day-per-key",
        quota_dimensions={"key": "k"},
        quota_value=100,
    )


async def test_limit_that_holds_longest_is_named() -> None:
    """A quota speaks before a rate: who retries in a minute would be refused again."""
    rules = [
        rule("requests", "minute", 1),
        rule("requests", "month", 1),
        rule("requests", "day", 1),
        rule("concurrent", None, 1),
    ]
    caught = await refused(rules, Charge(), Charge())

    assert caught.details["window"] == "month"


def test_headers_speak_for_the_tightest_rule() -> None:
    """OpenAI's six headers, of the rule with least left."""
    now = 400_000 + 11_360  # 8.64 s before the next minute, in the seventh one of a day
    standing = [
        (rule("requests", "minute", 60), Reading(10, 420_000)),
        (rule("requests", "day", 1000), Reading(990, 86_400_000)),
        (rule("tokens", "minute", 100), Reading(130, 420_000)),
        (rule("spend_nano", "month", 1), Reading(0, 31 * 86_400_000)),
        (rule("concurrent", None, 1), Reading(0, 0)),
    ]
    rules, readings = zip(*standing, strict=True)

    assert dict(zip(NAMES, headers(rules, readings, now).split(","), strict=True)) == {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "10",
        "x-ratelimit-reset-requests": "23h53m9s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "8.64s",
    }
    assert headers(rules[3:], readings[3:], now) == ""


@pytest.mark.parametrize("longest_first", [False, True])
def test_the_longest_window_speaks_for_rules_with_as_much_left(longest_first: bool) -> None:
    """It is the one that stays."""
    rules = [rule("requests", "minute", 60), rule("requests", "day", 60)]
    rules.sort(key=lambda each: each.window == "day", reverse=longest_first)
    readings = [Reading(1, LENGTH_MS[each.window]) for each in rules if each.window]

    told = dict(zip(NAMES, headers(tuple(rules), readings, 0).split(","), strict=True))

    assert told["x-ratelimit-reset-requests"] == "24h0m0s"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (12, "12ms"),
        (1_000, "1s"),
        (8_640, "8.64s"),
        (59_999, "59.999s"),
        (86_400, "1m27s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
        (86_400_000, "24h0m0s"),
    ],
)
def test_duration_is_written_as_openai_does(milliseconds: int, text: str) -> None:
    """Largest unit first, no empty leading ones."""
    assert duration(milliseconds) == text


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"metric": "requests", "window": None}, id="no window"),
        pytest.param({"metric": "concurrent", "window": "minute"}, id="window of concurrent calls"),
        pytest.param({"metric": "requests", "window": "day", "amount": -1}, id="negative"),
        pytest.param({"metric": "requests", "window": "day", "amount": MAX_AMOUNT + 1}, id="too large"),
    ],
)
def test_rule_that_makes_no_sense_is_refused(fields: Any) -> None:
    """A rule is checked where it is made."""
    with pytest.raises(ValueError, match="a limit"):
        LimitRule(**{"scope": "key", "amount": 1, **fields})


async def test_idle_rules_are_forgotten() -> None:
    """Keys that come and go do not fill the memory; those in use stay."""
    clock = Clock()
    limiter = MemoryLimiter(clock)
    lasting = rule("requests", "month", 10)
    await limiter.reserve([lasting], Charge(), 60)
    for number in range(5_000):
        clock.now_ms += 1_000
        await limiter.reserve([rule("requests", "minute", 10, scope_id=str(number))], Charge(), 60)

    assert len(limiter._counters) < 1_500
    assert [standing.used for standing in await limiter.standing([lasting])] == [1]


async def test_rules_of_a_call_are_not_forgotten_on_its_way() -> None:
    """One that nobody uses just then, beside one that is one too many to remember."""
    limiter = MemoryLimiter(Clock())
    lasting = rule("requests", "day", 10)
    for number in range(3_000):
        grant = await limiter.reserve([lasting, rule("requests", "minute", 10, scope_id=str(number))], Charge(), 60)

        assert [standing.used for standing in await limiter.standing([lasting])] == [1]
        await limiter.release(grant)
