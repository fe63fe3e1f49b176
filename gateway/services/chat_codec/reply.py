"""Answers to chat requests, from OpenAI's JSON to messages of the contract.

A null and an absent field both mean unset. Empty texts stay: an empty `content` is not a missing one.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.services.answer_reader import AnswerReader
from gateway.wire import completion as wire
from llmgateway.v1 import (
    chat_chunk_pb2,
    chat_completion_pb2,
    chat_message_pb2,
    chat_tool_call_pb2,
    completion_usage_pb2,
    logprob_pb2,
)

_ROLES: Final[Mapping[str, chat_message_pb2.Role]] = {
    "system": chat_message_pb2.ROLE_SYSTEM,
    "developer": chat_message_pb2.ROLE_DEVELOPER,
    "user": chat_message_pb2.ROLE_USER,
    "assistant": chat_message_pb2.ROLE_ASSISTANT,
    "tool": chat_message_pb2.ROLE_TOOL,
}


class _UrlCitation(Struct):
    url: str
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


class _Annotation(Struct):
    url_citation: _UrlCitation | UnsetType | None = UNSET


_ANNOTATIONS: Final = msgspec.json.Decoder(list[_Annotation] | None)


def completion_message(body: bytes) -> chat_completion_pb2.ChatCompletion:
    """Return the whole answer `body`. Raises ProviderError if it is not a `chat.completion`."""
    return _COMPLETIONS.read(body)


def chunk_message(payload: bytes) -> chat_chunk_pb2.ChatCompletionChunk:
    """Return the JSON of one event of a stream. Raises ProviderError if it is not a `chat.completion.chunk`."""
    return _CHUNKS.read(payload)


def _completion(answer: wire.Completion, extra: str) -> chat_completion_pb2.ChatCompletion:
    message = chat_completion_pb2.ChatCompletion(
        id=answer.id, created=answer.created, model=answer.model, extra_json=extra
    )
    for choice in answer.choices:
        target = message.choices.add()
        target.index = choice.index
        if choice.finish_reason:
            target.finish_reason = choice.finish_reason
        if choice.logprobs is not None:
            _set_logprobs(target.logprobs, choice.logprobs)
        _set_words(target.message, choice.message)
        for call in choice.message.tool_calls or ():
            _set_tool_call(target.message.tool_calls.add(), call)
    _set_common(message, answer)
    if answer.metadata:
        message.metadata.update(answer.metadata)
    return message


def _chunk(answer: wire.Chunk, extra: str) -> chat_chunk_pb2.ChatCompletionChunk:
    message = chat_chunk_pb2.ChatCompletionChunk()
    message.id = answer.id
    message.created = answer.created
    message.model = answer.model
    for choice in answer.choices:
        target = message.choices.add()
        delta = target.delta
        delta.SetInParent()
        if choice.index:
            target.index = choice.index
        if choice.finish_reason:
            target.finish_reason = choice.finish_reason
        if choice.logprobs:
            _set_logprobs(target.logprobs, choice.logprobs)
        _set_words(delta, choice.delta)
        for call in choice.delta.tool_calls or ():
            _set_tool_call_delta(delta.tool_calls.add(), call)
    _set_common(message, answer)
    if answer.obfuscation:
        message.obfuscation = answer.obfuscation
    if extra:
        message.extra_json = extra
    return message


def _set_common(
    target: chat_completion_pb2.ChatCompletion | chat_chunk_pb2.ChatCompletionChunk,
    answer: wire.Completion | wire.Chunk,
) -> None:
    if answer.usage:
        _set_usage(target.usage, answer.usage)
    if answer.service_tier:
        target.service_tier = answer.service_tier
    if answer.system_fingerprint:
        target.system_fingerprint = answer.system_fingerprint


def _set_words(
    target: chat_completion_pb2.ChatCompletionMessage | chat_chunk_pb2.ChatCompletionDelta,
    said: wire.Reply | wire.Delta,
) -> None:
    if said.role:
        target.role = _role(said.role)
    if isinstance(said.content, str):
        target.content = said.content
    if isinstance(said.refusal, str):
        target.refusal = said.refusal
    if isinstance(said.reasoning_content, str):
        target.reasoning_content = said.reasoning_content
    elif isinstance(said.reasoning, str):
        target.reasoning_content = said.reasoning
    if said.annotations is not UNSET:
        _add_annotations(target, said.annotations)
    if said.audio:
        target.audio.SetInParent()
        target.audio.id = said.audio.id or ""
        target.audio.data = said.audio.data or ""
        target.audio.transcript = said.audio.transcript or ""
        target.audio.expires_at = said.audio.expires_at or 0


def _role(word: str) -> chat_message_pb2.Role:
    role = _ROLES.get(word)
    if role is None:
        raise ValueError("unknown role")
    return role


def _add_annotations(
    target: chat_completion_pb2.ChatCompletionMessage | chat_chunk_pb2.ChatCompletionDelta, annotations: Raw
) -> None:
    for annotation in _ANNOTATIONS.decode(annotations) or ():
        added = target.annotations.add()
        if citation := annotation.url_citation:
            added.url_citation.url = citation.url
            added.url_citation.title = citation.title or ""
            added.url_citation.start_index = citation.start_index
            added.url_citation.end_index = citation.end_index


def _set_tool_call(target: chat_tool_call_pb2.ToolCall, call: wire.ToolCallReply) -> None:
    target.id = call.id
    if call.function:
        target.function.name = call.function.name
        target.function.arguments = call.function.arguments
    elif call.custom:
        target.custom.name = call.custom.name
        target.custom.input = call.custom.input
    target.extra_content_json = _json_text(call.extra_content)


def _set_tool_call_delta(target: chat_tool_call_pb2.ToolCallDelta, call: wire.ToolCallDelta) -> None:
    target.index = call.index
    target.id = call.id or ""
    if call.function:
        target.function.name = call.function.name or ""
        target.function.arguments = call.function.arguments or ""
    elif call.custom:
        target.custom.name = call.custom.name or ""
        target.custom.input = call.custom.input or ""
    target.extra_content_json = _json_text(call.extra_content)


def _json_text(raw: Raw | UnsetType) -> str:
    text = "" if raw is UNSET else bytes(raw).decode()
    return "" if text == "null" else text


def _set_usage(target: completion_usage_pb2.CompletionUsage, usage: wire.Usage) -> None:
    target.SetInParent()
    target.prompt_tokens = usage.prompt_tokens
    target.completion_tokens = usage.completion_tokens
    target.total_tokens = usage.total_tokens
    if usage.prompt_tokens_details:
        _set_counts(target.prompt_tokens_details, usage.prompt_tokens_details)
    if usage.completion_tokens_details:
        _set_counts(target.completion_tokens_details, usage.completion_tokens_details)


def _set_counts(
    target: completion_usage_pb2.PromptTokensDetails | completion_usage_pb2.CompletionTokensDetails,
    details: wire.PromptTokensDetails | wire.CompletionTokensDetails,
) -> None:
    target.SetInParent()
    for name in details.__struct_fields__:
        count = getattr(details, name)
        if isinstance(count, int):
            setattr(target, name, count)


def _set_logprobs(target: logprob_pb2.Logprobs, logprobs: wire.Logprobs) -> None:
    target.SetInParent()
    for token in logprobs.content or ():
        _set_token(target.content.add(), token)
    for token in logprobs.refusal or ():
        _set_token(target.refusal.add(), token)


def _set_token(target: logprob_pb2.TokenLogprob, token: wire.TokenLogprob) -> None:
    _set_probability(target, token)
    for top in token.top_logprobs:
        _set_probability(target.top_logprobs.add(), top)


def _set_probability(
    target: logprob_pb2.TokenLogprob | logprob_pb2.TopLogprob, token: wire.TokenLogprob | wire.TopLogprob
) -> None:
    target.token = token.token
    target.logprob = token.logprob
    if token.bytes is not None:
        target.token_bytes = bytes(token.bytes)


_COMPLETIONS: Final = AnswerReader(wire.Completion, _completion)
_CHUNKS: Final = AnswerReader(wire.Chunk, _chunk)
