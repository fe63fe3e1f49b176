"""What a model costs, including one whose price nobody knows."""

import functools
from collections.abc import Callable
from typing import Final, Literal

import structlog
from msgspec import Struct

from gateway.admission.quota import nano_dollars
from gateway.catalog.entries import ModelFacts, Prices
from gateway.config import LimitSettings
from gateway.errors import PermissionDenied
from gateway.telemetry.logs import of_request

_log = structlog.get_logger("gateway.prices")
MILLION: Final = 1_000_000


Book = Callable[[str, str], ModelFacts]
"""What the catalog knows of a provider's model, by the provider's own name for it."""
Stored = Callable[[str, str], Prices | None]
"""What an operator has stored of its price."""
Source = Literal["stored", "catalog", "default"]


class Quote(Struct, frozen=True):
    """The prices of one model. `dearest` are the dearest kinds of input and output, for upper bounds."""

    prices: Prices
    source: Source
    max_output_tokens: int | None
    dearest: tuple[int, int]
    dearest_long: tuple[int, int]

    def rates(self, prompt_tokens: int) -> tuple[int, int]:
        """Return the most that a token of input and of output can cost, of a call with at most this prompt."""
        long = self.prices.long_prompt
        return self.dearest if long is None or prompt_tokens <= long.above else self.dearest_long

    def bound(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return what a call costs at most, in nano-dollars."""
        long = self.prices.long_prompt
        rate_in, rate_out = self.dearest if long is None else self.rates(prompt_tokens)
        return -(-(prompt_tokens * rate_in + completion_tokens * rate_out) // MILLION)


class Quotes:
    """Quotes for every model, the unknown ones as the settings say: never zero in silence."""

    def __init__(self, book: Book, settings: LimitSettings, stored: Stored = lambda _provider, _model: None) -> None:
        self._book = book
        self._stored = stored
        self._refuse = settings.unknown_price == "refuse"
        self._default = Prices(
            input=nano_dollars(settings.default_input_price), output=nano_dollars(settings.default_output_price)
        )
        self._quote = functools.lru_cache(maxsize=1024)(self._look_up)

    def quote(self, provider: str, model: str) -> Quote:
        """Return what a model costs. Raises PermissionDenied for an unknown price where the settings refuse those."""
        return self._quote(provider, model, self._stored(provider, model))

    def _look_up(self, provider: str, model: str, stored: Prices | None) -> Quote:
        facts = self._book(provider, model)
        if stored is not None:
            return _quote(stored, "stored", facts.max_output_tokens)
        if facts.prices is not None:
            return _quote(facts.prices, "catalog", facts.max_output_tokens)
        if self._refuse:
            raise PermissionDenied(
                f"The price of '{provider}/{model}' is not known, and models without a known price are refused here.",
                code="unknown_price",
            )
        _log.warning("price not known, default charged", provider=provider, model=model[:128], **of_request())
        return _quote(self._default, "default", facts.max_output_tokens)


def _quote(prices: Prices, source: Source, max_output_tokens: int | None) -> Quote:
    inputs = [price for price in (prices.input, prices.cached_input, prices.cache_write, prices.audio_input) if price]
    outputs = [price for price in (prices.output, prices.audio_output, prices.reasoning) if price]
    base = max(inputs, default=0), max(outputs, default=0)
    long = prices.long_prompt
    if long is None:
        return Quote(prices, source, max_output_tokens, base, base)
    # The prompt may still turn out shorter than `above`, so the plain prices count too.
    inputs += [price for price in (long.input, long.cached_input, long.cache_write) if price]
    outputs.append(long.output)
    return Quote(prices, source, max_output_tokens, base, (max(inputs, default=0), max(outputs)))
