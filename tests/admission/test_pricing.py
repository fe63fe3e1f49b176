"""What calls cost."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.admission.pricing import Prices, bound_cost, cost
from gateway.wire.completion import CompletionTokensDetails, PromptTokensDetails, Usage

DOLLAR = 10**9
AUDIO = Prices(
    input=250,
    output=1_000,
    cached_input=125,
    reasoning=3_000,
    audio_input=4_000,
    audio_output=8_000,
)


def usage(prompt: int, completion: int, **details: Any) -> Usage:
    """Return a usage with details by kind."""
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=details.get("cached", UNSET), audio_tokens=details.get("heard", UNSET)
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=details.get("reasoned", UNSET), audio_tokens=details.get("spoken", UNSET)
        ),
    )


@pytest.mark.parametrize(
    ("used", "prices", "nano"),
    [
        pytest.param(
            Usage(prompt_tokens=1_000_000, completion_tokens=100_000),
            Prices(input=2_500_000_000, output=10_000_000_000),
            3_500_000_000,
            id="published prices",
        ),
        pytest.param(usage(10**6, 0), AUDIO, 250, id="input"),
        pytest.param(usage(10**6, 0, cached=10**6), AUDIO, 125, id="cached"),
        pytest.param(usage(10**6, 0, heard=10**6), AUDIO, 4_000, id="audio input"),
        pytest.param(usage(0, 10**6), AUDIO, 1_000, id="output"),
        pytest.param(usage(0, 10**6, reasoned=10**6), AUDIO, 3_000, id="reasoning"),
        pytest.param(usage(0, 10**6, spoken=10**6), AUDIO, 8_000, id="audio output"),
        pytest.param(usage(0, 2 * 10**6, spoken=10**6, reasoned=10**6), AUDIO, 11_000, id="spoken and reasoned"),
        pytest.param(usage(10**6, 0, cached=10**6, heard=10**6), AUDIO, 125, id="audio that was cached"),
        pytest.param(usage(1, 0), Prices(input=1, output=1), 1, id="rounded up"),
        pytest.param(usage(10**6, 0), Prices(input=1, output=1), 1, id="nothing to round"),
        pytest.param(usage(0, 0), AUDIO, 0, id="nothing used"),
        pytest.param(usage(5, 0, cached=10**6), Prices(input=2, cached_input=1, output=1), 1, id="a wrong sum"),
        pytest.param(usage(-5, -5), AUDIO, 0, id="negative"),
        pytest.param(usage(10**6, 0, cached=None, heard=None), AUDIO, 250, id="details of null"),
        pytest.param(usage(10**6, 0, cached=10**6), Prices(input=7, cached_input=0, output=1), 0, id="free is a price"),
    ],
)
def test_each_token_is_priced_once_by_its_kind(used: Usage, prices: Prices, nano: int) -> None:
    """A table of kinds."""
    assert cost(used, prices) == nano


TOKENS = st.integers(0, 2_000_000)
PRICE = st.integers(0, 600 * DOLLAR)
PRICES = st.builds(
    Prices,
    input=PRICE,
    output=PRICE,
    cached_input=st.none() | PRICE,
    reasoning=st.none() | PRICE,
    audio_input=st.none() | PRICE,
    audio_output=st.none() | PRICE,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.tuples(*[TOKENS] * 6), PRICES)
def test_cost_is_the_exact_sum_rounded_up(counts: tuple[int, ...], prices: Prices) -> None:
    """Against exact fractions: never less than the sum, and less than a nano-dollar more."""
    text, cached, heard, written, reasoned, spoken = counts
    used = usage(
        text + cached + heard,
        written + reasoned + spoken,
        cached=cached,
        heard=heard,
        reasoned=reasoned,
        spoken=spoken,
    )
    kinds = [
        (text, prices.input),
        (cached, prices.input if prices.cached_input is None else prices.cached_input),
        (heard, prices.input if prices.audio_input is None else prices.audio_input),
        (written, prices.output),
        (reasoned, prices.output if prices.reasoning is None else prices.reasoning),
        (spoken, prices.output if prices.audio_output is None else prices.audio_output),
    ]
    exact = sum(Fraction(count * price, 1_000_000) for count, price in kinds)

    assert 0 <= cost(used, prices) - exact < 1


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.tuples(*[TOKENS] * 4), st.tuples(*[TOKENS] * 4), PRICES)
def test_bound_is_never_below_the_cost(totals: tuple[int, ...], kinds: tuple[int, ...], prices: Prices) -> None:
    """A reservation covers every usage within its totals, however it splits into kinds."""
    prompt, completion, more_prompt, more_completion = totals
    cached, heard, reasoned, spoken = kinds
    cached, heard = min(cached, prompt), min(heard, prompt)
    reasoned = min(reasoned, completion)
    spoken = min(spoken, completion - reasoned)
    used = usage(prompt, completion, cached=cached, heard=heard, reasoned=reasoned, spoken=spoken)

    assert bound_cost(prompt + more_prompt, completion + more_completion, prices) >= cost(used, prices)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=5), PRICES)
def test_many_calls_cost_at_least_one_call_of_their_sum(calls: list[tuple[int, int]], prices: Prices) -> None:
    """Rounding goes up a call: splitting a call never makes it cheaper, and costs less than a nano-dollar a call."""
    apart = sum(cost(usage(prompt, completion), prices) for prompt, completion in calls)
    together = cost(usage(sum(p for p, _ in calls), sum(c for _, c in calls)), prices)

    assert together <= apart <= together + len(calls)
