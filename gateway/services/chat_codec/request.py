"""A chat request of the contract as the JSON body that a JSON caller would send.

Fields have OpenAI's names, so a set field is sent under its own name, and a required one that is unset is left out:
`gateway.wire.chat` judges the body like any other. Refused here is only what the body could not show.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from google.protobuf.message import Message

from gateway.errors import InvalidRequest
from gateway.services.json_text import extra_fields, raw_json
from llmgateway.v1 import chat_message_pb2, chat_option_pb2, chat_request_pb2, chat_tool_call_pb2, chat_tool_pb2

_Convert = Callable[[Any, str], Any]

_TAKEN: Final = {*chat_request_pb2.ChatCompletionRequest.DESCRIPTOR.fields_by_name, "stream", "stream_options"}

_ROLES: Final[Mapping[int, str]] = {
    chat_message_pb2.ROLE_SYSTEM: "system",
    chat_message_pb2.ROLE_DEVELOPER: "developer",
    chat_message_pb2.ROLE_USER: "user",
    chat_message_pb2.ROLE_ASSISTANT: "assistant",
    chat_message_pb2.ROLE_TOOL: "tool",
}
_NAMED: Final = frozenset({"role", "content", "name"})
_ROLE_FIELDS: Final = {
    "system": _NAMED,
    "developer": _NAMED,
    "user": _NAMED,
    "assistant": _NAMED | {"tool_calls", "refusal", "audio", "reasoning_content"},
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
_MODES: Final[Mapping[int, str]] = {
    chat_tool_pb2.ToolChoice.MODE_NONE: "none",
    chat_tool_pb2.ToolChoice.MODE_AUTO: "auto",
    chat_tool_pb2.ToolChoice.MODE_REQUIRED: "required",
}
_CALL_TEXT: Final = {"function": "arguments", "custom": "input"}


def chat_request_body(
    chat: chat_request_pb2.ChatCompletionRequest,
    *,
    stream: bool = False,
    include_usage: bool = False,
    include_obfuscation: bool | None = None,
) -> bytes:
    """Return the JSON body of `chat`, with the fields that are set and no others.

    Raises InvalidRequest for a `*_json` text that is not JSON, an extra field that clashes, a number that is not
    finite, and a field that the message's role does not have; `param` is the path of the field in the contract.
    """
    body: dict[str, Any] = {}
    for field, value in chat.ListFields():
        name = field.name
        convert = _CHAT_FIELDS.get(name)
        body[name] = value if convert is None else convert(value, name)
    extra = body.pop("extra_body_json", "")
    if stream:
        body["stream"] = True
        options: dict[str, bool] = {"include_usage": True} if include_usage else {}
        if include_obfuscation is not None:
            options["include_obfuscation"] = include_obfuscation
        if options:
            body["stream_options"] = options
    if extra:
        body |= extra_fields(extra, _TAKEN)
    return msgspec.json.encode(body)


def _messages(messages: Iterable[chat_message_pb2.ChatMessage], path: str) -> list[dict[str, Any]]:
    return [_message(message, f"{path}[{i}]") for i, message in enumerate(messages)]


def _message(message: chat_message_pb2.ChatMessage, path: str) -> dict[str, Any]:
    role = _ROLES.get(message.role)
    body: dict[str, Any] = {}
    for field, value in message.ListFields():
        name = field.name
        if role is not None and name not in _ROLE_FIELDS[role]:
            where = f"{path}.{name}"
            raise InvalidRequest(
                f"Unknown parameter: '{where}'. Messages of the role '{role}' do not have it.",
                param=where,
                code="unknown_parameter",
            )
        convert = _MESSAGE_FIELDS.get(name)
        body[name] = value if convert is None else convert(value, f"{path}.{name}")
    if role is None:
        body.pop("role", None)
    else:
        body["role"] = role
    if role != "assistant":
        body.setdefault("content", "")
    return body


def _content(parts: Any, _: str) -> str | list[dict[str, Any]]:
    if len(parts) == 1:
        part = parts[0]
        if part.WhichOneof("part") == "text" and not part.HasField("prompt_cache_breakpoint"):
            return str(part.text)
    return [_part(part) for part in parts]


def _part(part: chat_message_pb2.ContentPart) -> dict[str, Any]:
    body: dict[str, Any] = {}
    kind = part.WhichOneof("part")
    if kind is not None:
        value = getattr(part, kind)
        body["type"] = kind
        body[kind] = value if isinstance(value, str) else _fields(value)
    if part.HasField("prompt_cache_breakpoint"):
        body["prompt_cache_breakpoint"] = {"mode": part.prompt_cache_breakpoint.mode or "explicit"}
    return body


def _tool_calls(calls: Iterable[chat_tool_call_pb2.ToolCall], path: str) -> list[dict[str, Any]]:
    return [_tool_call(call, f"{path}[{i}]") for i, call in enumerate(calls)]


def _tool_call(call: chat_tool_call_pb2.ToolCall, path: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if call.id:
        body["id"] = call.id
    kind = call.WhichOneof("call")
    if kind is not None:
        called = _fields(getattr(call, kind))
        called.setdefault(_CALL_TEXT[kind], "")
        body["type"] = kind
        body[kind] = called
    if call.extra_content_json:
        body["extra_content"] = raw_json(call.extra_content_json, f"{path}.extra_content_json")
    return body


def _tools(tools: Iterable[chat_tool_pb2.Tool], path: str) -> list[dict[str, Any]]:
    return [_tool(tool, f"{path}[{i}]") for i, tool in enumerate(tools)]


def _tool(tool: chat_tool_pb2.Tool, path: str) -> dict[str, Any]:
    kind = tool.WhichOneof("tool")
    if kind is None:
        return {}
    body = _fields(getattr(tool, kind))
    if "parameters_json" in body:
        body["parameters"] = raw_json(body.pop("parameters_json"), f"{path}.function.parameters_json")
    if "grammar" in body:
        body["format"] = {"type": "grammar", "grammar": _fields(body.pop("grammar"))}
    return {"type": kind, kind: body}


def _tool_choice(choice: chat_tool_pb2.ToolChoice, _: str) -> str | dict[str, Any]:
    kind = choice.WhichOneof("choice")
    if kind is None:
        return {}
    if kind == "mode":
        return _MODES.get(choice.mode, {})
    if kind == "allowed_tools":
        return {"type": kind, kind: _allowed_tools(choice.allowed_tools)}
    return _named(kind, getattr(choice, kind))


def _allowed_tools(allowed: chat_tool_pb2.AllowedTools) -> dict[str, Any]:
    body: dict[str, Any] = {}
    mode = _MODES.get(allowed.mode)
    if mode is not None and mode != "none":
        body["mode"] = mode
    if allowed.tools:
        body["tools"] = [
            _named(kind, getattr(tool, kind)) if (kind := tool.WhichOneof("tool")) else {} for tool in allowed.tools
        ]
    return body


def _named(field: str, name: str) -> dict[str, Any]:
    kind = field.removesuffix("_name")
    return {"type": kind, kind: {"name": name}}


def _response_format(response_format: chat_option_pb2.ResponseFormat, path: str) -> dict[str, Any]:
    kind = response_format.WhichOneof("format")
    if kind is None:
        return {}
    if kind != "json_schema":
        return {"type": kind}
    body = _fields(response_format.json_schema)
    if "schema_json" in body:
        body["schema"] = raw_json(body.pop("schema_json"), f"{path}.json_schema.schema_json")
    return {"type": kind, kind: body}


def _audio(audio: chat_option_pb2.AudioOptions, _: str) -> dict[str, Any]:
    body = _fields(audio)
    if "voice_id" in body:
        body["voice"] = {"id": body.pop("voice_id")}
    return body


def _prediction(prediction: chat_option_pb2.Prediction, _: str) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "content"}
    texts = list(prediction.content)
    if texts:
        body["content"] = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    return body


def _web_search_options(options: chat_option_pb2.WebSearchOptions, _: str) -> dict[str, Any]:
    body = _fields(options)
    if "user_location" in body:
        body["user_location"] = {"type": "approximate", "approximate": _fields(body["user_location"])}
    return body


def _moderation(options: chat_option_pb2.ModerationOptions, _: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": options.model} if options.model else {}
    modes = {"input": options.input_mode, "output": options.output_mode}
    policy = {side: {"mode": mode} for side, mode in modes.items() if mode}
    if policy:
        body["policy"] = policy
    return body


def _fields(message: Message) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def _object(message: Message, _: str) -> dict[str, Any]:
    return _fields(message)


def _list(values: Iterable[str], _: str) -> list[str]:
    return list(values)


def _map(values: Mapping[str, Any], _: str) -> dict[str, Any]:
    return dict(values)


def _number(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise InvalidRequest(f"Invalid value for '{path}': expected a finite number.", param=path)
    return value


_CHAT_FIELDS: Final[Mapping[str, _Convert]] = {
    "messages": _messages,
    "temperature": _number,
    "top_p": _number,
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "stop": _list,
    "logit_bias": _map,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "modalities": _list,
    "audio": _audio,
    "prediction": _prediction,
    "web_search_options": _web_search_options,
    "prompt_cache_options": _object,
    "metadata": _map,
    "moderation": _moderation,
}
"""The fields whose JSON is not simply their value."""

_MESSAGE_FIELDS: Final[Mapping[str, _Convert]] = {
    "content": _content,
    "tool_calls": _tool_calls,
    "audio": _object,
}
