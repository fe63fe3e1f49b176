"""What Gemini answers.

Source: the Generative Language API, `v1beta`, messages `GenerateContentResponse` and `google.rpc.Status`. A field that
is at its default is absent there (`index` 0, a count of 0); fields that the gateway cannot say are not read.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.errors import GatewayError, ProviderError
from gateway.providers.gemini.errors import reported_error


class FunctionCall(Struct, rename="camel"):
    name: str
    id: str | None = None
    args: Raw = Raw(b"{}")


class InlineData(Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: InlineData | None = None


class Content(Struct, rename="camel"):
    parts: list[Part] | None = None


class TokenChance(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class TopCandidates(Struct, rename="camel"):
    candidates: list[TokenChance] | None = None


class LogprobsResult(Struct, rename="camel"):
    chosen_candidates: list[TokenChance] | None = None
    top_candidates: list[TopCandidates] | None = None


class Candidate(Struct, rename="camel"):
    index: int = 0
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: LogprobsResult | None = None


class PromptFeedback(Struct, rename="camel"):
    block_reason: str | None = None


class ModalityTokens(Struct, rename="camel"):
    modality: str = ""
    token_count: int = 0


class UsageMetadata(Struct, rename="camel"):
    prompt_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    cached_content_token_count: int | None = None
    total_token_count: int = 0
    prompt_tokens_details: list[ModalityTokens] | None = None


class Answer(Struct, rename="camel"):
    """A whole answer, or one event of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None

    @property
    def blocked(self) -> bool:
        """Whether the prompt was refused, so that there is nothing to answer."""
        return self.prompt_feedback is not None and bool(self.prompt_feedback.block_reason)


_DECODER: Final = msgspec.json.Decoder(Answer)


def read_answer(provider: str, body: bytes) -> Answer:
    """Decode an answer. Raises the row for an error inside it, and ProviderError for what is not an answer."""
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _not_an_answer(provider, body) from exc
    if answer.error is not None:
        raise reported_error(provider, body)
    return answer


def _not_an_answer(provider: str, body: bytes) -> GatewayError:
    if body.lstrip().startswith(b"[") and b'"error"' in body:
        return reported_error(provider, body)
    return ProviderError(f"Provider '{provider}' sent an answer that is not one of generateContent.")
