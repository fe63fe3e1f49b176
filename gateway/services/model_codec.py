"""Models as OpenAI's JSON, and that as messages of the contract."""

from typing import TypeVar

import msgspec
from google.protobuf import json_format
from msgspec import UNSET, UnsetType

from gateway.catalog.entries import LongPrompt, Prices
from gateway.dispatch.directory import ModelCard
from gateway.wire.models import LongPromptPrices, Model, ModelPrices
from llmgateway.v1 import model_pb2

T = TypeVar("T")


def model_json(card: ModelCard) -> Model:
    """Return `card` in OpenAI's form; what is not known is left out."""
    facts = card.facts
    return Model(
        id=card.id,
        created=card.created,
        owned_by=card.owned_by,
        capabilities=list(facts.capabilities) or UNSET,
        context_window=_known(facts.context_window),
        max_output_tokens=_known(facts.max_output_tokens),
        prices=UNSET if facts.prices is None else _prices(facts.prices),
        aliases=list(card.aliases) or UNSET,
        shutdown_date=_known(facts.shutdown_date),
    )


def model_message(card: ModelCard) -> model_pb2.Model:
    """Return `card` as a message: the JSON form's fields, whose names are the contract's."""
    fields = msgspec.to_builtins(model_json(card))
    del fields["object"]
    return json_format.ParseDict(fields, model_pb2.Model())


def _prices(prices: Prices) -> ModelPrices:
    return ModelPrices(
        prompt_nano_usd_per_million=prices.input,
        cached_prompt_nano_usd_per_million=_known(prices.cached_input),
        completion_nano_usd_per_million=prices.output,
        cache_write_nano_usd_per_million=_known(prices.cache_write),
        prompt_audio_nano_usd_per_million=_known(prices.audio_input),
        completion_audio_nano_usd_per_million=_known(prices.audio_output),
        reasoning_nano_usd_per_million=_known(prices.reasoning),
        long_prompt=UNSET if prices.long_prompt is None else _long_prompt(prices.long_prompt),
    )


def _long_prompt(prices: LongPrompt) -> LongPromptPrices:
    return LongPromptPrices(
        above_prompt_tokens=prices.above,
        prompt_nano_usd_per_million=prices.input,
        cached_prompt_nano_usd_per_million=_known(prices.cached_input),
        completion_nano_usd_per_million=prices.output,
        cache_write_nano_usd_per_million=_known(prices.cache_write),
    )


def _known(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
