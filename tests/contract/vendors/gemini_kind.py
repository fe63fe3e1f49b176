"""Gemini's own API: parts, candidates and `usageMetadata`; events with CRLF, each with the usage so far."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.contract.case import Answer, Call, Choice, Json, Sends
from tests.contract.vendors.kind import SOME, choice_json, halves, packets, usage_json
from tests.support import gemini
from tests.support.vendor import Stream, Vendor

HI = {"role": "user", "parts": [{"text": "hi"}]}
_FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


class GeminiKind:
    name = "gemini"
    model = "gemini-2.5-flash"

    def environment(self, url: str) -> Mapping[str, str]:
        return {"GEMINI_API_KEY": gemini.KEY, "GEMINI_BASE_URL": url}

    def running(self) -> AbstractAsyncContextManager[Vendor]:
        return gemini.running_gemini()

    def path(self, *, streaming: bool) -> str:
        method = "streamGenerateContent?alt=sse" if streaming else "generateContent"
        return f"/v1beta/models/{self.model}:{method}"

    def received(self, body: Json, sends: Sends, *, streaming: bool) -> dict[str, Any]:
        return {"contents": [HI], **sends.fields}

    def whole(self, answer: Answer) -> Any:
        candidates = [_candidate(choice, index, _parts(choice)) for index, choice in enumerate(answer.choices)]
        return gemini.answer(*candidates, usage=_usage(answer))

    def stream(self, answer: Answer) -> Stream:
        events = []
        for index, choice in enumerate(answer.choices):
            pieces = [[part] for part in _parts(choice, cut=True)]
            last = pieces.pop() if pieces else []
            events += [
                gemini.answer(gemini.candidate(*piece, finish=None, index=index), usage=_usage(answer))
                for piece in pieces
            ]
            events.append(gemini.answer(_candidate(choice, index, last), usage=_usage(answer)))
        return Stream(
            packets(
                [b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\r\n\r\n" for event in events], answer
            )
        )

    def expected(self, answer: Answer) -> dict[str, Any]:
        choices = [choice_json(choice, index, own_ids=False) for index, choice in enumerate(answer.choices)]
        head = {"id": SOME, "object": "chat.completion", "created": SOME, "model": self.model}
        return {**head, "choices": choices, "usage": usage_json(answer)}


def _parts(choice: Choice, *, cut: bool = False) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if choice.reasoning:
        pieces = halves(choice.reasoning) if cut else [choice.reasoning]
        parts += [{"text": piece, "thought": True} for piece in pieces]
    if choice.content and not choice.logprobs:
        parts += [{"text": piece} for piece in (halves(choice.content) if cut else [choice.content])]
    elif choice.content:
        parts.append({"text": choice.content})
    return parts + [_call(call) for call in choice.calls]


def _call(call: Call) -> dict[str, Any]:
    return gemini.call_part(call.name, json.loads(call.arguments), call.signature)


def _candidate(choice: Choice, index: int, parts: list[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if choice.logprobs:
        fields["logprobsResult"] = {
            "chosenCandidates": [_chance(token) for token in choice.logprobs],
            "topCandidates": [
                {"candidates": [_chance(top) for top in token.get("top_logprobs", ())]} for token in choice.logprobs
            ],
        }
    return gemini.candidate(*parts, finish=_FINISH[choice.finish], index=index, **fields)


def _chance(token: Json) -> dict[str, Any]:
    return {"token": token["token"], "logProbability": token["logprob"]}


def _usage(answer: Answer) -> dict[str, Any]:
    assert answer.usage is not None
    prompt, completion = answer.usage
    thought = answer.thought or 0
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completion - thought,
        "totalTokenCount": prompt + completion,
    }
    if thought:
        usage["thoughtsTokenCount"] = thought
    if answer.cached is not None:
        usage["cachedContentTokenCount"] = answer.cached
    return usage
