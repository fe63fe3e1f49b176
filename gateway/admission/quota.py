"""From the words of settings and keys to the limiter's rules, and between dollars and nano-dollars."""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from gateway.admission.limits.model import LimitRule, Metric, Scope, Strategy
from gateway.admission.limits.windows import Window
from gateway.config import LimitSettings, LimitSpec

NANO: Final = 1_000_000_000


def nano_dollars(amount: str | float) -> int:
    """Return dollars as nano-dollars, exactly. Raises ValueError for what is negative, endless or finer than that."""
    try:
        nano = Decimal(str(amount)) * NANO
    except InvalidOperation:
        raise ValueError(f"'{amount}' is not an amount of dollars") from None
    if not nano.is_finite() or nano < 0 or nano != int(nano) or nano >= 2**63:
        raise ValueError(f"'{amount}' is not an amount of dollars, or finer than a nano-dollar")
    return int(nano)


def dollars(nano: int) -> str:
    """Return nano-dollars as dollars, exactly, with at least cents and without needless zeros."""
    if nano < 0:
        return "-" + dollars(-nano)
    digits = str(nano).rjust(10, "0")
    return f"{digits[:-9]}.{digits[-9:-7]}{digits[-7:].rstrip('0')}"


def overlay(spec: LimitSpec, defaults: LimitSpec) -> LimitSpec:
    """Return `spec` with its unset fields taken from `defaults`."""
    values = {name: value for name in spec.__struct_fields__ if (value := getattr(spec, name)) is not None}
    return msgspec.structs.replace(defaults, **values)


def rules(scope: Scope, scope_id: str, spec: LimitSpec) -> tuple[LimitRule, ...]:
    """Return the rules of one key, project or provider, or of the gateway. 0 and unset mean no limit."""
    strategy: Strategy = spec.strategy or "fixed"
    rows: tuple[tuple[Metric, Window | None, Strategy, int | None], ...] = (
        ("requests", "minute", strategy, spec.requests_per_minute),
        ("tokens", "minute", strategy, spec.tokens_per_minute),
        ("concurrent", None, "fixed", spec.concurrent),
        ("requests", "day", "fixed", spec.requests_per_day),
        ("requests", "month", "fixed", spec.requests_per_month),
        ("spend_nano", "month", "fixed", nano_dollars(spec.spend_per_month or 0)),
    )
    return tuple(
        LimitRule(scope=scope, scope_id=scope_id, metric=metric, window=window, strategy=kind, amount=amount)
        for metric, window, kind, amount in rows
        if amount
    )


class SharedRules:
    """The rules that hold for every caller: the gateway's, and each provider's."""

    def __init__(self, settings: LimitSettings) -> None:
        self._gateway = rules("gateway", "", settings.gateway)
        self._providers = {name: rules("provider", name, spec) for name, spec in settings.providers.items()}
        self._sums = {name: self._gateway + own for name, own in self._providers.items()}

    def __call__(self, provider: str) -> tuple[LimitRule, ...]:
        """Return the rules for calls to one provider."""
        return self._sums.get(provider, self._gateway)

    @property
    def all(self) -> tuple[LimitRule, ...]:
        """Every rule."""
        return self._gateway + tuple(rule for own in self._providers.values() for rule in own)
