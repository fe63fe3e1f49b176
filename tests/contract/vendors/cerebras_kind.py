"""Cerebras: almost OpenAI; it leaves nulls out, says `reasoning`, and ends a stream with all in one chunk."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.contract.case import Answer, Choice, Json, Sends
from tests.contract.vendors.kind import call_json, choice_json, data_events, halves, packets, usage_json
from tests.support import cerebras_vendor as cerebras
from tests.support.vendor import Stream, Vendor


class CerebrasKind:
    name = "cerebras"
    model = "gpt-oss-120b"

    def environment(self, url: str) -> Mapping[str, str]:
        return {"CEREBRAS_API_KEY": "csk-vendor-secret", "CEREBRAS_BASE_URL": url}

    def running(self) -> AbstractAsyncContextManager[Vendor]:
        return cerebras.running_cerebras()

    def path(self, *, streaming: bool) -> str:
        return "/v1/chat/completions"

    def received(self, body: Json, sends: Sends, *, streaming: bool) -> dict[str, Any]:
        fields = {**body, "model": self.model, **sends.fields}
        fields |= {"stream": True, "stream_options": {"include_usage": True}} if streaming else {}
        return {name: value for name, value in fields.items() if name not in _DROPPED}

    def whole(self, answer: Answer) -> Any:
        choices = [
            {"index": index, "message": _message(choice), "finish_reason": choice.finish, **_logprobs(choice)}
            for index, choice in enumerate(answer.choices)
        ]
        body = {**cerebras.HEAD, "object": "chat.completion", "choices": choices, "time_info": cerebras.TIME_INFO}
        return {**body, "usage": usage_json(answer), **answer.more}

    def stream(self, answer: Answer) -> Stream:
        chunks = [
            cerebras.delta({}) | {"choices": [{"index": index, **step}]}
            for index, choice in enumerate(answer.choices)
            for step in _steps(choice)
        ]
        chunks[-1] |= {"usage": usage_json(answer), "time_info": cerebras.TIME_INFO, **answer.more}
        return Stream(packets([*data_events(chunks), b"data: [DONE]\n\n"], answer))

    def expected(self, answer: Answer) -> dict[str, Any]:
        choices = [choice_json(choice, index) for index, choice in enumerate(answer.choices)]
        for choice, said in zip(choices, answer.choices, strict=True):
            if said.logprobs:
                choice["logprobs"] = {"content": list(said.logprobs)}
        body: dict[str, Any] = self.whole(answer)
        return body | {"choices": choices}


_DROPPED = ("store", "metadata")
"""What the gateway leaves out where it asks for nothing."""


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    if choice.content is not None:
        message["content"] = choice.content
    if choice.reasoning is not None:
        message["reasoning"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [call_json(call) for call in choice.calls]
    return message


def _logprobs(choice: Choice) -> dict[str, Any]:
    return {"logprobs": {"content": list(choice.logprobs)}} if choice.logprobs else {}


def _steps(choice: Choice) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"delta": {"role": "assistant"}}]
    deltas += [{"delta": {"reasoning": piece}} for piece in halves(choice.reasoning or "")]
    if choice.logprobs:
        deltas += [
            {"delta": {"content": token["token"]}, "logprobs": {"content": [token]}} for token in choice.logprobs
        ]
    else:
        deltas += [{"delta": {"content": piece}} for piece in halves(choice.content or "")]
    if choice.calls:
        deltas.append({"delta": {"tool_calls": [call_json(call) for call in choice.calls]}})
    return [*deltas, {"delta": {}}, {"delta": {}, "finish_reason": choice.finish}]
