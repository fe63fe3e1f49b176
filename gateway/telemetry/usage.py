"""The parts of a usage that providers may leave out."""

from gateway.wire.completion import CompletionTokensDetails, PromptTokensDetails, Usage


def cached_tokens(usage: Usage) -> int:
    """Return how many of the prompt's tokens came from the provider's cache."""
    details = usage.prompt_tokens_details
    return (details.cached_tokens or 0) if isinstance(details, PromptTokensDetails) else 0


def reasoning_tokens(usage: Usage) -> int:
    """Return how many of the answer's tokens were reasoning."""
    details = usage.completion_tokens_details
    return (details.reasoning_tokens or 0) if isinstance(details, CompletionTokensDetails) else 0
