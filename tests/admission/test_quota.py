"""Dollars to nano-dollars, and the words of settings to rules."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.admission.quota import dollars, nano_dollars, overlay, rules
from gateway.config import LimitSpec
from gateway.storage.records import utc_day


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0", 0), ("10.00", 10**10), ("0.000000001", 1), ("0.1", 10**8), ("123456.789", 123456789 * 10**6)],
)
def test_dollars_are_exact(text: str, nano: int) -> None:
    """No float comes near money."""
    assert nano_dollars(text) == nano


@pytest.mark.parametrize("text", ["-1", "ten", "", "NaN", "Infinity", "0.0000000001", "1e30"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Also what is finer than a nano-dollar."""
    with pytest.raises(ValueError, match="not an amount"):
        nano_dollars(text)


@settings(derandomize=True)
@given(st.integers(0, 2**53))
def test_dollars_read_back(nano: int) -> None:
    """What is shown is what is stored."""
    assert nano_dollars(dollars(nano)) == nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (10**9, "1.00"),
        (1_250_000_000, "1.25"),
        (12_345 * 10**9, "12345.00"),
        (-1, "-0.000000001"),
    ],
)
def test_dollars_show_every_nano_dollar(nano: int, text: str) -> None:
    """Cents at least, and no zeros behind them."""
    assert dollars(nano) == text


@settings(derandomize=True)
@given(st.integers(0, 13_569_465_600_000))
def test_the_day_is_the_calendar_s(ms: int) -> None:
    """In UTC, leap days included."""
    moment = dt.datetime.fromtimestamp(ms // 1000, dt.UTC)

    assert utc_day(ms) == moment.year * 10_000 + moment.month * 100 + moment.day


def test_a_key_s_own_limits_go_before_the_defaults() -> None:
    """0 means none, unset takes the default."""
    spec = overlay(
        LimitSpec(requests_per_day=0, concurrent=3), LimitSpec(requests_per_day=1000, spend_per_month="10.00")
    )

    assert [(rule.metric, rule.window, rule.amount) for rule in rules("key", "key_1", spec)] == [
        ("concurrent", None, 3),
        ("spend_nano", "month", 10**10),
    ]
