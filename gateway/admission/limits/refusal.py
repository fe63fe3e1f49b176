"""A broken limit to the error that says which one, what is left and when it resets."""

from collections.abc import Sequence
from typing import Final

from gateway.admission.limits.headers import duration
from gateway.admission.limits.model import Charge, LimitRule, Metric, Reading, standings
from gateway.admission.quota import dollars
from gateway.errors import GatewayError, QuotaExceeded, RateLimited

CONCURRENT_RETRY_S: Final = 1.0
"""A place is free when some call ends, which nobody can know; a lease's end is much too late."""

_NOUNS: Final[dict[Metric, str]] = {"requests": "requests", "tokens": "tokens", "concurrent": "concurrent calls"}


def refusal(rules: Sequence[LimitRule], readings: Sequence[Reading], charge: Charge, now_ms: int) -> GatewayError:
    """Return the error for a charge that does not fit.

    Of several broken rules it names the one that holds longest: a quota before a rate, for a retry does not help.
    The details are the variables of the message: `limit`, `remaining` and `requested` in the metric's unit, `metric`,
    `window` (empty for concurrent calls), `scope`, `subject` and `reset_s`.
    """
    broken = []
    for standing, reading in zip(standings(rules, readings, now_ms), readings, strict=True):
        rule, need = standing.rule, charge.of(standing.rule.metric)
        if need and reading.used + need > rule.amount:
            wait = rule.wait_ms(reading, need, now_ms)
            held = float("inf") if wait is None else wait
            broken.append((_is_quota(rule), held, standing, wait, need))
    quota, _, standing, wait, need = max(broken, key=lambda entry: entry[:2])
    rule = standing.rule
    details = {
        "limit": str(rule.amount),
        "metric": rule.metric,
        "window": rule.window or "",
        "scope": rule.scope,
        "subject": rule.scope if not rule.scope_id else f"{rule.scope}:{rule.scope_id}",
        "remaining": str(standing.remaining),
        "requested": str(need),
        "reset_s": str(-(-standing.reset_ms // 1000)),
    }
    limit = f"the limit of {_count(rule, rule.amount)}{f' per {rule.window}' if rule.window else ''} for {_whom(rule)}"
    if wait is None:
        text = f"This call needs {_count(rule, need)}, more than {limit}."
    else:
        text = f"{limit[0].upper()}{limit[1:]} is reached: {_count(rule, standing.remaining)} left"
        text += f", {_count(rule, need)} needed" if need > 1 else ""
    if quota:
        return QuotaExceeded(
            text if wait is None else f"{text}. It resets in {duration(standing.reset_ms)}.", details=details
        )
    type_ = "tokens" if rule.metric == "tokens" else "requests"
    if wait is None:
        return RateLimited(text, type_=type_, details=details)
    if rule.window is None:
        return RateLimited(f"{text}.", type_=type_, retry_after=CONCURRENT_RETRY_S, details=details)
    return RateLimited(f"{text}. Try again in {duration(wait)}.", type_=type_, retry_after=wait / 1000, details=details)


def _is_quota(rule: LimitRule) -> bool:
    return rule.window in {"day", "month"}


def _whom(rule: LimitRule) -> str:
    if rule.scope == "gateway":
        return "the whole gateway"
    return f"{rule.scope} '{rule.scope_id}'"


def _count(rule: LimitRule, amount: int) -> str:
    return f"${dollars(amount)}" if rule.metric == "spend_nano" else f"{amount} {_NOUNS[rule.metric]}"
