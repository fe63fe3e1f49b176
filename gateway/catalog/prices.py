"""What a model costs, and what a call cost."""

from gateway.catalog.entries import Prices
from gateway.catalog.known import KnownModels
from gateway.wire.completion import Usage

_MILLION = 1_000_000


class PriceBook:
    """Looks prices up."""

    def __init__(self, known: KnownModels) -> None:
        self._known = known

    def prices(self, provider: str, model: str) -> Prices | None:
        """Return the standard prices of a provider's `model`; None if they are not known, which is not free."""
        return self._known.facts(provider, model).prices


def cost_nano_usd(prices: Prices, usage: Usage) -> int:
    """Return what a call cost in nano-dollars, rounded up.

    Cached, cache-writing and audio tokens are parts of the prompt's, audio and reasoning of the completion's; the rest
    has the plain price. A token that is of two kinds is priced once: audio that was cached counts as cached, reasoning
    that is audio as audio. Exact but for one rounding, of the sum.
    """
    long = prices.long_prompt
    rates = long if long is not None and usage.prompt_tokens > long.above else prices
    if not usage.prompt_tokens_details and not usage.completion_tokens_details:
        total = max(0, usage.prompt_tokens) * rates.input + max(0, usage.completion_tokens) * rates.output
        return -(-total // _MILLION)
    cached = written = heard = spoken = thought = 0
    if sent := usage.prompt_tokens_details:
        cached, written, heard = _count(sent.cached_tokens), _count(sent.cache_write_tokens), _count(sent.audio_tokens)
        if cached or written:
            heard = min(heard, max(0, usage.prompt_tokens - cached - written))
    if got := usage.completion_tokens_details:
        spoken, thought = _count(got.audio_tokens), _count(got.reasoning_tokens)
        thought = min(thought, max(0, usage.completion_tokens - spoken))
    audio_in = rates.input if prices.audio_input is None else prices.audio_input
    audio_out = rates.output if prices.audio_output is None else prices.audio_output
    reasoning = rates.output if prices.reasoning is None else prices.reasoning
    total = (
        max(0, usage.prompt_tokens - cached - written - heard) * rates.input
        + cached * (rates.input if rates.cached_input is None else rates.cached_input)
        + written * (rates.input if rates.cache_write is None else rates.cache_write)
        + heard * audio_in
        + max(0, usage.completion_tokens - spoken - thought) * rates.output
        + thought * reasoning
        + spoken * audio_out
    )
    return -(-total // _MILLION)


def _count(tokens: object) -> int:
    return max(0, tokens) if isinstance(tokens, int) else 0
