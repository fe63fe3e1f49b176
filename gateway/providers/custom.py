"""The built-in provider: deterministic, without network, to build and test against.

Its chat model, `echo`, answers by rule:

- with tools (and `tool_choice` not `none`), unless the last message is a tool's result: one call of the tool that
  `tool_choice` names, else of the first, with arguments made from its schema;
- with `response_format` `json_schema`: the example of that schema; with `json_object`: `{"echo": TEXT}`;
- otherwise the text of the last message.

Tokens are counted with `o200k_base`. `stop`, the output cap, `n` and `logprobs` act as they do at OpenAI; sampling
settings have nothing to act on. The embeddings model, `embed`, is in `custom_embeddings`.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from gateway.errors import ModelNotFound
from gateway.providers import custom_embeddings
from gateway.providers.base import (
    Block,
    ChatCall,
    EmbeddingCall,
    ListedModel,
    ProviderCompletion,
    ProviderEmbeddings,
)
from gateway.providers.schema_example import example
from gateway.providers.tokens import count_tokens, token_texts
from gateway.wire.chat import (
    ChatRequest,
    FunctionMessage,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    NamedFunction,
    TextPart,
    ToolMessage,
)
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
    TokenLogprob,
    ToolCallDelta,
    ToolCallReply,
    Usage,
)
from gateway.wire.sse import DONE, event

MODEL: Final = "echo"
_MESSAGE_OVERHEAD: Final = 3
"""Tokens that OpenAI's chat format adds to each message, and once more for the reply it starts."""


class _Answer(Struct, frozen=True):
    """What every choice says: a text in pieces, or one tool call."""

    pieces: tuple[str, ...] = ()
    tool: str | None = None
    arguments: str = ""
    finish_reason: str = "stop"
    completion_tokens: int = 0


class CustomProvider:
    """The deterministic provider. `chunk_delay` is the pause in seconds before each chunk of a stream."""

    def __init__(self, name: str, chunk_delay: float = 0.0) -> None:
        self._name = name
        self._chunk_delay = chunk_delay

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        answer = _answer(call)
        choices = [
            Choice(
                index=index,
                message=_reply(answer, call, index),
                logprobs=_logprobs(answer.pieces) if call.request.logprobs else None,
                finish_reason=answer.finish_reason,
            )
            for index in range(call.request.n or 1)
        ]
        usage = _usage(call, answer)
        completion = Completion(
            id=_completion_id(call), created=int(time.time()), model=call.model, choices=choices, usage=usage
        )
        return ProviderCompletion(msgspec.json.encode(completion), usage)

    async def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        answer = _answer(call)
        head = {"id": _completion_id(call), "created": int(time.time()), "model": call.model}
        for choice in _chunk_choices(answer, call):
            if self._chunk_delay:
                await asyncio.sleep(self._chunk_delay)
            yield event(msgspec.json.encode(Chunk(**head, choices=[choice])))  # type: ignore[arg-type]  # one dict, three types
        usage = Chunk(**head, choices=[], usage=_usage(call, answer))  # type: ignore[arg-type]  # as above
        yield event(msgspec.json.encode(usage)) + DONE

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:
        return custom_embeddings.embed(call)

    async def models(self) -> list[ListedModel]:
        return [
            ListedModel(id=MODEL, capabilities=("chat", "tools", "json_schema", "logprobs")),
            ListedModel(id=custom_embeddings.MODEL, capabilities=("embeddings",)),
        ]

    async def check(self) -> None:
        """There is nothing that could be away."""

    async def aclose(self) -> None:
        """Nothing to release."""


def _answer(call: ChatCall) -> _Answer:
    if call.model != MODEL:
        raise ModelNotFound(f"The built-in provider has one chat model, '{MODEL}', not '{call.model}'.", param="model")
    request = call.request
    tool = _tool_to_call(request)
    if tool is not None:
        arguments = msgspec.json.encode(example(_schema_of(tool))).decode()
        return _Answer(
            tool=tool.function.name,
            arguments=arguments,
            finish_reason="tool_calls",
            completion_tokens=count_tokens(tool.function.name) + count_tokens(arguments),
        )
    text, stopped = _cut_at_stop(_text_answer(request), request.stop)
    pieces = token_texts(text)
    cap = request.output_cap
    cut = cap is not None and len(pieces) > cap
    if cut:
        pieces = pieces[:cap]
    return _Answer(
        pieces=tuple(pieces),
        finish_reason="length" if cut and not stopped else "stop",
        completion_tokens=len(pieces),
    )


def _text_answer(request: ChatRequest) -> str:
    text = message_text(request.messages[-1])
    match request.response_format:
        case JsonSchemaFormat(json_schema=schema):
            return msgspec.json.encode(example(msgspec.json.decode(schema.schema or b"{}"))).decode()
        case JsonObjectFormat():
            return msgspec.json.encode({"echo": text}).decode()
    return text


def message_text(message: Message) -> str:
    """Return the text parts of a message, joined; other parts have no text."""
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if isinstance(part, TextPart))


def _tool_to_call(request: ChatRequest) -> FunctionTool | None:
    if not request.tools or request.tool_choice == "none":
        return None
    if isinstance(request.messages[-1], ToolMessage | FunctionMessage):
        return None
    functions = [tool for tool in request.tools if isinstance(tool, FunctionTool)]
    if isinstance(request.tool_choice, NamedFunction):
        wanted = request.tool_choice.function.name
        functions = [tool for tool in functions if tool.function.name == wanted]
    return functions[0] if functions else None


def _schema_of(tool: FunctionTool) -> Any:
    return msgspec.json.decode(msgspec.json.encode(tool.function.parameters or {"type": "object"}))


def _cut_at_stop(text: str, stop: str | list[str] | None) -> tuple[str, bool]:
    stops = [stop] if isinstance(stop, str) else stop or []
    ends = [at for word in stops if word and (at := text.find(word)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def _reply(answer: _Answer, call: ChatCall, index: int) -> Reply:
    if answer.tool is None:
        return Reply(content="".join(answer.pieces))
    function = FunctionCallReply(name=answer.tool, arguments=answer.arguments)
    return Reply(tool_calls=[ToolCallReply(id=_tool_call_id(call, index), function=function)])


def _chunk_choices(answer: _Answer, call: ChatCall) -> Iterator[ChunkChoice]:
    choices = range(call.request.n or 1)
    for index in choices:
        content = "" if answer.tool is None else None
        yield ChunkChoice(index=index, delta=Delta(role="assistant", content=content, refusal=None))
    if answer.tool is not None:
        for index in choices:
            function = FunctionCallDelta(name=answer.tool, arguments="")
            call_id = _tool_call_id(call, index)
            first = ToolCallDelta(index=0, id=call_id, type="function", function=function)
            yield ChunkChoice(index=index, delta=Delta(tool_calls=[first]))
            for piece in token_texts(answer.arguments):
                more = ToolCallDelta(index=0, function=FunctionCallDelta(arguments=piece))
                yield ChunkChoice(index=index, delta=Delta(tool_calls=[more]))
    for piece in answer.pieces:
        for index in choices:
            logprobs = _logprobs((piece,)) if call.request.logprobs else UNSET
            yield ChunkChoice(index=index, delta=Delta(content=piece), logprobs=logprobs)
    for index in choices:
        yield ChunkChoice(index=index, delta=Delta(), finish_reason=answer.finish_reason)


def _logprobs(pieces: tuple[str, ...]) -> Logprobs:
    """Every token is certain: its probability is 1."""
    return Logprobs(content=[TokenLogprob(token=piece, logprob=0.0, bytes=list(piece.encode())) for piece in pieces])


def _usage(call: ChatCall, answer: _Answer) -> Usage:
    prompt = _MESSAGE_OVERHEAD + sum(
        _MESSAGE_OVERHEAD + count_tokens(message_text(message)) for message in call.request.messages
    )
    completion = answer.completion_tokens * (call.request.n or 1)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _digest(call: ChatCall) -> str:
    return hashlib.sha256(call.request_id.encode() + b"\0" + call.body).hexdigest()


def _completion_id(call: ChatCall) -> str:
    return "chatcmpl-" + _digest(call)[:24]


def _tool_call_id(call: ChatCall, index: int) -> str:
    return "call_" + hashlib.sha256(f"{_digest(call)}/{index}".encode()).hexdigest()[:24]
