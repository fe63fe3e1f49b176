"""OpenAI's requests to the bodies of Ollama's `/api/chat` and `/api/embed`."""

from collections.abc import Collection
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.config import ProviderSettings
from gateway.errors import InvalidRequest
from gateway.providers.base import ChatCall, EmbeddingCall
from gateway.providers.ollama import wire
from gateway.providers.ollama.messages import vendor_messages
from gateway.providers.parameters import Parameters, forwarded_fields
from gateway.wire.chat import (
    AllowedToolChoice,
    ChatRequest,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedCustom,
    NamedFunction,
)

KNOWN: Final = frozenset(
    {
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "response_format",
        "tools",
        "tool_choice",
    }
)
"""The parameters that can be said to Ollama. `strict` of a tool is left out: it promises what Ollama does not check."""

_SAME_OPTIONS: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")

_THINK: Final[dict[str, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
"""`reasoning_effort` to `think`."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])


def chat_body(call: ChatCall, parameters: Parameters, settings: ProviderSettings, *, streaming: bool) -> bytes:
    """Return the body for `call`.

    Where the operator has unknown fields forwarded, Ollama's own travel on (`keep_alive`, `truncate`), and those of an
    object `options` join the options made here (`num_ctx`). Raises InvalidRequest.
    """
    request = call.request
    more = forwarded_fields(request, call.body, settings)
    parameters.check(request)
    body = wire.ChatRequest(
        model=call.model,
        messages=vendor_messages(request.messages, parameters),
        stream=streaming,
        tools=_tools(request, parameters),
        format=_format(request),
        think=_think(request.reasoning_effort),
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs or 0,
        options=_options(request, settings.max_output_tokens),
    )
    if not more:
        return msgspec.json.encode(body)
    body.options = {**_more_options(more.pop("options", None)), **body.options}
    return _joined(body, more)


def embed_body(call: EmbeddingCall, texts: list[str], settings: ProviderSettings) -> bytes:
    """Return the body of `/api/embed` for `call`, with Ollama's own fields as in `chat_body`. Raises InvalidRequest.

    Without `truncate` Ollama would cut long texts silently; OpenAI refuses them.
    """
    body = wire.EmbedRequest(model=call.model, input=texts, truncate=False, dimensions=call.request.dimensions)
    more = forwarded_fields(call.request, call.body, settings)
    return _joined(body, more) if more else msgspec.json.encode(body)


def _joined(body: Struct, more: dict[str, Raw]) -> bytes:
    return msgspec.json.encode({**_FIELDS.decode(msgspec.json.encode(body)), **more})


def _more_options(options: Raw | None) -> dict[str, Any]:
    try:
        return {} if options is None else msgspec.json.decode(options, type=dict[str, Raw])
    except msgspec.ValidationError:
        raise InvalidRequest("Invalid type for 'options': expected object.", param="options") from None


def _options(request: ChatRequest, output_cap: int | None) -> dict[str, Any]:
    options = {name: value for name in _SAME_OPTIONS if (value := getattr(request, name)) is not None}
    cap = request.output_cap or output_cap
    if cap is not None:
        options["num_predict"] = cap
    if request.stop:
        options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    return options


def _format(request: ChatRequest) -> Raw | str | UnsetType:
    match request.response_format:
        case JsonObjectFormat():
            return "json"
        case JsonSchemaFormat(json_schema=schema):
            return "json" if schema.schema is UNSET else schema.schema
    return UNSET


def _think(effort: str | None) -> bool | str | UnsetType:
    if effort is None:
        return UNSET
    if effort not in _THINK:
        raise InvalidRequest(
            f"Invalid value for 'reasoning_effort': expected one of {', '.join(_THINK)}.", param="reasoning_effort"
        )
    return _THINK[effort]


def _tools(request: ChatRequest, parameters: Parameters) -> list[wire.Tool]:
    """Return the tools that the model may call. A call cannot be forced; which tools there are can be chosen."""
    tools: dict[str, wire.Tool] = {}
    for index, tool in enumerate(request.tools or ()):
        if not isinstance(tool, FunctionTool):
            parameters.unsupported(f"tools[{index}].custom")
            continue
        function = tool.function
        if function.name in tools:
            raise InvalidRequest(
                f"Invalid value for 'tools[{index}].function.name': another tool has that name.",
                param=f"tools[{index}].function.name",
            )
        tools[function.name] = wire.Tool(
            function=wire.Function(
                name=function.name,
                description=function.description or "",
                parameters=UNSET if function.parameters is None else function.parameters,
            )
        )
    allowed = _allowed(request, parameters, tools)
    return [tool for name, tool in tools.items() if name in allowed]


def _allowed(request: ChatRequest, parameters: Parameters, tools: Collection[str]) -> set[str]:
    match request.tool_choice:
        case "none":
            return set()
        case "required":
            parameters.unsupported("tool_choice", "required")
        case NamedFunction(function=function):
            parameters.unsupported("tool_choice", "function")
            return {function.name}
        case NamedCustom():
            parameters.unsupported("tool_choice", "custom")
        case AllowedToolChoice(allowed_tools=allowed):
            if allowed.mode != "auto":
                parameters.unsupported("tool_choice", allowed.mode)
            return {_named(tool) for tool in allowed.tools}
        case str(choice) if choice != "auto":
            raise InvalidRequest(f"Invalid value for 'tool_choice': '{choice}' is not known.", param="tool_choice")
    return set(tools)


def _named(tool: Raw) -> str:
    try:
        return msgspec.json.decode(tool, type=FunctionTool).function.name
    except msgspec.ValidationError:
        raise InvalidRequest(
            "Invalid value for 'tool_choice.allowed_tools.tools': expected function tools.",
            param="tool_choice.allowed_tools.tools",
        ) from None
