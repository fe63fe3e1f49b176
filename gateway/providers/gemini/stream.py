"""Gemini's stream in OpenAI's words."""

import time

import msgspec
from msgspec import UNSET, Struct

from gateway.errors import ProviderError
from gateway.providers.base import Block, ChatCall
from gateway.providers.gemini.answer import Candidate, read_answer
from gateway.providers.gemini.reply import Said, completion_id, finish_reason, read_logprobs, read_parts, read_usage
from gateway.wire.completion import (
    Chunk,
    ChunkChoice,
    Delta,
    FunctionCallDelta,
    ToolCallDelta,
    ToolCallReply,
    Usage,
)
from gateway.wire.sse import DONE, event


class _Progress(Struct):
    """What one candidate has sent so far."""

    calls: int = 0
    finish_reason: str | None = None


class ChunkWriter:
    """Writes the chunks of one stream.

    Finish reasons and usage wait for the stream's end: Gemini sends both before it is sure to have sent everything,
    and its end is the only sign that it has.
    """

    __slots__ = ("_blocked", "_candidates", "_choices", "_created", "_id", "_model", "_provider", "_usage")

    def __init__(self, provider: str, call: ChatCall) -> None:
        self._provider = provider
        self._choices = call.request.n or 1
        self._created = int(time.time())
        self._model = call.model
        self._id = ""
        self._candidates: dict[int, _Progress] = {}
        self._blocked = False
        self._usage: Usage | None = None

    def take(self, payload: bytes) -> Block:
        """Return the chunks that one event of Gemini's makes; empty when it makes none.

        Raises the row for an event that is an error, ProviderError for one that is no answer.
        """
        answer = read_answer(self._provider, payload)
        if not self._id:
            self._id = completion_id(answer)
            self._model = answer.model_version or self._model
        self._blocked = self._blocked or answer.blocked
        if answer.usage_metadata is not None:
            self._usage = read_usage(answer.usage_metadata)
        return b"".join([self._candidate(candidate) for candidate in answer.candidates or ()])

    def end(self) -> Block:
        """Return the last chunks and `[DONE]`. Raises ProviderError if the stream broke off before its end."""
        block = b""
        if self._blocked and not self._candidates:
            for index in range(self._choices):
                self._candidates[index] = _Progress()
                block += self._role(index, Said())
        if not self._candidates or not all(
            progress.finish_reason or self._blocked for progress in self._candidates.values()
        ):
            raise ProviderError(f"Provider '{self._provider}' broke off its stream.")
        for index, progress in sorted(self._candidates.items()):
            reason = progress.finish_reason or "content_filter"
            block += self._chunk(ChunkChoice(index=index, delta=Delta(), finish_reason=reason))
        if self._usage is not None:
            block += self._chunk(usage=self._usage)
        return block + DONE

    def _candidate(self, candidate: Candidate) -> Block:
        index = candidate.index
        said = read_parts(candidate.content.parts or [] if candidate.content else [])
        progress = self._candidates.get(index)
        block = b""
        if progress is None:
            progress = self._candidates[index] = _Progress()
            block = self._role(index, said)
        logprobs = read_logprobs(candidate.logprobs_result)
        if said.text or said.reasoning or said.calls or logprobs:
            delta = Delta(
                content=said.text or UNSET,
                reasoning_content=said.reasoning or UNSET,
                tool_calls=[_delta(call, progress.calls + at) for at, call in enumerate(said.calls)] or UNSET,
            )
            progress.calls += len(said.calls)
            block += self._chunk(ChunkChoice(index=index, delta=delta, logprobs=logprobs or UNSET))
        if candidate.finish_reason:
            progress.finish_reason = finish_reason(self._provider, candidate, called=progress.calls > 0)
        return block

    def _role(self, index: int, said: Said) -> Block:
        content = None if said.calls and not said.text else ""
        return self._chunk(ChunkChoice(index=index, delta=Delta(role="assistant", content=content, refusal=None)))

    def _chunk(self, choice: ChunkChoice | None = None, usage: Usage | None = None) -> Block:
        chunk = Chunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[] if choice is None else [choice],
            usage=UNSET if usage is None else usage,
        )
        return event(msgspec.json.encode(chunk))


def _delta(call: ToolCallReply, index: int) -> ToolCallDelta:
    """Return a whole call as its one piece: Gemini does not cut calls."""
    assert call.function is not UNSET  # noqa: S101  # Gemini has function calls only
    function = FunctionCallDelta(name=call.function.name, arguments=call.function.arguments)
    return ToolCallDelta(index=index, id=call.id, type="function", function=function, extra_content=call.extra_content)
