"""The most that a call can use at a target: what is reserved, and what a caller is told beforehand."""

import contextlib
from collections.abc import Sequence

from msgspec import Struct

from gateway.admission.call import CallFacts, Desk, Target
from gateway.admission.price_book import Quote
from gateway.errors import PermissionDenied, Unauthenticated


class Estimate(Struct, frozen=True, kw_only=True):
    """What a call would reserve at one target. Costs are nano-dollars."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    prompt_cost: int
    cost: int
    price_source: str


def known_cap(facts: CallFacts, target: Target, quote: Quote) -> int | None:
    """Return the most output tokens per choice, of the request, the provider's settings or the model; None if none."""
    if not facts.generates:
        return 0
    return facts.output_cap or target.settings.max_output_tokens or quote.max_output_tokens


def completion_bound(desk: Desk, facts: CallFacts, target: Target, quote: Quote) -> int:
    """Return the most output tokens of the whole call."""
    cap = known_cap(facts, target, quote)
    return (desk.default_output_tokens if cap is None else cap) * facts.choices


def dearest_of(desk: Desk, facts: CallFacts, targets: Sequence[Target]) -> int:
    """Return what a call costs at most at the dearest of targets, in nano-dollars; 0 where none may be used."""
    worst = 0
    for target in targets:
        with contextlib.suppress(PermissionDenied):
            quote = desk.quote(target.provider.name, target.model)
            worst = max(worst, quote.bound(facts.prompt_tokens, completion_bound(desk, facts, target, quote)))
    return worst


def client_pays(facts: CallFacts, target: Target, first: Target) -> bool:
    """Tell whether the caller's own key pays at `target`.

    It was meant for the first target, so no other provider sees it. Raises Unauthenticated where only the caller's own
    key may pay and there is none.
    """
    if target.settings.key_source == "gateway":
        return False
    own = facts.provider_key is not None and target.provider.name == first.provider.name
    if target.settings.key_source == "client" and not own:
        raise Unauthenticated(
            f"Provider '{target.provider.name}' needs your own key for it, in the header x-provider-api-key.",
            code="missing_provider_key",
        )
    return own


def estimates(desk: Desk, facts: CallFacts, targets: Sequence[Target]) -> list[Estimate]:
    """Return what the call would reserve at each of its targets, in place of making it.

    A target that is refused for its unknown price is left out. Raises PermissionDenied when all are.
    """
    found: list[Estimate] = []
    for target in targets:
        try:
            quote = desk.quote(target.provider.name, target.model)
        except PermissionDenied:
            if target is targets[-1] and not found:
                raise
            continue
        found.append(_estimate(desk, facts, target, quote, targets[0]))
    return found


def _estimate(desk: Desk, facts: CallFacts, target: Target, quote: Quote, first: Target) -> Estimate:
    try:
        free = client_pays(facts, target, first)
    except Unauthenticated:  # the caller's own key will pay, and is not sent yet
        free = True
    prompt = facts.prompt_tokens
    completion = completion_bound(desk, facts, target, quote)
    return Estimate(
        provider=target.provider.name,
        model=target.model,
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_cost=0 if free else quote.bound(prompt, 0),
        cost=0 if free else quote.bound(prompt, completion),
        price_source=quote.source,
    )
