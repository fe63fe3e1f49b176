"""`x-ratelimit-*`, as OpenAI's API sends them."""

from collections.abc import Iterable
from typing import Final

from gateway.admission.limits.model import Standing

_COUNTED: Final = {
    metric: (f"x-ratelimit-limit-{metric}", f"x-ratelimit-remaining-{metric}", f"x-ratelimit-reset-{metric}")
    for metric in ("requests", "tokens")
}


def headers(standing: Iterable[Standing]) -> dict[str, str]:
    """Return `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the rules that count those.

    Of several rules the one with least left speaks, whatever its window, for it refuses first.
    """
    tightest: dict[str, tuple[int, Standing]] = {}
    for row in standing:
        metric = row.rule.metric
        if metric in _COUNTED:
            left = row.remaining
            known = tightest.get(metric)
            if known is None or left < known[0] or (left == known[0] and row.reset_ms > known[1].reset_ms):
                tightest[metric] = left, row
    found: dict[str, str] = {}
    for counted, (left, row) in tightest.items():
        limit, remaining, reset = _COUNTED[counted]
        found[limit] = str(row.rule.amount)
        found[remaining] = str(left)
        found[reset] = duration(row.reset_ms)
    return found


def duration(milliseconds: int) -> str:
    """Return a time as OpenAI writes it: `12ms`, `8.64s`, `6m0s`, `24h0m0s`."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:g}s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"
