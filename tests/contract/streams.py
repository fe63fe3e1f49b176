"""A stream's chunks joined into one answer, as OpenAI's SDKs join them, with every rule that they rely on checked."""

from collections.abc import Sequence
from typing import Any

_HEAD = ("id", "created", "model")


def joined(chunks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the whole answer that the chunks make."""
    *body, last = chunks
    assert last["choices"] == [], "the usage chunk, which was asked for, comes last and has no choices"
    assert last.get("usage"), "the usage chunk has the usage"
    answer: dict[str, Any] = {"object": "chat.completion"}
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        assert chunk["object"] == "chat.completion.chunk"
        answer |= {name: value for name, value in chunk.items() if name not in {"object", "choices", "usage"}}
        assert all(chunk[name] == chunks[0][name] for name in _HEAD), "every chunk has the same head"
    for chunk in body:
        assert not chunk.get("usage"), "no other chunk has a usage"
        assert chunk["choices"], "a chunk that is not the usage's has a choice"
        for choice in chunk["choices"]:
            choices.setdefault(choice["index"], _Choice()).add(choice)
    answer["choices"] = [{"index": index, **choices[index].whole()} for index in sorted(choices)]
    return answer | {"usage": last["usage"]}


def strict(chunks: Sequence[dict[str, Any]]) -> None:
    """Check the keys that must be there though they are null, which the typed edge does not have."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert "finish_reason" in choice
            assert isinstance(choice["delta"], dict)


class _Choice:
    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: dict[str, list[Any]] = {}
        self.finish: str | None = None

    def add(self, choice: dict[str, Any]) -> None:
        assert self.finish is None, "nothing comes after the finish reason"
        delta = choice["delta"]
        assert ("role" in delta) == (not self.message), "the role comes once, first"
        for name, value in delta.items():
            if name == "tool_calls":
                for call in value or ():
                    self._add_call(call)
            elif isinstance(value, str | list) and isinstance(self.message.get(name), type(value)):
                self.message[name] += value
            elif isinstance(value, dict) and isinstance(self.message.get(name), dict):
                for key, piece in value.items():
                    old = self.message[name].get(key)
                    self.message[name][key] = old + piece if isinstance(old, str) and isinstance(piece, str) else piece
            elif value is not None or name not in self.message:
                self.message[name] = dict(value) if isinstance(value, dict) else value
        for name, tokens in (choice.get("logprobs") or {}).items():
            if tokens:
                self.logprobs.setdefault(name, []).extend(tokens)
        self.finish = choice.get("finish_reason")

    def _add_call(self, call: dict[str, Any]) -> None:
        index = call["index"]
        kind = "custom" if "custom" in call else "function"
        if index not in self.calls:
            assert index == len(self.calls), "calls are numbered from 0, in order"
            assert call["id"], "the first piece has the id"
            assert call["type"] == kind
            assert call[kind]["name"], "the first piece has the name"
            self.calls[index] = {name: value for name, value in call.items() if name != "index"} | {
                kind: dict(call[kind])
            }
            return
        assert "id" not in call, "the id comes once"
        assert "name" not in call[kind], "the name comes once"
        for name, piece in call[kind].items():
            self.calls[index][kind][name] = self.calls[index][kind].get(name, "") + piece

    def whole(self) -> dict[str, Any]:
        assert self.finish is not None, "a stream ends with a finish reason"
        message = dict(self.message)
        if self.calls:
            message["tool_calls"] = [self.calls[index] for index in sorted(self.calls)]
            message["content"] = message.get("content") or None
        end: dict[str, Any] = {"message": message, "finish_reason": self.finish}
        return end | ({"logprobs": self.logprobs} if self.logprobs else {})
