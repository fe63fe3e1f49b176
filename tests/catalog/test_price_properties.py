"""What any call costs, against exact fractions."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalog.entries import Prices
from gateway.catalog.prices import cost_nano_usd
from gateway.wire.completion import CompletionTokensDetails, PromptTokensDetails, Usage

TOKENS = st.integers(0, 2_000_000)
PRICE = st.just(0) | st.integers(10**6, 600 * 10**9)
PRICES = st.builds(
    Prices,
    input=PRICE,
    output=PRICE,
    cached_input=st.none() | PRICE,
    cache_write=st.none() | PRICE,
    audio_input=st.none() | PRICE,
    audio_output=st.none() | PRICE,
    reasoning=st.none() | PRICE,
)
KINDS = st.tuples(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)


def usage(prompt: int, completion: int, kinds: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)) -> Usage:
    """Return a usage; `kinds` are the cached, the written, the heard, the spoken and the reasoning tokens."""
    cached, written, heard, spoken, thought = kinds
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached, cache_write_tokens=written, audio_tokens=heard),
        completion_tokens_details=CompletionTokensDetails(audio_tokens=spoken, reasoning_tokens=thought),
    )


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.tuples(TOKENS, TOKENS), KINDS, PRICES)
def test_cost_is_the_exact_sum_rounded_up(
    plain: tuple[int, int], kinds: tuple[int, int, int, int, int], prices: Prices
) -> None:
    """Never less than the sum, and less than a nano-dollar more."""
    cached, written, heard, spoken, thought = kinds
    sent, got = plain
    parts = [
        (sent, prices.input),
        (cached, prices.input if prices.cached_input is None else prices.cached_input),
        (written, prices.input if prices.cache_write is None else prices.cache_write),
        (heard, prices.input if prices.audio_input is None else prices.audio_input),
        (got, prices.output),
        (spoken, prices.output if prices.audio_output is None else prices.audio_output),
        (thought, prices.output if prices.reasoning is None else prices.reasoning),
    ]
    exact = sum(Fraction(count * price, 1_000_000) for count, price in parts)

    assert 0 <= cost_nano_usd(prices, usage(sent + cached + written + heard, got + spoken + thought, kinds)) - exact < 1


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.tuples(TOKENS, TOKENS), KINDS, PRICES)
def test_cost_is_at_most_that_of_the_dearest_kinds(
    totals: tuple[int, int], kinds: tuple[int, int, int, int, int], prices: Prices
) -> None:
    """However a vendor splits the totals into kinds that may overlap, each token is priced once."""
    prompt, completion = totals
    cached = min(kinds[0], prompt)
    written, heard = min(kinds[1], prompt - cached), min(kinds[2], prompt)
    used = usage(prompt, completion, (cached, written, heard, min(kinds[3], completion), min(kinds[4], completion)))
    dearest_in = max(prices.input, prices.cached_input or 0, prices.cache_write or 0, prices.audio_input or 0)
    dearest_out = max(prices.output, prices.audio_output or 0, prices.reasoning or 0)

    assert cost_nano_usd(prices, used) <= -(-(prompt * dearest_in + completion * dearest_out) // 1_000_000)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=5), PRICES)
def test_splitting_a_call_never_makes_it_cheaper(calls: list[tuple[int, int]], prices: Prices) -> None:
    """Rounding goes up a call, by less than a nano-dollar each."""
    apart = sum(cost_nano_usd(prices, usage(prompt, completion)) for prompt, completion in calls)
    together = cost_nano_usd(prices, usage(sum(p for p, _ in calls), sum(c for _, c in calls)))

    assert together <= apart <= together + len(calls)
