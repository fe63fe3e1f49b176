"""`x-ratelimit-*`, as OpenAI's API sends them.

Their values are written as one text, `500,499,6m0s,,,`: it costs a call less than many, and most of them go out as one.
They are numbers and times, so that nothing needs an escape.
"""

import functools
from collections.abc import Sequence
from typing import Final

from gateway.admission.limits.model import MAX_AMOUNT, LimitRule, Metric, Reading
from gateway.admission.limits.windows import LENGTH_MS

_COUNTED: Final[tuple[Metric, ...]] = ("requests", "tokens")
NAMES: Final = tuple(f"x-ratelimit-{what}-{metric}" for metric in _COUNTED for what in ("limit", "remaining", "reset"))


def headers(rules: tuple[LimitRule, ...], readings: Sequence[Reading], now_ms: int) -> str:
    """Return the values of `NAMES` with commas between, empty for what no rule counts; nothing if none counts any.

    Of several rules the one with least left speaks, whatever its window, for it refuses first; of those with as much
    left, one of the longest window.
    """
    written = []
    for places in _counting(rules):
        tightest, left = -1, MAX_AMOUNT + 1
        for at in places:
            still = rules[at].amount - readings[at].used
            if still < left:
                tightest, left = at, still
        if tightest < 0:
            written.append(",,")
        else:
            rule = rules[tightest]
            reset = duration(rule.reset_ms(readings[tightest], now_ms))
            written.append(f"{rule.amount},{max(0, left)},{reset}")
    return ",".join(written)


@functools.lru_cache(maxsize=4096)
def _counting(rules: tuple[LimitRule, ...]) -> tuple[tuple[int, ...], ...]:
    """Return, for each metric, where among `rules` its own with a window are, that of the longest first; () if none."""
    found = []
    for metric in _COUNTED:
        windows = {at: rule.window for at, rule in enumerate(rules) if rule.metric == metric and rule.window}
        found.append(tuple(sorted(windows, key=lambda at: -LENGTH_MS[windows[at]])))
    return tuple(found) if any(found) else ()


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
