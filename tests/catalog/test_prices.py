"""What a call costs."""

from typing import Any

import msgspec
import pytest

from gateway.catalog.entries import ModelFacts, Prices
from gateway.catalog.known import KnownModels
from gateway.catalog.prices import PriceBook, cost_nano_usd
from gateway.wire.completion import Usage

DOLLAR = 1_000_000_000
PLAIN = {"input": 2 * DOLLAR, "output": 8 * DOLLAR}
RICH = {
    **PLAIN,
    "cached_input": DOLLAR // 2,
    "cache_write": 3 * DOLLAR,
    "audio_input": 4 * DOLLAR,
    "audio_output": 16 * DOLLAR,
    "long_prompt": {"above": 1000, "input": 4 * DOLLAR, "output": 12 * DOLLAR, "cached_input": DOLLAR},
}


def usage(prompt: int, completion: int, sent: dict[str, Any] | None = None, got: dict[str, Any] | None = None) -> Usage:
    details = {"prompt_tokens_details": sent, "completion_tokens_details": got}
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return msgspec.convert(counts | details, Usage)


@pytest.mark.parametrize(
    ("prices", "used", "nano"),
    [
        pytest.param(PLAIN, usage(1_000_000, 0), 2 * DOLLAR, id="a million prompt tokens"),
        pytest.param(PLAIN, usage(10, 5), 60_000, id="prompt and completion"),
        pytest.param(PLAIN, usage(0, 0), 0, id="nothing"),
        pytest.param({"input": 1_000_001, "output": 0}, usage(1, 0), 2, id="rounded up"),
        pytest.param({"input": 0, "output": 0}, usage(10, 5), 0, id="free"),
        pytest.param(RICH, usage(100, 0, {"cached_tokens": 60}), 40 * 2000 + 60 * 500, id="cached"),
        pytest.param(PLAIN, usage(100, 0, {"cached_tokens": 60}), 200_000, id="cached without a price for it"),
        pytest.param(RICH, usage(100, 0, {"cache_write_tokens": 10}), 90 * 2000 + 10 * 3000, id="written to the cache"),
        pytest.param(RICH, usage(100, 0, {"audio_tokens": 10}), 90 * 2000 + 10 * 4000, id="audio heard"),
        pytest.param(RICH, usage(0, 100, None, {"audio_tokens": 10}), 90 * 8000 + 10 * 16000, id="audio spoken"),
        pytest.param(RICH, usage(0, 100, None, {"reasoning_tokens": 90}), 800_000, id="reasoning is output"),
        pytest.param(
            {**RICH, "reasoning": 3 * DOLLAR},
            usage(0, 100, None, {"reasoning_tokens": 90}),
            10 * 8000 + 90 * 3000,
            id="reasoning with a price of its own",
        ),
        pytest.param(
            {**RICH, "reasoning": 3 * DOLLAR},
            usage(0, 100, None, {"reasoning_tokens": 90, "audio_tokens": 40}),
            40 * 16000 + 60 * 3000,
            id="reasoning that is audio",
        ),
        pytest.param(
            {**RICH, "reasoning": 3 * DOLLAR},
            usage(2000, 100, None, {"reasoning_tokens": 90}),
            2000 * 4000 + 10 * 12000 + 90 * 3000,
            id="reasoning about a long prompt",
        ),
        pytest.param(RICH, usage(1000, 1), 2_000_000 + 8_000, id="not yet long"),
        pytest.param(RICH, usage(1001, 1), 1001 * 4000 + 12_000, id="long"),
        pytest.param(RICH, usage(2000, 0, {"cached_tokens": 1000}), 1000 * 4000 + 1000 * 1000, id="long and cached"),
        pytest.param(RICH, usage(5, 0, {"cached_tokens": None}), 10_000, id="a detail that is null"),
        pytest.param(RICH, usage(5, 0, {"cached_tokens": 9}), 9 * 500, id="more cached than sent"),
        pytest.param(
            RICH,
            usage(100, 0, {"cached_tokens": 60, "audio_tokens": 100}),
            60 * 500 + 40 * 4000,
            id="audio that was cached",
        ),
        pytest.param(RICH, usage(5, 0, {"cached_tokens": -9}), 10_000, id="a detail below zero"),
    ],
)
def test_a_call_costs_its_tokens(prices: dict[str, Any], used: Usage, nano: int) -> None:
    """Whole nano-dollars, rounded up once a call."""
    assert cost_nano_usd(msgspec.convert(prices, Prices), used) == nano


@pytest.mark.parametrize(
    "name", ["input", "output", "cached_input", "cache_write", "audio_input", "audio_output", "reasoning"]
)
def test_a_price_in_dollars_is_refused(name: str) -> None:
    """15 for 15 dollars would make the model as good as free."""
    with pytest.raises(msgspec.ValidationError, match=rf"`{name}` of 15 is in nano-dollars"):
        msgspec.convert({**PLAIN, name: 15}, Prices)


@pytest.mark.parametrize("wrong", [0.15, -1, "1"])
def test_a_price_is_a_whole_number(wrong: Any) -> None:
    """Money is never a float."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**PLAIN, "input": wrong}, Prices)


def test_prices_are_found_by_provider_and_model() -> None:
    """An unknown price is None, which is not free."""
    prices = Prices(input=DOLLAR, output=DOLLAR)
    book = PriceBook(KnownModels({"here/m": ModelFacts(prices=prices)}, {}, {}))

    assert book.prices("here", "m") == prices
    assert book.prices("here", "other") is None
    assert book.prices("elsewhere", "m") is None
