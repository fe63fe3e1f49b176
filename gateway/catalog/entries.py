"""What can be known of one model."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Capability = Literal[
    "chat",
    "embeddings",
    "tools",
    "json_object",
    "json_schema",
    "vision",
    "pdf",
    "audio_input",
    "audio_output",
    "reasoning",
    "logprobs",
]

NanoUsd = Annotated[int, Meta(ge=0)]
"""Nano-dollars (1e-9 USD) for a million tokens: 0.15 USD a million tokens is 150_000_000."""

_LEAST: Final = 1_000_000
"""A tenth of a cent for a million tokens: no vendor charges less, so a smaller number is one in dollars."""

_PRICES: Final = ("input", "output", "cached_input", "cache_write", "audio_input", "audio_output", "reasoning")

Tokens = Annotated[int, Meta(ge=1)]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class LongPrompt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of a whole call whose prompt has more than `above` tokens.

    None is "as `input`" here, and reasoning and audio keep their own prices.
    """

    above: Tokens
    input: NanoUsd
    output: NanoUsd
    cached_input: NanoUsd | None = None
    cache_write: NanoUsd | None = None


class Prices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model costs, in nano-dollars for a million tokens. 0 is free; None is "as `input`" or "as `output`".

    Reasoning is part of the output, and most vendors charge no other price for it.
    """

    input: NanoUsd
    output: NanoUsd
    cached_input: NanoUsd | None = None
    cache_write: NanoUsd | None = None
    audio_input: NanoUsd | None = None
    audio_output: NanoUsd | None = None
    reasoning: NanoUsd | None = None
    long_prompt: LongPrompt | None = None

    def __post_init__(self) -> None:
        for name in _PRICES:
            price = getattr(self, name)
            if price is not None and 0 < price < _LEAST:
                raise ValueError(
                    f"the price `{name}` of {price} is in nano-dollars for a million tokens; 1 dollar is 1000000000"
                )


class ModelFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a model; None or empty is unknown. Sizes are in tokens."""

    prices: Prices | None = None
    context_window: Tokens | None = None
    """Prompt and answer together."""
    max_output_tokens: Tokens | None = None
    capabilities: tuple[Capability, ...] = ()
    shutdown_date: Date | None = None
    """The day after which the vendor stops the model."""

    def over(self, other: "ModelFacts") -> "ModelFacts":
        """Return these facts, and `other`'s where these are unknown."""
        return ModelFacts(
            prices=self.prices or other.prices,
            context_window=self.context_window or other.context_window,
            max_output_tokens=self.max_output_tokens or other.max_output_tokens,
            capabilities=self.capabilities or other.capabilities,
            shutdown_date=self.shutdown_date or other.shutdown_date,
        )
