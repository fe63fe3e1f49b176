"""Answers of `POST /v1/chat/completions`: `chat.completion` and `chat.completion.chunk`.

Source: OpenAI's OpenAPI description, schemas `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse`.
A field that OpenAI always sends, null or not, has None as its default; one that it leaves out has UNSET.
`reasoning_content` is the extension that reasoning vendors share; some spell it `reasoning`, which is only read.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType, structs


class PromptTokensDetails(Struct, kw_only=True):
    cached_tokens: int | UnsetType | None = UNSET
    audio_tokens: int | UnsetType | None = UNSET
    text_tokens: int | UnsetType | None = UNSET
    image_tokens: int | UnsetType | None = UNSET
    cache_write_tokens: int | UnsetType | None = UNSET


class CompletionTokensDetails(Struct, kw_only=True):
    reasoning_tokens: int | UnsetType | None = UNSET
    audio_tokens: int | UnsetType | None = UNSET
    text_tokens: int | UnsetType | None = UNSET
    accepted_prediction_tokens: int | UnsetType | None = UNSET
    rejected_prediction_tokens: int | UnsetType | None = UNSET


class Usage(Struct, kw_only=True):
    """Tokens of one call. `completion_tokens` includes reasoning; `prompt_tokens` includes cached ones."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | UnsetType | None = UNSET
    completion_tokens_details: CompletionTokensDetails | UnsetType | None = UNSET

    def whole(self, *, generates: bool) -> "Usage":
        """Return the usage with what only `total_tokens` has: of the completion, or of the prompt if none is made.

        xAI counts reasoning there and not in `completion_tokens`; for embeddings some vendors tell only the total.
        """
        rest = self.total_tokens - self.prompt_tokens - self.completion_tokens
        if rest <= 0:
            return self
        if generates:
            return structs.replace(self, completion_tokens=self.completion_tokens + rest)
        return structs.replace(self, prompt_tokens=self.prompt_tokens + rest)


class FunctionCallReply(Struct):
    name: str
    arguments: str


class CustomCallReply(Struct):
    name: str
    input: str


class ToolCallReply(Struct, kw_only=True):
    id: str
    type: str = "function"
    function: FunctionCallReply | UnsetType = UNSET
    custom: CustomCallReply | UnsetType = UNSET
    extra_content: Raw | UnsetType = UNSET


class AudioReply(Struct):
    id: str
    data: str = ""
    transcript: str = ""
    expires_at: int = 0


class Reply(Struct, kw_only=True):
    """The assistant's message of one choice."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    tool_calls: list[ToolCallReply] | UnsetType | None = UNSET
    annotations: Raw | UnsetType = UNSET
    audio: AudioReply | UnsetType | None = UNSET


class TopLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


class Logprobs(Struct):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class Choice(Struct, kw_only=True):
    index: int
    message: Reply
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Completion(Struct, kw_only=True):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | UnsetType | None = UNSET
    service_tier: str | UnsetType | None = UNSET
    system_fingerprint: str | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET


class FunctionCallDelta(Struct, kw_only=True):
    name: str | UnsetType | None = UNSET
    arguments: str | UnsetType | None = UNSET


class CustomCallDelta(Struct, kw_only=True):
    name: str | UnsetType | None = UNSET
    input: str | UnsetType | None = UNSET


class ToolCallDelta(Struct, kw_only=True):
    """A piece of a tool call. `id`, `type` and the name come once, with the first piece."""

    index: int
    id: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    function: FunctionCallDelta | UnsetType | None = UNSET
    custom: CustomCallDelta | UnsetType | None = UNSET
    extra_content: Raw | UnsetType = UNSET


class AudioDelta(Struct, kw_only=True):
    """A piece of a spoken answer; the pieces of `data` and `transcript` are to be joined."""

    id: str | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET
    transcript: str | UnsetType | None = UNSET
    expires_at: int | UnsetType | None = UNSET


class Delta(Struct, kw_only=True):
    role: str | UnsetType | None = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType | None = UNSET
    annotations: Raw | UnsetType = UNSET
    audio: AudioDelta | UnsetType | None = UNSET


class ChunkChoice(Struct, kw_only=True):
    index: int
    delta: Delta
    logprobs: Logprobs | UnsetType | None = UNSET
    finish_reason: str | None = None


class Chunk(Struct, kw_only=True):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    service_tier: str | UnsetType | None = UNSET
    system_fingerprint: str | UnsetType | None = UNSET
    obfuscation: str | UnsetType | None = UNSET
