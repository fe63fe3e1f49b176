"""Stored prices as messages of the contract, and back."""

from typing import Any, Final

import msgspec

from gateway.catalog.entries import LongPrompt, Prices
from gateway.errors import InvalidRequest
from gateway.overrides.prices import MOST_NANO, StoredPrice
from gateway.services.key_codec import timestamp
from llmgateway.v1 import admin_price_pb2, model_pb2

_SUFFIX: Final = "_nano_usd_per_million"
_PLAIN: Final = {
    "prompt": "input",
    "completion": "output",
    "cached_prompt": "cached_input",
    "cache_write": "cache_write",
}
ALL_KINDS: Final = {
    **_PLAIN,
    "prompt_audio": "audio_input",
    "completion_audio": "audio_output",
    "reasoning": "reasoning",
}
"""The contract's names of prices, without their unit -> ours."""


def prices_of(message: model_pb2.ModelPrices) -> Prices:
    """Return prices as the gateway keeps them. Raises InvalidRequest."""
    given = _given(message, ALL_KINDS, "prices")
    if message.HasField("long_prompt"):
        long = message.long_prompt
        given["long_prompt"] = {
            "above": long.above_prompt_tokens,
            **_given(long, _PLAIN, "prices.long_prompt"),
        }
    try:
        return msgspec.convert(given, Prices)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"Invalid value for 'prices': {exc}.", param="prices") from None


def price_message(price: StoredPrice) -> admin_price_pb2.Price:
    """Return a stored price as a message."""
    return admin_price_pb2.Price(
        id=price.id,
        provider=price.provider,
        model=price.model,
        prices=_prices_message(price.prices),
        start_time=timestamp(price.valid_from),
        create_time=timestamp(price.created_at),
    )


def _given(message: Any, names: dict[str, str], param: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for ours, kept in names.items():
        field = ours + _SUFFIX
        if message.HasField(field):
            given[kept] = value = getattr(message, field)
            if not 0 <= value <= MOST_NANO:
                raise InvalidRequest(
                    f"Invalid value for '{param}.{field}': expected 0 to {MOST_NANO}.", param=f"{param}.{field}"
                )
        elif kept in {"input", "output"}:
            raise InvalidRequest(
                f"Missing required parameter: '{param}.{field}'.",
                param=f"{param}.{field}",
                code="missing_required_parameter",
            )
    return given


def _prices_message(prices: Prices) -> model_pb2.ModelPrices:
    message = model_pb2.ModelPrices(**_fields(prices, ALL_KINDS))
    if prices.long_prompt is not None:
        long = prices.long_prompt
        message.long_prompt.CopyFrom(
            model_pb2.LongPromptPrices(above_prompt_tokens=long.above, **_fields(long, _PLAIN))
        )
    return message


def _fields(prices: Prices | LongPrompt, names: dict[str, str]) -> dict[str, Any]:
    return {ours + _SUFFIX: getattr(prices, kept) for ours, kept in names.items()}
