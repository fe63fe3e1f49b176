"""`x-ratelimit-*`, as OpenAI's API sends them."""

from collections.abc import Iterable
from typing import Literal

from gateway.admission.limits.model import Standing


def headers(standing: Iterable[Standing]) -> dict[str, str]:
    """Return `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the rules that count those.

    Of several rules the one with least left speaks, whatever its window, for it refuses first.
    """
    found: dict[str, str] = {}
    rows = list(standing)
    for metric in _METRICS:
        tightest = min(
            (row for row in rows if row.rule.metric == metric),
            key=lambda row: (row.remaining, -row.reset_ms),
            default=None,
        )
        if tightest is not None:
            found[f"x-ratelimit-limit-{metric}"] = str(tightest.rule.amount)
            found[f"x-ratelimit-remaining-{metric}"] = str(tightest.remaining)
            found[f"x-ratelimit-reset-{metric}"] = duration(tightest.reset_ms)
    return found


_METRICS: tuple[Literal["requests"], Literal["tokens"]] = ("requests", "tokens")


def duration(milliseconds: int) -> str:
    """Return a time as OpenAI writes it: `12ms`, `8.64s`, `6m0s`, `24h0m0s`."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest // 1000}.{rest % 1000:03}".rstrip("0").rstrip(".") + "s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"
