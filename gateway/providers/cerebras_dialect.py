"""What Cerebras's requests and answers have different from OpenAI's.

Source: the types of `cerebras-cloud-sdk` and its recorded streams. It refuses fields that it does not know, at every
level; it leaves out fields that are null; it says `reasoning`; its last chunk has the finish reason and the usage in
one. Fields of its own (`time_info`, `reasoning_logprobs`) and its rate limit's headers stay.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.config import ProviderSettings
from gateway.errors import InvalidRequest, ProviderError
from gateway.providers.base import Block
from gateway.providers.parameters import Parameters, forwarded_fields
from gateway.wire.chat import (
    AllowedToolChoice,
    AssistantMessage,
    AudioPart,
    ChatRequest,
    CustomToolCall,
    FilePart,
    FunctionMessage,
    FunctionTool,
    NamedCustom,
    RefusalPart,
    TextPart,
    UserMessage,
)
from gateway.wire.sse import DONE, event, payloads

KNOWN: Final = frozenset(
    {
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "user",
        "prompt_cache_key",
        "service_tier",
        "reasoning_effort",
        "prediction",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
    }
)

_EFFORT: Final = {"minimal": "low", "xhigh": "high", "max": "high"}
"""Efforts that Cerebras does not have, and the nearest that it has."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_RAW_LIST: Final = msgspec.json.Decoder(list[Raw])
_NULL: Final = Raw(b"null")


class CerebrasDialect:
    """Cerebras's dialect, for the provider of this name."""

    def __init__(self, provider: str, settings: ProviderSettings) -> None:
        self._provider = provider
        self._settings = settings
        self._parameters = Parameters(provider, settings.unsupported_parameters, KNOWN)

    def request(self, request: ChatRequest, body: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
        forwarded_fields(request, body, self._settings)
        self._parameters.check(request)
        changes: dict[str, Any] = {}
        drop = self._parameters.missing
        if request.reasoning_effort in _EFFORT:
            changes["reasoning_effort"] = _EFFORT[request.reasoning_effort]
        if request.stream_options and request.stream_options.include_obfuscation is not None:
            changes["stream_options"] = {"include_usage": True}
        if messages := self._messages(request, body):
            changes["messages"] = messages
        if any(not isinstance(tool, FunctionTool) for tool in request.tools or ()):
            changes["tools"] = self._function_tools(request, body)
            if not changes["tools"]:
                drop = (*drop, "tools", "tool_choice", "parallel_tool_calls")
        if isinstance(request.tool_choice, NamedCustom | AllowedToolChoice):
            self._parameters.unsupported("tool_choice")
            drop = (*drop, "tool_choice")
        return changes, drop

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        names = {name: name.lower() for name in headers}
        return {lower: headers[name] for name, lower in names.items() if lower.startswith("x-ratelimit-")}

    def answer(self, body: bytes) -> bytes:
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body
        if not isinstance(answer, dict):
            return body
        for choice in _objects(answer.get("choices")):
            choice.setdefault("logprobs", None)
            choice.setdefault("finish_reason", None)
            message = choice.get("message")
            if isinstance(message, dict):
                message.setdefault("content", None)
                message.setdefault("refusal", None)
                _rename_reasoning(message)
        if isinstance(answer.get("usage"), dict):
            _fill_usage(answer["usage"])
        return msgspec.json.encode(answer)

    def stream(self) -> Callable[[Block], Block]:
        return _StreamPatch(self._provider).patch

    def _messages(self, request: ChatRequest, body: bytes) -> list[Any]:
        """Return the messages in Cerebras's words; empty when they already are."""
        rewritten: dict[int, dict[str, Any]] = {}
        for index, message in enumerate(request.messages):
            path = f"messages[{index}]"
            if isinstance(message, UserMessage) and not isinstance(message.content, str):
                for at, part in enumerate(message.content):
                    if isinstance(part, AudioPart | FilePart):
                        raise self._unsupported(f"{path}.content[{at}]")
            elif isinstance(message, FunctionMessage):
                raise self._unsupported(f"{path}.role")
            elif isinstance(message, AssistantMessage):
                rewritten[index] = self._assistant(message, path)
        if not rewritten:
            return []
        raw = _RAW_LIST.decode(_FIELDS.decode(body)["messages"])
        for index, message_fields in rewritten.items():
            sent = _FIELDS.decode(raw[index])
            if "reasoning" in sent and "reasoning" not in message_fields and sent["reasoning"] != _NULL:
                message_fields["reasoning"] = sent["reasoning"]
        return [rewritten.get(index, text) for index, text in enumerate(raw)]

    def _assistant(self, message: AssistantMessage, path: str) -> dict[str, Any]:
        if message.audio is not None:
            raise self._unsupported(f"{path}.audio")
        if message.function_call is not None:
            raise self._unsupported(f"{path}.function_call")
        fields: dict[str, Any] = {"role": "assistant", "content": _content(message)}
        if message.name is not None:
            fields["name"] = message.name
        if message.reasoning_content is not None:
            fields["reasoning"] = message.reasoning_content
        calls = []
        for index, call in enumerate(message.tool_calls or ()):
            if isinstance(call, CustomToolCall):
                raise self._unsupported(f"{path}.tool_calls[{index}]")
            function = {"name": call.function.name, "arguments": call.function.arguments}
            calls.append({"id": call.id, "type": "function", "function": function})
        if calls:
            fields["tool_calls"] = calls
        return fields

    def _function_tools(self, request: ChatRequest, body: bytes) -> list[Raw]:
        kept = []
        for index, text in enumerate(_RAW_LIST.decode(_FIELDS.decode(body)["tools"])):
            if request.tools and isinstance(request.tools[index], FunctionTool):
                kept.append(text)
            else:
                self._parameters.unsupported(f"tools[{index}]")
        return kept

    def _unsupported(self, path: str) -> InvalidRequest:
        return InvalidRequest(
            f"Unsupported content: provider '{self._provider}' does not take '{path}'.",
            param=path,
            code="unsupported_parameter",
        )


class _StreamPatch:
    """Translates one stream; it remembers which choices have their role, and their calls."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._calls: dict[int, int] = {}

    def patch(self, block: Block) -> Block:
        events = [self._chunk(payload) for payload in payloads(block)]
        if block.endswith(DONE):
            events.append(DONE)
        return b"".join(events)

    def _chunk(self, payload: bytes) -> bytes:
        try:
            chunk = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            raise ProviderError(f"Provider '{self._provider}' sent a chunk that is not JSON.")
        choices = _objects(chunk.get("choices"))
        chunk["choices"] = choices
        for choice in choices:
            self._choice(choice)
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return event(msgspec.json.encode(chunk))
        _fill_usage(usage)
        if not choices:
            return event(msgspec.json.encode(chunk))
        del chunk["usage"]
        names = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
        last = {name: chunk[name] for name in names if name in chunk} | {"choices": [], "usage": usage}
        return event(msgspec.json.encode(chunk)) + event(msgspec.json.encode(last))

    def _choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        if not isinstance(index, int):
            index = choice["index"] = 0
        choice.setdefault("finish_reason", None)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            choice["delta"] = {}
            return
        if index not in self._calls:
            self._calls[index] = 0
            delta.setdefault("role", "assistant")
            delta.setdefault("refusal", None)
            if "content" not in delta:
                delta["content"] = None if delta.get("tool_calls") else ""
        else:
            delta.pop("role", None)
        _rename_reasoning(delta)
        for call in _objects(delta.get("tool_calls")):
            starts = bool(call.get("id"))
            if call.get("index") is None:
                call["index"] = self._calls[index] if starts else max(0, self._calls[index] - 1)
            self._calls[index] += starts


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _rename_reasoning(message: dict[str, Any]) -> None:
    if "reasoning" in message:
        message["reasoning_content"] = message.pop("reasoning")


def _fill_usage(usage: dict[str, Any]) -> None:
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        if usage.get(name) is None:
            usage[name] = 0


def _content(message: AssistantMessage) -> Any:
    """Return the content with refusals, which Cerebras does not know, as text."""
    if message.content is None:
        return message.refusal
    if isinstance(message.content, str):
        return message.content
    return [
        {"type": "text", "text": part.text if isinstance(part, TextPart) else part.refusal}
        for part in message.content
        if isinstance(part, TextPart | RefusalPart)
    ]
