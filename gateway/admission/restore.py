"""What the ledger says was used, for counters that start empty."""

from collections.abc import Iterable
from typing import Final

from gateway.admission.limits.model import MAX_AMOUNT, Charge, LimitRule, Used
from gateway.admission.limits.windows import Window, calendar
from gateway.storage.ledger import Ledger
from gateway.storage.records import Total

_WINDOWS: Final[tuple[Window, ...]] = ("day", "month")


async def used_so_far(ledger: Ledger, rules: Iterable[LimitRule], now: int) -> list[Used]:
    """Return what this day's and this month's calls used of `rules`, open calls at their reservation.

    `now` is Unix milliseconds. Limits a minute and of concurrent calls start empty.
    """
    known = set(rules)
    found = []
    for window in _WINDOWS:
        windowed = [rule for rule in known if rule.window == window]
        if not windowed:
            continue
        sums = _by_scope(await ledger.totals(calendar(window, now)[0]))
        found += [
            Used(rules=[rule], charge=charge, at_ns=now * 1_000_000)
            for rule in windowed
            if (charge := sums.get((rule.scope, rule.scope_id))) is not None
        ]
    return found


def _by_scope(totals: Iterable[Total]) -> dict[tuple[str, str], Charge]:
    sums: dict[tuple[str, str], Charge] = {}
    for total in totals:
        scopes = [("key", total.key_id), ("provider", total.provider), ("gateway", "")]
        if total.project_id is not None:
            scopes.append(("project", total.project_id))
        for scope in scopes:
            before = sums.get(scope, Charge(requests=0))
            sums[scope] = Charge(
                requests=before.requests + total.requests,
                tokens=min(before.tokens + total.tokens, MAX_AMOUNT),
                spend_nano=min(before.spend_nano + total.spend_nano, MAX_AMOUNT),
            )
    return sums
