"""Admission: the one place where a call is let in, and its use counted."""

import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.admission.call import CallFacts, Desk, Target
from gateway.admission.limits.model import Limiter, LimitRule, Standing
from gateway.admission.permit import Permit
from gateway.admission.price_book import Quotes
from gateway.admission.quota import SharedRules
from gateway.admission.worst_case import Estimate, estimates
from gateway.config import LimitSettings
from gateway.errors import PermissionDenied
from gateway.storage.ledger import Ledger

T = TypeVar("T", bound=Target)


class Admission:
    """Lets calls in."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        limiter: Limiter,
        quotes: Quotes,
        shared: SharedRules,
        settings: LimitSettings,
        clock: Callable[[], int],
    ) -> None:
        self._desk = Desk(
            ledger=ledger,
            limiter=limiter,
            quote=quotes.quote,
            rules=shared,
            new_id=CallIds(),
            clock=clock,
            default_output_tokens=settings.default_output_tokens,
        )

    def admit(self, facts: CallFacts, targets: Sequence[T]) -> tuple[Permit, list[T]]:
        """Return the permit for a call, and those of its targets that the caller may use.

        Raises PermissionDenied when it may use none. Nothing is reserved before `Permit.use`.
        """
        allowed = _allowed(facts, targets)
        return Permit(self._desk, facts, allowed), allowed

    def estimates(self, facts: CallFacts, targets: Sequence[Target]) -> list[Estimate]:
        """Return what a call would reserve at each of its targets. Raises PermissionDenied when it may use none."""
        return estimates(self._desk, facts, _allowed(facts, targets))

    async def standing(self, rules: Sequence[LimitRule]) -> list[Standing]:
        """Return how rules stand now. Raises Overloaded while what counts them is away."""
        return await self._desk.limiter.standing(rules)


def _allowed(facts: CallFacts, targets: Sequence[T]) -> list[T]:
    caller = facts.caller
    if caller.providers is None and caller.models is None:
        return list(targets)
    allowed = [target for target in targets if caller.may_use(target.provider.name, target.model)]
    if not allowed:
        raise PermissionDenied("This API key may not use that model.", param="model")
    return allowed


class CallIds:
    """Makes ids that sort by time, which keeps the index dense, and that no other process makes."""

    def __init__(self) -> None:
        # Asked of the system once: a call a request costs more than the rest.
        self._process = int.from_bytes(secrets.token_bytes(5)) << 24
        self._numbers = itertools.count()

    def __call__(self, now_ms: int) -> str:
        """Return a new id of 28 hexadecimal digits."""
        return (now_ms << 64 | self._process | next(self._numbers) & 0xFFFFFF).to_bytes(14).hex()
