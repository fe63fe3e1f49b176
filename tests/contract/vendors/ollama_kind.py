"""Ollama's native API: whole tool calls with objects as arguments, lines of JSON, counts on the last one."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.contract.case import Answer, Choice, Json, Sends
from tests.contract.vendors.kind import SOME, choice_json, halves, packets, usage_json
from tests.support import ollama_vendor as ollama
from tests.support.vendor import Stream, Vendor

HI = {"role": "user", "content": "hi"}


class OllamaKind:
    name = "ollama"
    model = "llama3.2"

    def environment(self, url: str) -> Mapping[str, str]:
        return {"OLLAMA_HOST": url}

    def running(self) -> AbstractAsyncContextManager[Vendor]:
        return ollama.running_ollama()

    def path(self, *, streaming: bool) -> str:
        return "/api/chat"

    def received(self, body: Json, sends: Sends, *, streaming: bool) -> dict[str, Any]:
        return {"model": self.model, "messages": [HI], "stream": streaming, **sends.fields}

    def whole(self, answer: Answer) -> Any:
        (choice,) = answer.choices
        body = ollama.answer(_message(choice), **_end(answer, choice))
        return body | ({"logprobs": list(choice.logprobs)} if choice.logprobs else {})

    def stream(self, answer: Answer) -> Stream:
        (choice,) = answer.choices
        lines = [_line({"content": "", "thinking": piece}) for piece in halves(choice.reasoning or "")]
        if choice.logprobs:
            lines += [_line({"content": token["token"]}, logprobs=[token]) for token in choice.logprobs]
        else:
            lines += [_line({"content": piece}) for piece in halves(choice.content or "")]
        lines += [_line({"content": "", "tool_calls": [call]}) for call in _calls(choice)]
        lines.append(ollama.answer({}, **_end(answer, choice)))
        return Stream(
            packets([json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines], answer),
            content_type="application/x-ndjson",
        )

    def expected(self, answer: Answer) -> dict[str, Any]:
        choices = [choice_json(choice, index, own_ids=False) for index, choice in enumerate(answer.choices)]
        head = {"id": SOME, "object": "chat.completion", "created": SOME, "model": self.model}
        return {**head, "choices": choices, "usage": usage_json(answer)}


def _calls(choice: Choice) -> list[dict[str, Any]]:
    return [{"function": {"name": call.name, "arguments": json.loads(call.arguments)}} for call in choice.calls]


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"content": choice.content or ""}
    if choice.reasoning is not None:
        message["thinking"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = _calls(choice)
    return message


def _line(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return ollama.answer(message, done=False, **fields)


def _end(answer: Answer, choice: Choice) -> dict[str, Any]:
    assert answer.usage is not None
    reason = "length" if choice.finish == "length" else "stop"
    return {"done_reason": reason, "prompt_eval_count": answer.usage[0], "eval_count": answer.usage[1]}
