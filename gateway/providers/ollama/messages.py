"""OpenAI's messages to Ollama's.

Ollama knows the roles system, user, assistant and tool, one text a message, and images beside it. What it cannot be
told raises InvalidRequest with the path of the field.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from gateway.errors import InvalidRequest
from gateway.providers.ollama import wire
from gateway.providers.parameters import Parameters
from gateway.wire.chat import (
    AssistantMessage,
    AudioPart,
    CustomToolCall,
    DeveloperMessage,
    FilePart,
    FunctionCall,
    FunctionMessage,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)

_ARGUMENTS: Final = msgspec.json.Decoder(dict[str, Raw])


def vendor_messages(messages: Sequence[Message], parameters: Parameters) -> list[wire.Message]:
    """Return the messages as Ollama takes them. Raises InvalidRequest."""
    tool_names: dict[str, str] = {}
    return [_message(message, f"messages[{index}]", tool_names, parameters) for index, message in enumerate(messages)]


def _message(message: Message, path: str, tool_names: dict[str, str], parameters: Parameters) -> wire.Message:
    """Translate one message; `tool_names` learns the calls it makes, by id, for the results that follow."""
    match message:
        case SystemMessage() | DeveloperMessage():
            _refuse_name(message.name, path, parameters)
            return wire.Message(role="system", content=_text(message.content))
        case UserMessage():
            _refuse_name(message.name, path, parameters)
            return _user(message, path)
        case AssistantMessage():
            _refuse_name(message.name, path, parameters)
            return _assistant(message, path, tool_names)
        case ToolMessage():
            if message.tool_call_id not in tool_names:
                raise InvalidRequest(
                    f"No tool call before '{path}' has the id of its result.", param=f"{path}.tool_call_id"
                )
            return wire.Message(
                role="tool",
                content=_text(message.content),
                tool_name=tool_names[message.tool_call_id],
                tool_call_id=message.tool_call_id,
            )
        case FunctionMessage():
            return wire.Message(role="tool", content=message.content or "", tool_name=message.name)


def _refuse_name(name: str | None, path: str, parameters: Parameters) -> None:
    if name is not None:
        parameters.unsupported(f"{path}.name")


def _user(message: UserMessage, path: str) -> wire.Message:
    if isinstance(message.content, str):
        return wire.Message(role="user", content=message.content)
    images = []
    for index, part in enumerate(message.content):
        where = f"{path}.content[{index}]"
        match part:
            case ImagePart():
                images.append(_image(part.image_url.url, f"{where}.image_url.url"))
            case AudioPart():
                # Models that hear take audio in the same list, as Ollama's own OpenAI endpoint hands it to them.
                images.append(_base64(part.input_audio.data, f"{where}.input_audio.data"))
            case FilePart():
                raise InvalidRequest(
                    f"Unsupported content: Ollama takes no files, so '{where}' cannot be sent.",
                    param=where,
                    code="unsupported_parameter",
                )
    return wire.Message(role="user", content=_text(message.content), images=images)


def _assistant(message: AssistantMessage, path: str, tool_names: dict[str, str]) -> wire.Message:
    if message.audio is not None:
        raise InvalidRequest(
            "Unsupported content: Ollama keeps no past audio.", param=f"{path}.audio", code="unsupported_parameter"
        )
    calls = []
    for index, call in enumerate(message.tool_calls or ()):
        where = f"{path}.tool_calls[{index}]"
        if isinstance(call, CustomToolCall):
            raise InvalidRequest(
                "Unsupported tool call: Ollama has function tools only.", param=where, code="unsupported_parameter"
            )
        tool_names[call.id] = call.function.name
        calls.append(wire.ToolCall(id=call.id, function=_function(call.function, f"{where}.function")))
    if message.function_call is not None:
        calls.append(wire.ToolCall(function=_function(message.function_call, f"{path}.function_call")))
    return wire.Message(
        role="assistant",
        content=_text(message.content) or message.refusal or "",
        thinking=message.reasoning_content or "",
        tool_calls=calls,
    )


def _function(call: FunctionCall, path: str) -> wire.FunctionCall:
    try:
        arguments = _ARGUMENTS.decode(call.arguments)
    except msgspec.DecodeError:
        raise InvalidRequest(
            f"Invalid value for '{path}.arguments': expected the text of a JSON object.", param=f"{path}.arguments"
        ) from None
    return wire.FunctionCall(call.name, arguments)


def _text(content: str | Sequence[object] | None) -> str:
    """Return the text of all parts; what has none is translated elsewhere."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
    return "".join(texts)


def _image(url: str, path: str) -> str:
    header, _, data = url.partition(",")
    media_type = header.removeprefix("data:").partition(";")[0]
    if not header.startswith("data:"):
        raise InvalidRequest(
            f"Invalid value for '{path}': Ollama fetches no images; send a 'data:image/...;base64,' URL.", param=path
        )
    if not header.endswith(";base64") or (media_type and not media_type.startswith("image/")):
        raise InvalidRequest(f"Invalid value for '{path}': expected an image in base64.", param=path)
    return _base64(data, path)


def _base64(data: str, path: str) -> str:
    try:
        empty = not base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        empty = True
    if empty:
        raise InvalidRequest(f"Invalid value for '{path}': the data is not valid base64.", param=path)
    return data
