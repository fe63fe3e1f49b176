"""`x-ratelimit-*`, as OpenAI's API sends them.

Headers are written as in a query, `name=value&name=value`: one text costs a call less than many, and most of them go
out as one. Names are words, values are numbers and times, so that nothing needs an escape.
"""

import functools
from collections.abc import Sequence
from typing import Final

from gateway.admission.limits.model import MAX_AMOUNT, LimitRule, Metric, Reading
from gateway.admission.limits.windows import LENGTH_MS

Pairs = tuple[tuple[str, str], ...]

_COUNTED: Final[tuple[Metric, ...]] = ("requests", "tokens")


def pairs(written: str) -> Pairs:
    """Return the headers of a text, one by one."""
    return tuple((name, value) for name, _, value in (each.partition("=") for each in written.split("&") if each))


def headers(rules: tuple[LimitRule, ...], readings: Sequence[Reading], now_ms: int) -> str:
    """Return `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the rules that count those.

    Of several rules the one with least left speaks, whatever its window, for it refuses first; of those with as much
    left, one of the longest window.
    """
    written = ""
    for places in _counting(rules):
        tightest, left = places[0], MAX_AMOUNT + 1
        for place in places:
            at = place[0]
            still = rules[at].amount - readings[at].used
            if still < left:
                tightest, left = place, still
        at, limit, reset = tightest
        told = f"{limit}{max(0, left)}{reset}{duration(rules[at].reset_ms(readings[at], now_ms))}"
        written = f"{written}&{told}" if written else told
    return written


@functools.lru_cache(maxsize=4096)
def _counting(rules: tuple[LimitRule, ...]) -> tuple[tuple[tuple[int, str, str], ...], ...]:
    """Return, for each metric, its rules with a window, that of the longest first.

    Of each: its place among `rules`, and what is written before what is left, and behind that.
    """
    found = []
    for metric in _COUNTED:
        windows = {at: rule.window for at, rule in enumerate(rules) if rule.metric == metric and rule.window}
        longest_first = sorted(windows, key=lambda at: -LENGTH_MS[windows[at]])
        reset = f"&x-ratelimit-reset-{metric}="
        found.append(
            tuple(
                (at, f"x-ratelimit-limit-{metric}={rules[at].amount}&x-ratelimit-remaining-{metric}=", reset)
                for at in longest_first
            )
        )
    return tuple(places for places in found if places)


def duration(milliseconds: int) -> str:
    """Return a time as OpenAI writes it: `12ms`, `8.64s`, `6m0s`, `24h0m0s`. From a minute on it is in whole seconds,
    rounded up.
    """
    if milliseconds >= 60_000:
        return _clock(-(-milliseconds // 1000))
    return f"{milliseconds}ms" if 0 < milliseconds < 1000 else f"{milliseconds / 1000:g}s"


@functools.lru_cache(maxsize=256)  # for a second at a time, every answer says the same of a window
def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"
