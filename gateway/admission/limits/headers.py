"""`x-ratelimit-*`, as OpenAI's API sends them."""

from collections.abc import Iterable

from gateway.admission.limits.model import Standing


def headers(standing: Iterable[Standing]) -> dict[str, str]:
    """Return `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the rules that count those.

    Of several rules the one with least left speaks, whatever its window, for it refuses first.
    """
    tightest: dict[str, Standing] = {}
    for row in standing:
        metric = row.rule.metric
        if metric not in ("requests", "tokens"):
            continue
        known = tightest.get(metric)
        if known is None or (row.remaining, -row.reset_ms) < (known.remaining, -known.reset_ms):
            tightest[metric] = row
    found: dict[str, str] = {}
    for counted, row in tightest.items():
        found[f"x-ratelimit-limit-{counted}"] = str(row.rule.amount)
        found[f"x-ratelimit-remaining-{counted}"] = str(row.remaining)
        found[f"x-ratelimit-reset-{counted}"] = duration(row.reset_ms)
    return found


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
