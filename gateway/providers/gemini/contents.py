"""A conversation as Gemini's `systemInstruction` and `contents`.

Source: the Generative Language API, `Content` and `Part`, and its guide to function calling: the results of one turn's
calls stand together in the content after it, as many as there were calls.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct
from yarl import URL

from gateway.errors import InvalidRequest
from gateway.providers.gemini.media import JsonPart, audio_part, file_part, url_part
from gateway.providers.parameters import Parameters
from gateway.wire.chat import (
    AssistantMessage,
    AudioPart,
    CustomToolCall,
    DeveloperMessage,
    FilePart,
    FunctionMessage,
    FunctionToolCall,
    ImagePart,
    Message,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from gateway.wire.parse import parse

NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""Stands for a signature that never was (a call by another vendor's model), as Google's guide to them says."""


class Conversation(NamedTuple):
    """`system` is the parts of the system instruction, `contents` the turns; `details` what images ask for."""

    system: list[JsonPart]
    contents: list[dict[str, Any]]
    details: set[str | None]


def conversation(
    messages: Sequence[Message], parameters: Parameters, base_url: URL, *, needs_signatures: bool
) -> Conversation:
    """Translate the messages.

    `needs_signatures` is whether the model refuses calls without a thought signature. Raises InvalidRequest, with the
    exact path in `param`.
    """
    turns = _Turns(parameters, base_url, needs_signatures=needs_signatures)
    for at, message in enumerate(messages):
        turns.add(message, f"messages[{at}]")
    turns.require_results()
    if not turns.contents:
        raise InvalidRequest(
            "Invalid value for 'messages': Gemini needs at least one message with content beside system messages.",
            param="messages",
        )
    return Conversation(turns.system, turns.contents, turns.details)


class _Turns:
    def __init__(self, parameters: Parameters, base_url: URL, *, needs_signatures: bool) -> None:
        self.system: list[JsonPart] = []
        self.contents: list[dict[str, Any]] = []
        self.details: set[str | None] = set()
        self._parameters = parameters
        self._base_url = base_url
        self._needs_signatures = needs_signatures
        self._asked = ""
        self._names: dict[str, str] = {}
        self._results: dict[str, JsonPart] = {}
        self._closed = False

    def add(self, message: Message, path: str) -> None:
        if isinstance(message, ToolMessage):
            self._add_result(message, path)
            return
        if not isinstance(message, FunctionMessage) and message.name:
            self._parameters.unsupported(f"{path}.name")
        if isinstance(message, SystemMessage | DeveloperMessage):
            self.system += _texts(message.content)
            return
        self.require_results()
        if isinstance(message, UserMessage):
            self._append("user", self._user_parts(message, path))
        elif isinstance(message, AssistantMessage):
            self._append("model", self._assistant_parts(message, path))
        else:
            raise _replaced(f"{path}.role", "messages of the role 'tool'")

    def require_results(self) -> None:
        """Refuse a turn whose calls have no results yet."""
        missing = [call for call in self._names if call not in self._results]
        if missing:
            raise InvalidRequest(
                f"Invalid value for '{self._asked}': no 'tool' message answers the call '{missing[0]}'.",
                param=self._asked,
            )

    def _append(self, role: str, parts: list[JsonPart]) -> None:
        """Add a turn; one of the role that spoke last continues its turn, as Gemini wants roles to alternate."""
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role and not self._closed:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})
        self._closed = False

    def _user_parts(self, message: UserMessage, path: str) -> list[JsonPart]:
        if isinstance(message.content, str):
            return _texts(message.content)
        parts = []
        for at, part in enumerate(message.content):
            where = f"{path}.content[{at}]"
            match part:
                case TextPart():
                    parts += _texts(part.text)
                case ImagePart():
                    self.details.add(part.image_url.detail)
                    parts.append(url_part(part.image_url.url, f"{where}.image_url.url"))
                case AudioPart():
                    parts.append(audio_part(part.input_audio, f"{where}.input_audio"))
                case FilePart():
                    parts.append(file_part(part.file, f"{where}.file", self._base_url))
        return parts

    def _assistant_parts(self, message: AssistantMessage, path: str) -> list[JsonPart]:
        if message.function_call is not None:
            raise _replaced(f"{path}.function_call", f"'{path}.tool_calls'")
        if message.audio is not None:
            self._parameters.unsupported(f"{path}.audio")
        parts = []
        if isinstance(message.content, list):
            for part in message.content:
                parts += _texts(part.text if isinstance(part, TextPart) else part.refusal)
        else:
            parts += _texts(message.content)
        parts += _texts(message.refusal)
        self._asked, self._names, self._results = f"{path}.tool_calls", {}, {}
        for at, call in enumerate(message.tool_calls or ()):
            where = f"{path}.tool_calls[{at}]"
            if isinstance(call, CustomToolCall):
                raise InvalidRequest(
                    f"Unsupported parameter: '{where}.type': Gemini has function tools only.",
                    param=f"{where}.type",
                    code="unsupported_parameter",
                )
            if call.id in self._names:
                raise InvalidRequest(f"Invalid value for '{where}.id': another call has this id.", param=f"{where}.id")
            self._names[call.id] = call.function.name
            parts.append(self._call_part(call, where, first=at == 0))
        return parts

    def _call_part(self, call: FunctionToolCall, path: str, *, first: bool) -> JsonPart:
        arguments = _object(call.function.arguments or "{}")
        if arguments is None:
            where = f"{path}.function.arguments"
            raise InvalidRequest(f"Invalid value for '{where}': expected a JSON object as text.", param=where)
        part: JsonPart = {"functionCall": {"id": call.id, "name": call.function.name, "args": arguments}}
        signature = _signature(call, path)
        if signature is None and first and self._needs_signatures:
            signature = NO_SIGNATURE
        if signature is not None:
            part["thoughtSignature"] = signature
        return part

    def _add_result(self, message: ToolMessage, path: str) -> None:
        call = message.tool_call_id
        if call not in self._names or call in self._results:
            what = "it has a result already" if call in self._results else "no tool call before it has this id"
            where = f"{path}.tool_call_id"
            raise InvalidRequest(f"Invalid value for '{where}': {what}.", param=where)
        text = "".join(part["text"] for part in _texts(message.content))
        self._results[call] = {"functionResponse": {"id": call, "name": self._names[call], "response": _response(text)}}
        if len(self._results) == len(self._names):
            self._closed = True
            self._append("user", [self._results[one] for one in self._names])
            self._closed = True


class _Google(Struct):
    thought_signature: str | None = None


class _ExtraContent(Struct):
    google: _Google | None = None


_EXTRA: Final = msgspec.json.Decoder(_ExtraContent | None)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])


def _signature(call: FunctionToolCall, path: str) -> str | None:
    if not isinstance(call.extra_content, Raw):
        return None
    try:
        extra = parse(bytes(call.extra_content), _EXTRA)
    except InvalidRequest as exc:
        where = f"{path}.extra_content" + (f".{exc.param}" if exc.param else "")
        raise InvalidRequest(f"Invalid type for '{where}'.", param=where, code="invalid_type") from None
    return extra.google.thought_signature if extra and extra.google else None


def _texts(content: str | Sequence[TextPart] | None) -> list[JsonPart]:
    """Return one part a text; Gemini refuses empty ones."""
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [{"text": part.text} for part in content or () if part.text]


def _response(text: str) -> Raw | dict[str, Any]:
    """Return a tool's result as the object that Gemini wants: itself if it is one, otherwise under `result`.

    A text with the key `$ref` stays a text: in an object Gemini takes it for the name of an attached part.
    """
    if "$ref" not in text and "\\u0024" not in text:
        result = _object(text)
        if result is not None:
            return result
        if _holds(text, _LIST):
            return {"result": Raw(text.encode())}
    return {"result": text}


def _object(text: str) -> Raw | None:
    """Return the JSON object in `text` as it stands, so that no number or order of keys changes; None for all else."""
    return Raw(text.encode()) if _holds(text, _OBJECT) else None


def _holds(text: str, decoder: msgspec.json.Decoder[Any]) -> bool:
    try:
        decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def _replaced(param: str, by: str) -> InvalidRequest:
    return InvalidRequest(
        f"Unsupported parameter: '{param}' is deprecated; use {by}.", param=param, code="unsupported_parameter"
    )
