"""What is reserved covers what can be charged."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.admission.price_book import Quote, Quotes
from gateway.catalog.entries import LongPrompt, ModelFacts, Prices
from gateway.catalog.prices import cost_nano_usd
from gateway.config import LimitSettings
from gateway.wire.completion import CompletionTokensDetails, PromptTokensDetails, Usage

TOKENS = st.integers(0, 300_000)
PRICE = st.just(0) | st.integers(10**6, 600 * 10**9)
LONG = st.builds(
    LongPrompt,
    above=st.integers(1, 300_000),
    input=PRICE,
    output=PRICE,
    cached_input=st.none() | PRICE,
    cache_write=st.none() | PRICE,
)
PRICES = st.builds(
    Prices,
    input=PRICE,
    output=PRICE,
    cached_input=st.none() | PRICE,
    cache_write=st.none() | PRICE,
    audio_input=st.none() | PRICE,
    audio_output=st.none() | PRICE,
    reasoning=st.none() | PRICE,
    long_prompt=st.none() | LONG,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw a usage whose kinds are parts of its totals, as vendors tell them: some kinds may overlap."""
    prompt, completion = draw(TOKENS), draw(TOKENS)
    cached = draw(st.integers(0, prompt))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=cached,
            cache_write_tokens=draw(st.integers(0, prompt - cached)),
            audio_tokens=draw(st.integers(0, prompt)),
        ),
        completion_tokens_details=CompletionTokensDetails(
            audio_tokens=draw(st.integers(0, completion)), reasoning_tokens=draw(st.integers(0, completion))
        ),
    )


def quoted(prices: Prices) -> Quote:
    """Return the quote of a model with these prices."""
    return Quotes(lambda *_: ModelFacts(prices=prices), LimitSettings()).quote("provider", "model")


@settings(max_examples=500, derandomize=True, deadline=None)
@given(PRICES, usages(), TOKENS, TOKENS)
def test_no_call_costs_more_than_its_bound(prices: Prices, used: Usage, more_prompt: int, more_completion: int) -> None:
    """Whatever kinds its tokens turn out to be, and also when it used less than was reserved for."""
    bound = quoted(prices).bound(used.prompt_tokens + more_prompt, used.completion_tokens + more_completion)

    assert cost_nano_usd(prices, used) <= bound


def test_the_bound_is_that_of_the_dearest_kinds() -> None:
    """10 tokens that may be heard at 4000 nano-dollars each, and 5 that may be spoken at 16000."""
    dollar = 1_000_000_000
    prices = Prices(
        input=2 * dollar, output=8 * dollar, cached_input=dollar, audio_input=4 * dollar, audio_output=16 * dollar
    )

    assert quoted(prices).bound(10, 5) == 10 * 4000 + 5 * 16000
    assert quoted(Prices(input=2 * dollar, output=8 * dollar, reasoning=9 * dollar)).bound(10, 5) == 20_000 + 45_000
