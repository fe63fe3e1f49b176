"""One call's way through admission: reserve before the provider is asked, settle once at the end."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from msgspec import UNSET, Struct

from gateway.admission.keys import Caller
from gateway.admission.limits.headers import headers
from gateway.admission.limits.model import Charge, Grant, Limiter, LimitRule
from gateway.admission.price_book import Quote
from gateway.catalog.prices import cost_nano_usd
from gateway.config import ProviderSettings, Secret
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    InternalError,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    Unauthenticated,
)
from gateway.storage.ledger import Ledger
from gateway.storage.records import Reservation, Settlement, State, UsageSource
from gateway.telemetry.record import CallRecord
from gateway.wire.completion import Usage

LEASE_MARGIN_MS: Final = 60_000
"""A reservation is given up this long after its call must have ended."""
SMALLEST_CAP: Final = 16
"""A call is refused rather than allowed fewer output tokens than this, or than it asks for."""
_SHRINKS: Final = 3
_NAME_LENGTH: Final = 200


class Named(Protocol):
    """A provider, as far as admission sees it."""

    @property
    def name(self) -> str:
        """The provider's name."""
        ...


class Target(Protocol):
    """Where a call may go: a provider and its own name for the model."""

    @property
    def provider(self) -> Named: ...

    @property
    def model(self) -> str: ...

    @property
    def settings(self) -> ProviderSettings: ...


class CallFacts(Struct, frozen=True, kw_only=True):
    """What admission must know of a call. Tokens are upper bounds; `output_cap` is per choice."""

    caller: Caller
    request_id: str
    operation: Literal["chat", "embeddings"]
    prompt_tokens: int
    output_cap: int | None = None
    choices: int = 1
    generates: bool = True
    streams: bool = False
    provider_key: Secret | None = None
    lease_s: float
    record: CallRecord


class Desk(Struct, frozen=True):
    """What every permit works with. `clock` tells Unix milliseconds."""

    ledger: Ledger
    limiter: Limiter
    quote: Callable[[str, str], Quote]
    rules: Callable[[str], tuple[LimitRule, ...]]
    """The rules of the gateway and of one provider."""
    new_id: Callable[[], str]
    clock: Callable[[], int]
    default_output_tokens: int
    background: set[asyncio.Task[None]]


class Estimate(Struct, frozen=True, kw_only=True):
    """What a call would reserve at one target. Costs are nano-dollars."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    prompt_cost: int
    cost: int
    price_source: str


class Permit:
    """The right to make one call. Use it as `async with`; leaving settles it, whatever happened."""

    def __init__(self, desk: Desk, facts: CallFacts, targets: Sequence[Target]) -> None:
        self._desk = desk
        self._facts = facts
        self._targets = targets
        self._first = targets[0]
        self._target: Target | None = None
        self._quote: Quote | None = None
        self._grant: Grant | None = None
        self._id = ""
        self._started = 0
        self._completion_bound = 0
        self._client_pays = False
        self._began = False
        self._settled = False
        self.output_cap: int | None = None
        """The cap per choice to send to the provider instead of the caller's; None leaves the request as it is."""
        self.generated: Callable[[], int] | None = None
        """Counts the tokens of what came so far; None until anything came."""

    @property
    def provider_key(self) -> Secret | None:
        """The caller's own key for the provider in use, if that one pays."""
        return self._facts.provider_key if self._client_pays else None

    async def use(self, target: Target) -> None:
        """Reserve for a call to `target`, in place of an earlier target.

        Raises RateLimited, QuotaExceeded, PermissionDenied, Unauthenticated or Overloaded.
        """
        if target is self._target:
            return
        await self._give_back()
        quote = self._desk.quote(target.provider.name, target.model)
        self._client_pays = self._pays(target)
        await self._reserve(target, quote)
        self._target, self._quote = target, quote
        if not self._began:
            self._write_down(target, quote)

    def blame(self, error: GatewayError) -> GatewayError:
        """Return the error to raise for one of the provider in use: a refused key may be the caller's own."""
        if self._client_pays and error.details.get("credentials") == "refused":
            return Unauthenticated("The provider refused the key in x-provider-api-key.", code="invalid_provider_key")
        return error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._began:
            self._settle(error)
        else:
            await self._give_back()

    def finish(self) -> None:
        """Settle now: the answer is whole, and the caller is about to get its end."""
        self._settle(None)

    def _settle(self, error: BaseException | None) -> None:
        if self._settled:
            return
        self._settled = True
        state, usage, source = self._outcome(error)
        price = self._price(usage, source)
        self._facts.record.cost_nano = price
        if state == "settled":
            self._facts.record.usage = usage
        self._settle_ledger(state, usage, source, price, error)
        if self._grant is None:
            return
        if state == "released":
            self._later(self._desk.limiter.release(self._grant))
        else:
            tokens = usage.prompt_tokens + usage.completion_tokens
            self._later(self._desk.limiter.settle(self._grant, Charge(requests=1, tokens=tokens, spend_nano=price)))

    def _price(self, usage: Usage, source: UsageSource) -> int:
        if self._quote is None or self._client_pays:
            return 0
        if source == "bound":
            return self._quote.bound(usage.prompt_tokens, usage.completion_tokens)
        return cost_nano_usd(self._quote.prices, usage)

    def _pays(self, target: Target) -> bool:
        """Tell whether the caller's own key pays. It was meant for the first target, so no other provider sees it."""
        if target.settings.key_source == "gateway":
            return False
        own = self._facts.provider_key is not None and target.provider.name == self._first.provider.name
        if target.settings.key_source == "client" and not own:
            raise Unauthenticated(
                f"Provider '{target.provider.name}' needs your own key for it, in the header x-provider-api-key.",
                code="missing_provider_key",
            )
        return own

    async def _reserve(self, target: Target, quote: Quote) -> None:
        facts = self._facts
        rules = facts.caller.rules + self._desk.rules(target.provider.name)
        costs = quote.dearest[1] > 0 and not self._client_pays
        limited = any(rule.metric == "tokens" or (costs and rule.metric == "spend_nano") for rule in rules)
        cap, self.output_cap = self._cap(target, quote, limited=limited)
        self._completion_bound = cap * facts.choices
        if not rules:
            return
        for _ in range(_SHRINKS):
            try:
                self._grant = await self._desk.limiter.reserve(rules, self._charge(quote), self._lease_ms() / 1000)
            except (QuotaExceeded, RateLimited) as error:
                smaller = await self._shrunk(rules, quote) if facts.generates and limited else 0
                if smaller < min(SMALLEST_CAP, cap):
                    raise
                self.output_cap = smaller
                self._completion_bound = smaller * facts.choices
                refused = error
            else:
                facts.record.rate_limits = headers(self._grant.standing)
                return
        raise refused

    def _cap(self, target: Target, quote: Quote, *, limited: bool) -> tuple[int, int | None]:
        """Return the output tokens per choice to reserve, and the cap to send if that must be made sure of."""
        facts = self._facts
        if not facts.generates:
            return 0, None
        known = facts.output_cap or target.settings.max_output_tokens or quote.max_output_tokens
        if known is not None:
            return known, None
        return self._desk.default_output_tokens, self._desk.default_output_tokens if limited else None

    def _charge(self, quote: Quote) -> Charge:
        prompt = self._facts.prompt_tokens
        spend = 0 if self._client_pays else quote.bound(prompt, self._completion_bound)
        return Charge(requests=1, tokens=prompt + self._completion_bound, spend_nano=spend)

    async def _shrunk(self, rules: Sequence[LimitRule], quote: Quote) -> int:
        """Return the largest cap per choice that fits what is left now, less than the current one; 0 if none does."""
        facts = self._facts
        room = self._completion_bound - 1
        rate_in, rate_out = quote.rates(facts.prompt_tokens)
        for standing in await self._desk.limiter.standing(rules):
            if standing.rule.metric == "tokens":
                room = min(room, standing.remaining - facts.prompt_tokens)
            elif standing.rule.metric == "spend_nano" and not self._client_pays:
                left = standing.remaining * 1_000_000 - facts.prompt_tokens * rate_in
                if rate_out:
                    room = min(room, left // rate_out)
                elif left < 0:
                    room = 0
            elif standing.remaining < 1:
                room = 0
        return max(0, room) // facts.choices

    def _lease_ms(self) -> int:
        return int(self._facts.lease_s * 1000) + LEASE_MARGIN_MS

    def _write_down(self, target: Target, quote: Quote) -> None:
        facts, desk = self._facts, self._desk
        self._id, self._started = desk.new_id(), desk.clock()
        desk.ledger.reserve(
            Reservation(
                id=self._id,
                request_id=facts.request_id,
                owner=desk.ledger.owner,
                key_id=facts.caller.key_id,
                project_id=facts.caller.project_id,
                provider=target.provider.name,
                model=_name(target.model),
                operation=facts.operation,
                payer=self._payer,
                started_at=self._started,
                day=utc_day(self._started),
                lease_until=self._started + self._lease_ms(),
                reserved_prompt_tokens=facts.prompt_tokens,
                reserved_completion_tokens=self._completion_bound,
                reserved_nano=self._worst(quote),
                price_source=quote.source,
            )
        )
        self._began = True

    def _worst(self, quote: Quote) -> int:
        """Return what the call costs at most at any of its targets, since the row outlives a failover."""
        worst = quote.bound(self._facts.prompt_tokens, self._completion_bound)
        for other in self._targets[1:]:
            with contextlib.suppress(PermissionDenied):
                priced = self._desk.quote(other.provider.name, other.model)
                cap = self._cap(other, priced, limited=False)[0]
                worst = max(worst, priced.bound(self._facts.prompt_tokens, cap * self._facts.choices))
        return worst

    def estimates(self) -> list[Estimate]:
        """Return what the call would reserve at each of its targets, in place of making it.

        A target that is refused for its unknown price is left out. Raises PermissionDenied when all are.
        """
        found: list[Estimate] = []
        for target in self._targets:
            try:
                quote = self._desk.quote(target.provider.name, target.model)
            except PermissionDenied:
                if target is self._targets[-1] and not found:
                    raise
                continue
            found.append(self._estimate(target, quote))
        return found

    def _estimate(self, target: Target, quote: Quote) -> Estimate:
        try:
            free = self._pays(target)
        except Unauthenticated:  # the caller's own key will pay, and is not sent yet
            free = True
        prompt = self._facts.prompt_tokens
        completion = self._cap(target, quote, limited=False)[0] * self._facts.choices
        return Estimate(
            provider=target.provider.name,
            model=target.model,
            prompt_tokens=prompt,
            completion_tokens=completion,
            prompt_cost=0 if free else quote.bound(prompt, 0),
            cost=0 if free else quote.bound(prompt, completion),
            price_source=quote.source,
        )

    @property
    def _payer(self) -> str:
        return "client" if self._client_pays else "gateway"

    def _outcome(self, error: BaseException | None) -> tuple[State, Usage, UsageSource]:
        """Return what the call used, and who says so."""
        facts = self._facts
        usage = facts.record.usage
        if usage is not None:
            usage = usage.whole(generates=facts.generates)
            if error is not None and self.generated is not None:  # it counted along the way, and broke off since
                return "settled", _usage(usage.prompt_tokens, max(usage.completion_tokens, self.generated())), "gateway"
            return "settled", usage, "provider"
        if self.generated is not None:
            return "settled", _usage(facts.prompt_tokens, self.generated()), "gateway"
        if error is None:
            return "settled", _usage(facts.prompt_tokens, 0), "gateway"
        if isinstance(error, asyncio.CancelledError | DeadlineExceeded | GeneratorExit):
            if facts.streams:
                return "settled", _usage(facts.prompt_tokens, 0), "gateway"
            # The provider may have generated all of it, and nobody can tell.
            return "settled", _usage(facts.prompt_tokens, self._completion_bound), "bound"
        return "released", Usage(), ""

    def _settle_ledger(
        self, state: State, usage: Usage, source: UsageSource, price: int, error: BaseException | None
    ) -> None:
        facts, desk, target = self._facts, self._desk, self._target or self._first
        record, now = facts.record, desk.clock()
        desk.ledger.settle(
            Settlement(
                id=self._id,
                state=state,
                provider=target.provider.name,
                model=_name(target.model),
                payer=self._payer,
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=_detail(usage.prompt_tokens_details, "cached_tokens"),
                completion_tokens=usage.completion_tokens,
                reasoning_tokens=_detail(usage.completion_tokens_details, "reasoning_tokens"),
                cost_nano=price,
                usage_source=source,
                price_source=self._quote.source if self._quote is not None else "",
                outcome=_reason(error),
                attempts=record.attempts,
                first_token_ms=round(record.first_token_s * 1000) if record.first_token_s is not None else None,
                total_ms=max(0, now - self._started),
                settled_at=now,
            )
        )

    async def _give_back(self) -> None:
        grant, self._grant = self._grant, None
        if grant is not None:
            await self._desk.limiter.release(grant)

    def _later(self, work: Any) -> None:
        """Finish with the limiter even if this call is cancelled, and without making it wait."""
        task = asyncio.ensure_future(work)
        self._desk.background.add(task)
        task.add_done_callback(self._desk.background.discard)


def utc_day(ms: int) -> int:
    """Return the UTC day of a Unix time in milliseconds, as 20251231."""
    days = ms // 86_400_000
    # Howard Hinnant's civil_from_days, in integers.
    z = days + 719_468
    era, doe = divmod(z, 146_097)
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return (yoe + era * 400 + (month <= 2)) * 10_000 + month * 100 + doy - (153 * mp + 2) // 5 + 1


def _usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _detail(details: Any, name: str) -> int:
    if details is UNSET or details is None:
        return 0
    value = getattr(details, name)
    return value if isinstance(value, int) else 0


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "OK"
    if isinstance(error, GatewayError):
        return error.reason.value
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    return InternalError.reason.value


def _name(text: str) -> str:
    """A model name comes from the caller: no database takes a NUL, and an index takes only so much."""
    return text.replace("\0", "")[:_NAME_LENGTH]
