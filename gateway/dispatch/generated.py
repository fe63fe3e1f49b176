"""How many tokens an answer holds whose vendor did not say, or which broke off."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from gateway.providers.base import Block
from gateway.providers.tokens import count_tokens
from gateway.wire.sse import payloads


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None
    custom: dict[str, Any] | None = None


class _Said(msgspec.Struct):
    """What a delta of a stream and the message of a whole answer have in common."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None

    def texts(self) -> Iterator[str]:
        """Yield the texts that were generated."""
        for text in (self.content, self.refusal, self.reasoning_content or self.reasoning):
            if text:
                yield text
        for call in self.tool_calls or ():
            if call.function is not None:
                yield (call.function.name or "") + (call.function.arguments or "")
            elif call.custom is not None:
                yield "".join(value for value in call.custom.values() if isinstance(value, str))


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_DECODER: Final = msgspec.json.Decoder(_Answer)


def generated_in_stream(blocks: Iterable[Block]) -> int:
    """Return the tokens in the deltas of `blocks`, counted with o200k_base.

    A vendor with another vocabulary may have sent more tokens than that, but at least one a delta with text.
    """
    texts: dict[int, list[str]] = {}
    deltas = 0
    for block in blocks:
        for payload in payloads(block):
            for choice in _choices(payload):
                said = [text for text in choice.delta.texts() if text] if choice.delta is not None else []
                texts.setdefault(choice.index, []).extend(said)
                deltas += bool(said)
    return max(deltas, sum(count_tokens("".join(said)) for said in texts.values()))


def generated_in_answer(body: bytes) -> int:
    """Return the tokens in the messages of a whole `chat.completion`, counted with o200k_base."""
    return sum(
        count_tokens(text) for choice in _choices(body) if choice.message is not None for text in choice.message.texts()
    )


def _choices(payload: bytes) -> list[_Choice]:
    try:
        return _DECODER.decode(payload).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
