"""`GET /v1/models`. Source: OpenAI's OpenAPI description, schemas `ListModelsResponse` and `Model`.

A model's fields after `owned_by` are this gateway's, named as in the contract's `Model`; OpenAI's SDKs keep them as
extra ones.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class LongPromptPrices(Struct, kw_only=True):
    above_prompt_tokens: int
    prompt_nano_usd_per_million: int
    cached_prompt_nano_usd_per_million: int | UnsetType = UNSET
    completion_nano_usd_per_million: int
    cache_write_nano_usd_per_million: int | UnsetType = UNSET


class ModelPrices(Struct, kw_only=True):
    """Nano-dollars (1e-9 USD) for a million tokens."""

    prompt_nano_usd_per_million: int
    cached_prompt_nano_usd_per_million: int | UnsetType = UNSET
    completion_nano_usd_per_million: int
    cache_write_nano_usd_per_million: int | UnsetType = UNSET
    prompt_audio_nano_usd_per_million: int | UnsetType = UNSET
    completion_audio_nano_usd_per_million: int | UnsetType = UNSET
    reasoning_nano_usd_per_million: int | UnsetType = UNSET
    long_prompt: LongPromptPrices | UnsetType = UNSET


class Model(Struct, kw_only=True):
    """One model. `created` is Unix seconds, 0 where it is not known."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    capabilities: list[str] | UnsetType = UNSET
    context_window: int | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    prices: ModelPrices | UnsetType = UNSET
    aliases: list[str] | UnsetType = UNSET
    shutdown_date: str | UnsetType = UNSET


class ModelList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Model]
