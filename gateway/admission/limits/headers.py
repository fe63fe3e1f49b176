"""`x-ratelimit-*`, as OpenAI's API sends them.

Headers are written as in a query, `name=value&name=value`: one text costs a call less than many, and most of them go
out as one. Names are words, values are numbers and times, so that nothing needs an escape.
"""

import functools
from collections.abc import Sequence
from typing import Final

from gateway.admission.limits.model import LimitRule, Reading
from gateway.admission.limits.windows import LENGTH_MS

Pairs = tuple[tuple[str, str], ...]

_COUNTED: Final = ("requests", "tokens")


def pairs(written: str) -> Pairs:
    """Return the headers of a text, one by one."""
    return tuple((name, value) for name, _, value in (each.partition("=") for each in written.split("&") if each))


def headers(rules: Sequence[LimitRule], readings: Sequence[Reading], now_ms: int) -> str:
    """Return `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the rules that count those.

    Of several rules the one with least left speaks, whatever its window, for it refuses first; of those with as much
    left, one of the longest window.
    """
    tightest: dict[str, tuple[int, int, LimitRule, Reading]] = {}
    for rule, reading in zip(rules, readings, strict=True):
        if rule.metric in _COUNTED and rule.window is not None:
            left, length = rule.amount - reading.used, LENGTH_MS[rule.window]
            known = tightest.get(rule.metric)
            if known is None or left < known[0] or (left == known[0] and length > known[1]):
                tightest[rule.metric] = left, length, rule, reading
    return "&".join(
        [
            f"x-ratelimit-limit-{metric}={rule.amount}&x-ratelimit-remaining-{metric}={max(0, left)}"
            f"&x-ratelimit-reset-{metric}={duration(rule.reset_ms(reading, now_ms))}"
            for metric, (left, _, rule, reading) in tightest.items()
        ]
    )


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
