"""`POST /v1/chat/completions`: the request as typed structs, strict about what OpenAI documents.

Source: OpenAI's OpenAPI description, schema `CreateChatCompletionRequest`. Fields that accept an explicit null there
accept it here. Nested objects keep fields that are not named (vendor extensions travel on as bytes); unknown
top-level fields are refused by name unless the target forwards them.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.errors import GatewayError
from gateway.wire.parse import parse_request

MAX_TOKENS: Final = 2**31 - 1
"""No model reads or writes more; larger numbers are typing errors."""

Text = Annotated[str, Meta(min_length=1)]
ModelName = Annotated[str, Meta(min_length=1, max_length=512)]
"""Names are remembered, with prices and more, so that one must not take a body's length."""
TokenCount = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]


class TextPart(Struct, tag_field="type", tag="text"):
    text: str


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Struct):
    url: Text
    detail: str | None = None


class ImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class InputAudio(Struct):
    data: Text
    format: Text


class AudioPart(Struct, tag_field="type", tag="input_audio"):
    input_audio: InputAudio


class File(Struct):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class FilePart(Struct, tag_field="type", tag="file"):
    file: File


UserPart = TextPart | ImagePart | AudioPart | FilePart
AssistantPart = TextPart | RefusalPart


class FunctionCall(Struct):
    name: Text
    arguments: str


class CustomCall(Struct):
    name: Text
    input: str


class FunctionToolCall(Struct, tag_field="type", tag="function"):
    id: str
    function: FunctionCall
    extra_content: Raw | UnsetType = UNSET


class CustomToolCall(Struct, tag_field="type", tag="custom"):
    id: str
    custom: CustomCall


ToolCall = FunctionToolCall | CustomToolCall


class SystemMessage(Struct, tag_field="role", tag="system"):
    content: str | list[TextPart]
    name: str | None = None


class DeveloperMessage(Struct, tag_field="role", tag="developer"):
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(Struct, tag_field="role", tag="user"):
    content: str | Annotated[list[UserPart], Meta(min_length=1)]
    name: str | None = None


class PastAudio(Struct):
    id: Text


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    content: str | list[AssistantPart] | None = None
    refusal: str | None = None
    name: str | None = None
    audio: PastAudio | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None


class ToolMessage(Struct, tag_field="role", tag="tool"):
    content: str | list[TextPart]
    tool_call_id: str


class FunctionMessage(Struct, tag_field="role", tag="function"):
    content: str | None
    name: Text


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class Function(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Raw] | None = None
    strict: bool | None = None


class FunctionTool(Struct, tag_field="type", tag="function"):
    function: Function


class CustomTool(Struct, tag_field="type", tag="custom"):
    custom: Raw


Tool = FunctionTool | CustomTool


class ToolName(Struct):
    name: Text


class NamedFunction(Struct, tag_field="type", tag="function"):
    function: ToolName


class NamedCustom(Struct, tag_field="type", tag="custom"):
    custom: ToolName


class AllowedTools(Struct):
    mode: Text
    tools: list[Raw]


class AllowedToolChoice(Struct, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


ToolChoice = str | NamedFunction | NamedCustom | AllowedToolChoice


class TextFormat(Struct, tag_field="type", tag="text"):
    pass


class JsonObjectFormat(Struct, tag_field="type", tag="json_object"):
    pass


class JsonSchema(Struct):
    name: Text
    description: str | None = None
    schema: Raw | UnsetType = UNSET
    strict: bool | None = None


class JsonSchemaFormat(Struct, tag_field="type", tag="json_schema"):
    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat


class StreamOptions(Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A chat request. None means absent or null; both mean "the provider's default"."""

    model: ModelName
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Annotated[int, Meta(ge=-100, le=100)]] | None = None
    user: str | UnsetType = UNSET
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Raw | UnsetType = UNSET
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    store: bool | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: Raw | UnsetType = UNSET
    prediction: Raw | UnsetType = UNSET
    response_format: ResponseFormat | UnsetType = UNSET
    tools: Annotated[list[Tool], Meta(min_length=1)] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    functions: Raw | UnsetType = UNSET
    function_call: Raw | UnsetType = UNSET
    web_search_options: Raw | UnsetType = UNSET
    moderation: Raw | UnsetType = UNSET

    @property
    def wants_usage(self) -> bool:
        """Whether the caller asked for the usage chunk of a stream."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def output_cap(self) -> int | None:
        """The most tokens the caller allows per choice; None where it does not say."""
        return self.max_completion_tokens or self.max_tokens


class _ForwardingChatRequest(ChatRequest, kw_only=True, forbid_unknown_fields=False):
    """The same, tolerant of unknown top-level fields, for targets that forward them."""


_STRICT: Final = msgspec.json.Decoder(ChatRequest)
_FORWARDING: Final = msgspec.json.Decoder(_ForwardingChatRequest)


def parse_chat_request(body: bytes) -> tuple[ChatRequest, GatewayError | None]:
    """Parse a chat request body.

    Returns the request and the error for an unknown top-level field, as `parse_request` does. Raises MalformedJson or
    InvalidRequest for everything else.
    """
    return parse_request(body, _STRICT, _FORWARDING)
