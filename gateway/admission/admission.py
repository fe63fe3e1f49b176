"""Admission: the one place where a call is let in, and its use counted."""

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from gateway.admission.limits.model import Limiter, LimitRule
from gateway.admission.permit import CallFacts, Desk, Permit, Target
from gateway.admission.price_book import Book, Quotes
from gateway.admission.quota import rules
from gateway.config import LimitSettings
from gateway.errors import PermissionDenied
from gateway.storage.ledger import Ledger

T = TypeVar("T", bound=Target)


class Admission:
    """Lets calls in. Make one with `open_admission`."""

    def __init__(
        self, ledger: Ledger, limiter: Limiter, book: Book, settings: LimitSettings, clock: Callable[[], int]
    ) -> None:
        gateway_rules = rules("gateway", "", settings.gateway)

        @functools.cache  # as many as there are providers
        def rules_for(provider: str) -> tuple[LimitRule, ...]:
            spec = settings.providers.get(provider)
            return gateway_rules + (rules("provider", provider, spec) if spec is not None else ())

        self.rules_for = rules_for
        self._desk = Desk(
            ledger=ledger,
            limiter=limiter,
            quote=Quotes(book, settings).quote,
            rules=rules_for,
            new_id=functools.partial(new_call_id, clock),
            clock=clock,
            default_output_tokens=settings.default_output_tokens,
            background=set(),
        )

    def admit(self, facts: CallFacts, targets: Sequence[T]) -> tuple[Permit, list[T]]:
        """Return the permit for a call, and those of its targets that the caller may use.

        Raises PermissionDenied when it may use none. Nothing is reserved before `Permit.use`.
        """
        caller = facts.caller
        allowed = [target for target in targets if caller.may_use(target.provider.name, target.model)]
        if not allowed:
            raise PermissionDenied("This API key may not use that model.", param="model")
        return Permit(self._desk, facts, allowed), allowed

    async def close(self) -> None:
        """Finish what is under way with the limiter."""
        await asyncio.gather(*self._desk.background, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_admission(
    ledger: Ledger, limiter: Limiter, book: Book, settings: LimitSettings, clock: Callable[[], int]
) -> AsyncIterator[Admission]:
    """Yield admission; on leaving, its work is finished."""
    admission = Admission(ledger, limiter, book, settings, clock)
    try:
        yield admission
    finally:
        await admission.close()


def new_call_id(clock: Callable[[], int]) -> str:
    """Return a new id: ids of later calls sort later, which keeps the index dense."""
    return f"{clock():012x}{secrets.token_hex(8)}"
