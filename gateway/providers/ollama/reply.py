"""Ollama's answers to OpenAI's: a whole one to a `chat.completion`, lines of JSON to a stream of chunks.

`thinking` becomes `reasoning_content`, `eval_count` and `prompt_eval_count` the usage, and the calls of a stream, which
come whole, get running indexes. Durations have no place in OpenAI's format and are left out.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.errors import GatewayError, ProviderError
from gateway.providers.base import Block, ProviderCompletion
from gateway.providers.ollama import wire
from gateway.providers.upstream import stream_error, without
from gateway.wire.completion import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    FunctionCallDelta,
    FunctionCallReply,
    Logprobs,
    Reply,
    ToolCallDelta,
    ToolCallReply,
)
from gateway.wire.sse import DONE, event

_LINE: Final = msgspec.json.Decoder(wire.Line)


def completion(provider: str, answer: bytes, model: str, secrets: Sequence[bytes]) -> ProviderCompletion:
    """Return the whole answer. Raises ProviderError, or the row of an error inside it, without `secrets`."""
    line = _read(provider, answer, secrets)
    if not line.done or line.message is None:
        raise ProviderError(f"Provider '{provider}' sent an answer that is not complete.")
    message = line.message
    calls = [
        ToolCallReply(id=_call_id(call), function=FunctionCallReply(call.function.name, _arguments(call)))
        for call in message.tool_calls or ()
    ]
    usage = wire.usage(line.prompt_eval_count, line.eval_count)
    body = Completion(
        id=_completion_id(),
        created=int(time.time()),
        model=line.model or model,
        choices=[
            Choice(
                index=0,
                message=Reply(
                    content=message.content or (None if calls else ""),
                    reasoning_content=message.thinking or UNSET,
                    tool_calls=calls or UNSET,
                ),
                logprobs=Logprobs(line.logprobs) if line.logprobs else None,
                finish_reason=_finish_reason(line, called=bool(calls)),
            )
        ],
        usage=usage or UNSET,
    )
    return ProviderCompletion(msgspec.json.encode(body), usage)


class ReplyStream:
    """Turns the bytes of one streamed answer into blocks.

    `done` tells that the last block has been made; `failure` is the row of an error that Ollama sent, to be raised
    after the block made with it.
    """

    def __init__(self, provider: str, model: str, secrets: Sequence[bytes]) -> None:
        self.done = False
        self.failure: GatewayError | None = None
        self._provider = provider
        self._model = model
        self._secrets = secrets
        self._id = _completion_id()
        self._created = int(time.time())
        self._tail = b""
        self._started = False
        self._calls = 0

    def feed(self, data: bytes) -> Block:
        """Return the chunks of the lines that `data` completes, as one block; empty when there are none."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        return self._block(lines)

    def end(self) -> Block:
        """Return the chunks of what came last, with no line feed after it."""
        return self._block([self._tail])

    def _block(self, lines: Sequence[bytes]) -> Block:
        events = []
        for text in lines:
            if not text.strip():
                continue
            try:
                line = _read(self._provider, text, self._secrets)
            except GatewayError as error:
                self.failure = error
                break
            events += [event(msgspec.json.encode(chunk)) for chunk in self._chunks(line)]
            if line.done:
                self.done = True
                events.append(DONE)
                break
        return b"".join(events)

    def _chunks(self, line: wire.Line) -> Iterator[Chunk]:
        self._model = line.model or self._model
        message = line.message or wire.ReplyMessage()
        calls = [self._call(call) for call in message.tool_calls or ()]
        if not self._started:
            self._started = True
            content = None if calls and not message.content else ""
            yield self._chunk(Delta(role="assistant", content=content, refusal=None))
        if message.content or message.thinking or calls or line.logprobs:
            delta = Delta(
                content=message.content or UNSET, reasoning_content=message.thinking or UNSET, tool_calls=calls or UNSET
            )
            yield self._chunk(delta, logprobs=Logprobs(line.logprobs) if line.logprobs else UNSET)
        if line.done:
            yield self._chunk(Delta(), finish_reason=_finish_reason(line, called=self._calls > 0))
            usage = wire.usage(line.prompt_eval_count, line.eval_count)
            if usage is not None:
                yield Chunk(id=self._id, created=self._created, model=self._model, choices=[], usage=usage)

    def _chunk(
        self, delta: Delta, *, logprobs: Logprobs | UnsetType = UNSET, finish_reason: str | None = None
    ) -> Chunk:
        choice = ChunkChoice(index=0, delta=delta, logprobs=logprobs, finish_reason=finish_reason)
        return Chunk(id=self._id, created=self._created, model=self._model, choices=[choice])

    def _call(self, call: wire.ToolCall) -> ToolCallDelta:
        index, self._calls = self._calls, self._calls + 1
        function = FunctionCallDelta(name=call.function.name, arguments=_arguments(call))
        return ToolCallDelta(index=index, id=_call_id(call), type="function", function=function)


def _read(provider: str, text: bytes, secrets: Sequence[bytes]) -> wire.Line:
    try:
        line = _LINE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProviderError(f"Provider '{provider}' sent an answer that is not Ollama's.") from exc
    if line.error:
        raise stream_error(provider, without(secrets, text))
    if line.message is None and not line.done:
        raise ProviderError(f"Provider '{provider}' sent an answer without a message.")
    return line


def _arguments(call: wire.ToolCall) -> str:
    return msgspec.json.encode(call.function.arguments).decode()


def _call_id(call: wire.ToolCall) -> str:
    """Return Ollama's own id; older releases send none."""
    return call.id or "call_" + uuid.uuid4().hex[:24]


def _completion_id() -> str:
    return "chatcmpl-" + uuid.uuid4().hex[:24]


def _finish_reason(line: wire.Line, *, called: bool) -> str:
    if line.done_reason == "length":
        return "length"
    return "tool_calls" if called else "stop"
