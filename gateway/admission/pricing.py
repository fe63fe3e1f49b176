"""What a call costs, in integer nano-dollars."""

from typing import Annotated, Final

from msgspec import Meta, Struct, UnsetType

from gateway.wire.completion import Usage

PER: Final = 1_000_000
"""Prices are per this many tokens."""

Price = Annotated[int, Meta(ge=0)]


class Prices(Struct, frozen=True, kw_only=True):
    """What a model's tokens cost, in nano-dollars per million: 2.50 dollars are 2_500_000_000.

    None means that this kind costs what its base kind costs: cached and audio input as `input`, reasoning as
    `output`.
    """

    input: Price
    output: Price
    cached_input: Price | None = None
    reasoning: Price | None = None
    audio_input: Price | None = None
    audio_output: Price | None = None


def cost(usage: Usage, prices: Prices) -> int:
    """Return the cost in nano-dollars, exact but for one rounding, of the sum, up to the next nano-dollar.

    Source: OpenAI's `CompletionUsage`. `prompt_tokens` includes the cached and the audio ones, `completion_tokens`
    the reasoning and the audio ones; `cached_tokens` may be audio too, and then count as cached. Each token is priced
    once, by its kind. Details that add up to more than their total win over the total, and negative counts are zero:
    a provider's wrong sum never makes a call cheaper.
    """
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = _count(prompt.cached_tokens) if prompt else 0
    heard = _count(prompt.audio_tokens) if prompt else 0
    reasoned = _count(completion.reasoning_tokens) if completion else 0
    spoken = _count(completion.audio_tokens) if completion else 0
    heard = min(heard, max(0, usage.prompt_tokens - cached)) if cached else heard
    total = (
        max(0, usage.prompt_tokens - cached - heard) * prices.input
        + cached * _or(prices.cached_input, prices.input)
        + heard * _or(prices.audio_input, prices.input)
        + max(0, usage.completion_tokens - reasoned - spoken) * prices.output
        + reasoned * _or(prices.reasoning, prices.output)
        + spoken * _or(prices.audio_output, prices.output)
    )
    return -(-total // PER)


def bound_cost(prompt_tokens: int, completion_tokens: int, prices: Prices) -> int:
    """Return the most that a call of at most so many tokens can cost, in nano-dollars: each at its dearest kind.

    At least `cost` of every usage within these totals.
    """
    dearest_in = max(prices.input, prices.cached_input or 0, prices.audio_input or 0)
    dearest_out = max(prices.output, prices.reasoning or 0, prices.audio_output or 0)
    return -(-(prompt_tokens * dearest_in + completion_tokens * dearest_out) // PER)


def _count(tokens: int | UnsetType | None) -> int:
    return max(0, tokens) if isinstance(tokens, int) else 0


def _or(price: int | None, base: int) -> int:
    return base if price is None else price
