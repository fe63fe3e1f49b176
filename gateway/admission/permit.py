"""One call's way through admission: reserve before the provider is asked, settle once at the end."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from gateway.admission.call import CallFacts, Desk, Target
from gateway.admission.limits.headers import headers
from gateway.admission.limits.model import Charge, Grant, LimitRule
from gateway.admission.outcome import Outcome, outcome_of, reason_of
from gateway.admission.price_book import Quote
from gateway.admission.worst_case import client_pays, dearest_of, known_cap
from gateway.catalog.prices import cost_nano_usd
from gateway.config import Secret
from gateway.errors import GatewayError, QuotaExceeded, RateLimited, Unauthenticated
from gateway.storage.records import Reservation, Settlement, utc_day
from gateway.telemetry.usage import cached_tokens, reasoning_tokens

_LEASE_MARGIN_S: Final = 60.0
"""A reservation is given up this long after its call must have ended."""
SMALLEST_CAP: Final = 16
"""A call is refused rather than allowed fewer output tokens than this, or than it asks for."""
_SHRINKS: Final = 3
_NAME_LENGTH: Final = 200


class Permit(Struct, eq=False):
    """The right to make one call. Use it as `with`; leaving settles it, whatever happened."""

    _desk: Desk
    _facts: CallFacts
    _targets: Sequence[Target]
    output_cap: int | None = None
    """The cap per choice to send to the provider instead of the caller's; None leaves the request as it is."""
    generated: Callable[[], int] | None = None
    """Counts the tokens of what came so far; None until anything came."""
    _target: Target | None = None
    _quote: Quote | None = None
    _grant: Grant | None = None
    _id: str = ""
    _provider: str = ""
    _model: str = ""
    _payer: str = "gateway"
    _started: int = 0
    _completion_bound: int = 0
    _client_pays: bool = False
    _settled: bool = False

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
        if self._grant is not None:
            await self._desk.limiter.release(self._grant)
            self._grant = None
        quote = self._desk.quote(target.provider.name, target.model)
        self._client_pays = client_pays(self._facts, target, self._targets[0])
        await self._reserve(target, quote)
        self._target, self._quote = target, quote
        self._provider, self._model = target.provider.name, _name(target.model)
        self._payer = "client" if self._client_pays else "gateway"
        if not self._id:
            self._write_down(quote)

    def blame(self, error: GatewayError) -> GatewayError:
        """Return the error to raise for one of the provider in use: a refused key may be the caller's own."""
        if self._client_pays and error.details.get("credentials") == "refused":
            return Unauthenticated("The provider refused the key in x-provider-api-key.", code="invalid_provider_key")
        return error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._id:
            self._settle(error)
        elif self._grant is not None:
            self._desk.limiter.release(self._grant)

    def finish(self) -> None:
        """Settle now: the answer is whole, and the caller is about to get its end."""
        self._settle(None)

    def _settle(self, error: BaseException | None) -> None:
        if self._settled:
            return
        self._settled = True
        record, limiter = self._facts.record, self._desk.limiter
        outcome = outcome_of(self._facts, self.generated, self._completion_bound, error)
        usage = outcome.usage
        price = record.cost_nano = self._price(outcome)
        if outcome.state == "settled":
            record.usage = usage
        self._book(outcome, price, error)
        if self._grant is None:
            return
        if outcome.state == "released":
            limiter.release(self._grant)
        else:
            tokens = usage.prompt_tokens + usage.completion_tokens
            limiter.settle(self._grant, Charge(requests=1, tokens=tokens, spend_nano=price))

    def _price(self, outcome: Outcome) -> int:
        usage = outcome.usage
        if self._quote is None or self._client_pays:
            return 0
        if outcome.source == "bound":
            return self._quote.bound(usage.prompt_tokens, usage.completion_tokens)
        return cost_nano_usd(self._quote.prices, usage)

    async def _reserve(self, target: Target, quote: Quote) -> None:
        facts = self._facts
        rules = facts.caller.rules + self._desk.rules(target.provider.name)
        cap = known_cap(facts, target, quote)
        self.output_cap = None
        if cap is None:
            cap = self._desk.default_output_tokens
            self.output_cap = cap if self._limits_output(rules, quote) else None
        self._completion_bound = cap * facts.choices
        if not rules:
            return
        for _ in range(_SHRINKS):
            try:
                grant = await self._desk.limiter.reserve(rules, self._charge(quote), facts.lease_s + _LEASE_MARGIN_S)
            except (QuotaExceeded, RateLimited) as error:
                limited = facts.generates and self._limits_output(rules, quote)
                smaller = await self._shrunk(rules, quote) if limited else 0
                if smaller < min(SMALLEST_CAP, cap):
                    raise
                self.output_cap = smaller
                self._completion_bound = smaller * facts.choices
                refused = error
            else:
                self._grant = grant
                facts.record.rate_limits = headers(rules, grant.readings, grant.at_ms)
                return
        raise refused

    def _limits_output(self, rules: Sequence[LimitRule], quote: Quote) -> bool:
        costs = quote.dearest[1] > 0 and not self._client_pays
        return any(rule.metric == "tokens" or (costs and rule.metric == "spend_nano") for rule in rules)

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

    def _write_down(self, quote: Quote) -> None:
        facts, desk = self._facts, self._desk
        now = desk.clock()
        call_id = desk.new_id(now)
        if self._grant is None or self._client_pays:
            worst = quote.bound(facts.prompt_tokens, self._completion_bound)
        else:
            worst = self._grant.charge.spend_nano  # the same
        if len(self._targets) > 1:  # the row outlives a failover
            worst = max(worst, dearest_of(desk, facts, self._targets[1:]))
        desk.ledger.reserve(
            Reservation(  # by name they cost five times as much
                call_id,
                facts.request_id,
                desk.ledger.owner,
                facts.caller.key_id,
                facts.caller.project_id,
                self._provider,
                self._model,
                facts.operation,
                self._payer,
                now,
                utc_day(now),
                now + int((facts.lease_s + _LEASE_MARGIN_S) * 1000),
                facts.prompt_tokens,
                self._completion_bound,
                worst,
                quote.source,
            )
        )
        self._id, self._started = call_id, now

    def _book(self, outcome: Outcome, price: int, error: BaseException | None) -> None:
        desk, record = self._desk, self._facts.record
        usage, now = outcome.usage, desk.clock()
        desk.ledger.settle(
            Settlement(  # by name they cost five times as much
                self._id,
                outcome.state,
                self._provider,
                self._model,
                self._payer,
                usage.prompt_tokens,
                cached_tokens(usage),
                usage.completion_tokens,
                reasoning_tokens(usage),
                price,
                outcome.source,
                self._quote.source if self._quote is not None else "",
                "OK" if error is None else reason_of(error),
                record.attempts,
                None if record.first_token_s is None else round(record.first_token_s * 1000),
                max(0, now - self._started),
                now,
            )
        )


def _name(text: str) -> str:
    """A model name comes from the caller: no database takes a NUL, and an index takes only so much."""
    return text.replace("\0", "")[:_NAME_LENGTH]
