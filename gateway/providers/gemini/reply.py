"""Gemini's answers in OpenAI's words: what a whole answer and a stream share, and the whole answer."""

import os
import time
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.errors import GatewayError, ProviderError, ProviderRejected
from gateway.providers.base import ChatCall, ProviderCompletion
from gateway.providers.gemini.answer import Answer, Candidate, LogprobsResult, Part, UsageMetadata, read_answer
from gateway.wire.completion import (
    Choice,
    Completion,
    CompletionTokensDetails,
    FunctionCallReply,
    Logprobs,
    PromptTokensDetails,
    Reply,
    TokenLogprob,
    ToolCallReply,
    TopLogprob,
    Usage,
)

_FINISH_REASONS: Final = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
}
"""The ends that OpenAI has a word for; every other one is an error."""

_MODALITIES: Final = {"TEXT": "text_tokens", "AUDIO": "audio_tokens", "IMAGE": "image_tokens"}


class Said(Struct):
    """What some parts say. `text` and `reasoning` are empty where nothing of the kind was said."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCallReply] = []


def read_parts(parts: list[Part]) -> Said:
    """Gather parts, whatever their number and order.

    A picture becomes Markdown with a `data:` URL: OpenAI's messages have no other place for one.
    """
    said = Said()
    for part in parts:
        if part.text:
            if part.thought:
                said.reasoning += part.text
            else:
                said.text += part.text
        elif part.function_call is not None:
            said.calls.append(_tool_call(part))
        elif part.inline_data is not None and part.inline_data.data:
            said.text += f"![](data:{part.inline_data.mime_type};base64,{part.inline_data.data})"
    return said


def _tool_call(part: Part) -> ToolCallReply:
    call = part.function_call
    assert call is not None  # noqa: S101  # the caller looked
    signature = part.thought_signature
    arguments = msgspec.json.format(call.args, indent=-1).decode()
    return ToolCallReply(
        id=call.id or f"call_{os.urandom(12).hex()}",
        function=FunctionCallReply(name=call.name, arguments="{}" if arguments == "null" else arguments),
        extra_content=Raw(msgspec.json.encode({"google": {"thought_signature": signature}})) if signature else UNSET,
    )


def finish_reason(provider: str, candidate: Candidate, *, called: bool) -> str:
    """Return OpenAI's word for how the candidate ended. Raises the row for an end that is a failure."""
    reason = candidate.finish_reason or "FINISH_REASON_UNSPECIFIED"
    word = _FINISH_REASONS.get(reason)
    if word is None:
        raise _failed(provider, reason, candidate.finish_message)
    return "tool_calls" if called and word == "stop" else word


def _failed(provider: str, reason: str, message: str | None) -> GatewayError:
    if reason == "MISSING_THOUGHT_SIGNATURE":
        return ProviderRejected(
            f"Provider '{provider}' wants each tool call back with its 'extra_content.google.thought_signature'.",
            param="messages",
            code=reason.lower(),
        )
    return ProviderError(f"Provider '{provider}' ended its answer with {reason}{': ' + message if message else '.'}")


def read_logprobs(result: LogprobsResult | None) -> Logprobs | None:
    """Return the chances of the tokens of one candidate, if they were told."""
    if result is None or not result.chosen_candidates:
        return None
    tops = result.top_candidates or []
    content = []
    for at, chosen in enumerate(result.chosen_candidates):
        top = tops[at].candidates or [] if at < len(tops) else []
        content.append(
            TokenLogprob(
                token=chosen.token,
                logprob=chosen.log_probability,
                bytes=list(chosen.token.encode()),
                top_logprobs=[TopLogprob(one.token, one.log_probability, list(one.token.encode())) for one in top],
            )
        )
    return Logprobs(content=content)


def read_usage(told: UsageMetadata | None) -> Usage | None:
    """Return the tokens: Gemini counts thoughts, and the results of its own tools, apart; OpenAI does not."""
    if told is None:
        return None
    prompt = told.prompt_token_count + told.tool_use_prompt_token_count
    completion = told.candidates_token_count + told.thoughts_token_count
    modalities = {
        field: one.token_count
        for one in told.prompt_tokens_details or ()
        if (field := _MODALITIES.get(one.modality)) is not None
    }
    if told.cached_content_token_count is not None:
        modalities["cached_tokens"] = told.cached_content_token_count
    thoughts = told.thoughts_token_count
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=told.total_token_count or prompt + completion,
        prompt_tokens_details=PromptTokensDetails(**modalities) if modalities else UNSET,
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=thoughts) if thoughts else UNSET,
    )


def completion_id(answer: Answer) -> str:
    return f"chatcmpl-{answer.response_id or os.urandom(12).hex()}"


def completion(provider: str, call: ChatCall, body: bytes) -> ProviderCompletion:
    """Return a whole answer. Raises the row for an error inside it, ProviderError for what is not an answer."""
    answer = read_answer(provider, body)
    choices = [_choice(provider, candidate) for candidate in answer.candidates or ()]
    if not choices:
        if not answer.blocked:
            raise ProviderError(f"Provider '{provider}' sent an answer without candidates.")
        choices = [
            Choice(index=index, message=Reply(content=""), finish_reason="content_filter")
            for index in range(call.request.n or 1)
        ]
    choices.sort(key=lambda choice: choice.index)
    usage = read_usage(answer.usage_metadata)
    shown: Usage | UnsetType = UNSET if usage is None else usage
    return ProviderCompletion(
        msgspec.json.encode(
            Completion(
                id=completion_id(answer),
                created=int(time.time()),
                model=answer.model_version or call.model,
                choices=choices,
                usage=shown,
            )
        ),
        usage,
    )


def _choice(provider: str, candidate: Candidate) -> Choice:
    said = read_parts(candidate.content.parts or [] if candidate.content else [])
    message = Reply(
        content=said.text or (None if said.calls else ""),
        reasoning_content=said.reasoning or UNSET,
        tool_calls=said.calls or UNSET,
    )
    return Choice(
        index=candidate.index,
        message=message,
        logprobs=read_logprobs(candidate.logprobs_result),
        finish_reason=finish_reason(provider, candidate, called=bool(said.calls)),
    )
