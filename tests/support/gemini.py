"""Gemini, played by a real server that takes only what the Generative Language API documents.

Source: the API's reference, `v1beta`: `GenerateContentRequest` and the messages under it, `BatchEmbedContentsRequest`,
`ListModels`; the guides to function calling, thought signatures and file input.
"""

import binascii
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from tests.support.vendor import Answer, Stream, Vendor, running_vendor

KEY = "AIza-test-key"


class Strict(Struct, forbid_unknown_fields=True, rename="camel"):
    """A message whose fields are all that are documented."""


class Blob(Strict):
    mime_type: Annotated[str, Meta(pattern="^[a-z]+/[A-Za-z0-9.+-]+$")]
    data: Annotated[str, Meta(min_length=1)]


class FileData(Strict):
    file_uri: Annotated[str, Meta(pattern="^https://|^http://127.0.0.1")]
    mime_type: Annotated[str, Meta(pattern="^[a-z]+/[A-Za-z0-9.+-]+$")] | None = None


class FunctionCall(Strict):
    name: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")]
    id: Annotated[str, Meta(min_length=1)] | None = None
    args: dict[str, Any] | None = None


class FunctionResponse(Strict):
    name: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")]
    response: dict[str, Any]
    id: Annotated[str, Meta(min_length=1)] | None = None


class Part(Strict):
    text: Annotated[str, Meta(min_length=1)] | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought: bool | None = None
    thought_signature: str | None = None


class Content(Strict):
    role: Literal["user", "model"]
    parts: Annotated[list[Part], Meta(min_length=1)]


class Instruction(Strict):
    parts: Annotated[list[Part], Meta(min_length=1)]


class FunctionDeclaration(Strict):
    name: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")]
    description: str | None = None
    parameters_json_schema: dict[str, Any] | None = None


class Tool(Strict):
    function_declarations: Annotated[list[FunctionDeclaration], Meta(min_length=1)]


class CallingConfig(Strict):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"]
    allowed_function_names: Annotated[list[str], Meta(min_length=1)] | None = None


class ToolConfig(Strict):
    function_calling_config: CallingConfig


class SafetySetting(Strict):
    category: Annotated[str, Meta(pattern="^HARM_CATEGORY_")]
    threshold: Literal["BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE", "OFF"]


class ThinkingConfig(Strict):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[int, Meta(ge=-1)] | None = None
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None


class GenerationConfig(Strict):
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    candidate_count: Annotated[int, Meta(ge=1, le=8)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=5)] | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[int, Meta(ge=1, le=20)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] | None = None
    response_mime_type: Literal["text/plain", "application/json"] | None = None
    response_json_schema: Any = None
    media_resolution: Literal["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"] | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateContent(Strict):
    contents: Annotated[list[Content], Meta(min_length=1)]
    system_instruction: Instruction | None = None
    tools: Annotated[list[Tool], Meta(min_length=1)] | None = None
    tool_config: ToolConfig | None = None
    safety_settings: list[SafetySetting] | None = None
    generation_config: GenerationConfig | None = None
    cached_content: Annotated[str, Meta(pattern="^cachedContents/")] | None = None
    service_tier: Literal["unspecified", "standard", "flex", "priority"] | None = None
    store: bool | None = None


class EmbedPart(Strict):
    text: Annotated[str, Meta(min_length=1)]


class EmbedContent(Strict):
    parts: Annotated[list[EmbedPart], Meta(min_length=1)]


class EmbedRequest(Strict):
    model: Annotated[str, Meta(pattern="^models/")]
    content: EmbedContent
    output_dimensionality: Annotated[int, Meta(ge=1)] | None = None
    task_type: Annotated[str, Meta(pattern="^[A-Z_]+$")] | None = None
    title: str | None = None


class BatchEmbedContents(Strict):
    requests: Annotated[list[EmbedRequest], Meta(min_length=1, max_length=100)]


_GENERATE = re.compile(r"^/v1beta/models/(?P<model>[^/:]+):(generateContent|streamGenerateContent\?alt=sse)$")
_EMBED = re.compile(r"^/v1beta/models/(?P<model>[^/:]+):batchEmbedContents$")
_LIST = re.compile(r"^/v1beta/models\?pageSize=\d+(&pageToken=[^&]+)?$")


class Gemini(Vendor):
    """A scripted vendor that refuses, and remembers in `violations`, what the documentation does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.violations: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        wrong = _violation(request.method, request.path_qs, request.headers, await request.read())
        if wrong is None:
            return await super().handle(request)
        self.violations.append(wrong)
        return web.json_response(error(400, wrong, "INVALID_ARGUMENT"), status=400)

    def script_answers(self, *answers: Any) -> None:
        """Answer each request with one of these values, as JSON with Google's line breaks."""
        self.script(*(Answer(json.dumps(answer, indent=2).encode()) for answer in answers))

    def script_stream(self, *answers: Any, **options: Any) -> None:
        """Stream these values as events, one a packet."""
        self.script(Stream([sse(answer) for answer in answers], **options))


@asynccontextmanager
async def running_gemini() -> AsyncIterator[Gemini]:
    """Yield a Gemini on loopback; a request against the documentation fails the test that made it."""
    gemini = Gemini()
    async with running_vendor(gemini):
        yield gemini
    assert gemini.violations == []


def sse(answer: Any) -> bytes:
    """Frame one event as Google does: CRLF."""
    return b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"


def candidate(*parts: Any, finish: str | None = "STOP", index: int = 0, **fields: Any) -> dict[str, Any]:
    """One candidate; as in proto3 JSON, index 0 is not said."""
    shown: dict[str, Any] = {"content": {"parts": [{"text": p} if isinstance(p, str) else p for p in parts]}, **fields}
    shown["content"]["role"] = "model"
    if finish:
        shown["finishReason"] = finish
    return {**shown, "index": index} if index else shown


USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}


def answer(*candidates: Any, usage: Mapping[str, Any] | None = USAGE, **fields: Any) -> dict[str, Any]:
    """A `GenerateContentResponse`, whole or one event."""
    shown: dict[str, Any] = {"modelVersion": "gemini-2.5-flash", "responseId": "resp-1", **fields}
    if candidates:
        shown["candidates"] = list(candidates)
    if usage is not None:
        shown["usageMetadata"] = usage
    return shown


def call_part(name: str, arguments: Mapping[str, Any], signature: str | None = None, **fields: Any) -> dict[str, Any]:
    """A part with a function call."""
    part: dict[str, Any] = {"functionCall": {"name": name, "args": arguments, **fields}}
    return {**part, "thoughtSignature": signature} if signature else part


def error(code: int, message: str, status: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    """An error body; details are given without the prefix of their type."""
    typed = [{**detail, "@type": "type.googleapis.com/google.rpc." + detail["@type"]} for detail in details]
    said: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": {**said, "details": typed} if typed else said}


def _violation(method: str, path: str, headers: Mapping[str, str], body: bytes) -> str | None:
    if headers.get("x-goog-api-key") != KEY or "authorization" in headers:
        return "the key has to come in x-goog-api-key, and nowhere else"
    if method == "GET":
        return None if _LIST.match(path) else f"GET {path} does not exist"
    if headers.get("content-type") != "application/json":
        return "the body has to be application/json"
    try:
        if match := _GENERATE.match(path):
            return _generate_violation(msgspec.json.decode(body, type=GenerateContent), match["model"])
        if match := _EMBED.match(path):
            batch = msgspec.json.decode(body, type=BatchEmbedContents)
            wrong = [one.model for one in batch.requests if one.model != f"models/{match['model']}"]
            return f"{wrong[0]} is not the model of the path" if wrong else None
    except msgspec.DecodeError as exc:
        return str(exc)
    return f"POST {path} does not exist"


def _generate_violation(request: GenerateContent, model: str) -> str | None:
    for content in request.contents:
        for part in content.parts:
            if wrong := _part_violation(part, content.role):
                return wrong
    if wrong := _turns_violation(request.contents, signed=model.startswith("gemini-3")):
        return wrong
    config = request.generation_config or GenerationConfig()
    if config.response_json_schema is not None and config.response_mime_type != "application/json":
        return "responseJsonSchema needs responseMimeType application/json"
    if config.logprobs is not None and not config.response_logprobs:
        return "logprobs needs responseLogprobs"
    thinking = config.thinking_config or ThinkingConfig()
    if thinking.thinking_budget is not None and thinking.thinking_level is not None:
        return "thinkingBudget and thinkingLevel exclude each other"
    if thinking.thinking_level is not None and not model.startswith("gemini-3"):
        return f"{model} has no thinkingLevel"
    return _tools_violation(request)


def _part_violation(part: Part, role: str) -> str | None:
    kinds = [part.text, part.inline_data, part.file_data, part.function_call, part.function_response]
    if sum(kind is not None for kind in kinds) != 1:
        return "a part holds exactly one kind of data"
    if part.function_call is not None and role != "model":
        return "functionCall is the model's"
    if part.function_response is not None:
        if role != "user":
            return "functionResponse is the user's"
        if _has_reference(part.function_response.response):
            return "the referenced name in function_response.response does not match to a display_name"
    if part.inline_data is not None:
        try:
            binascii.a2b_base64(part.inline_data.data, strict_mode=True)
        except ValueError:
            return "inlineData.data is not base64"
    return None


def _has_reference(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("$ref"), str) or any(_has_reference(child) for child in value.values())
    return isinstance(value, list) and any(_has_reference(child) for child in value)


def _turns_violation(contents: list[Content], *, signed: bool) -> str | None:
    asked: list[FunctionCall] = []
    for content in contents:
        results = [part.function_response for part in content.parts if part.function_response]
        if len(results) != len(asked):
            return "the number of function response parts is not that of the function call parts of the turn before"
        if [(one.id, one.name) for one in results] != [(one.id, one.name) for one in asked]:
            return "function responses do not match the calls"
        asked = [part.function_call for part in content.parts if part.function_call]
        first = next((part for part in content.parts if part.function_call), None)
        if signed and first is not None and not first.thought_signature:
            return "function call is missing a thought_signature"
    return "function calls without responses" if asked else None


def _tools_violation(request: GenerateContent) -> str | None:
    names = [one.name for tool in request.tools or () for one in tool.function_declarations]
    if len(set(names)) != len(names):
        return "duplicate function declaration"
    if request.tool_config is None:
        return None
    calling = request.tool_config.function_calling_config
    if not names:
        return "toolConfig without tools"
    allowed = calling.allowed_function_names
    if allowed is not None and calling.mode not in {"ANY", "VALIDATED"}:
        return "allowedFunctionNames needs the mode ANY or VALIDATED"
    return None if set(allowed or ()) <= set(names) else "allowedFunctionNames has an unknown name"
