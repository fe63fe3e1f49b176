"""OpenAI: the caller's request and the vendor's answer travel as they are."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.contract.case import Answer, Choice, Json, Sends
from tests.contract.vendors.kind import choice_json, data_events, halves, packets, usage_json
from tests.support.vendor import Stream, Vendor, running_vendor

HEAD = {"id": "chatcmpl-1", "created": 1735689599, "model": "gpt-4o-mini-2024-07-18"}


class OpenAIKind:
    name = "openai"
    model = "gpt-4o-mini"

    def environment(self, url: str) -> Mapping[str, str]:
        return {"OPENAI_API_KEY": "sk-vendor-secret", "OPENAI_BASE_URL": url + "/v1"}

    def running(self) -> AbstractAsyncContextManager[Vendor]:
        return running_vendor()

    def path(self, *, streaming: bool) -> str:
        return "/v1/chat/completions"

    def received(self, body: Json, sends: Sends, *, streaming: bool) -> dict[str, Any]:
        fields = {**body, "model": self.model, **sends.fields}
        return fields | ({"stream": True, "stream_options": {"include_usage": True}} if streaming else {})

    def whole(self, answer: Answer) -> Any:
        choices = [choice_json(choice, index) for index, choice in enumerate(answer.choices)]
        body = {**HEAD, "object": "chat.completion", "choices": choices, **answer.more}
        return body | ({"usage": usage_json(answer)} if answer.usage else {})

    def stream(self, answer: Answer) -> Stream:
        chunks = [
            self._chunk(answer, [{"index": index, "logprobs": None, "finish_reason": None, **step}])
            for index, choice in enumerate(answer.choices)
            for step in _steps(choice)
        ]
        chunks.append(self._chunk(answer, []) | {"usage": usage_json(answer)})
        return Stream(packets([*data_events(chunks), b"data: [DONE]\n\n"], answer))

    def expected(self, answer: Answer) -> dict[str, Any]:
        body: dict[str, Any] = self.whole(answer)
        return body

    def _chunk(self, answer: Answer, choices: list[Any]) -> dict[str, Any]:
        return {**HEAD, "object": "chat.completion.chunk", "choices": choices, **answer.more}


def _steps(choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield the fields of each chunk's choice: role, reasoning, texts, calls in pieces, other fields, finish."""
    yield {"delta": {"role": "assistant", "content": None if choice.content is None else "", "refusal": None}}
    for name, content in (("reasoning_content", choice.reasoning), ("refusal", choice.refusal)):
        for piece in halves(content or ""):
            yield {"delta": {name: piece}}
    if choice.logprobs:
        for token in choice.logprobs:
            yield {"delta": {"content": token["token"]}, "logprobs": {"content": [token], "refusal": None}}
    else:
        for piece in halves(choice.content or ""):
            yield {"delta": {"content": piece}}
    for index, call in enumerate(choice.calls):
        first = {"name": call.name, "arguments": ""}
        yield {"delta": {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": first}]}}
        for piece in halves(call.arguments):
            yield {"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}}
    for name, value in choice.more.items():
        yield {"delta": {name: _numbered(value) if name == "tool_calls" else value}}
    yield {"delta": {}, "finish_reason": choice.finish}


def _numbered(calls: Any) -> list[Any]:
    return [{"index": index, **call} for index, call in enumerate(calls)]
