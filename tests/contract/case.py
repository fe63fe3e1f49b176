"""A case of the corpus: one request, one answer, and what each provider makes of them. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Json = Mapping[str, Any]
HI: Final = {"role": "user", "content": "hi"}


@dataclass(frozen=True)
class Call:
    """A tool call of an answer. `arguments` is JSON text; `signature` is a thought signature of Gemini's."""

    name: str
    arguments: str
    id: str = "call_1"
    signature: str | None = None


@dataclass(frozen=True)
class Choice:
    """What one choice says. `more` is other fields of its message, which only OpenAI's own wire format has."""

    content: str | None = "hi"
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    reasoning: str | None = None
    refusal: str | None = None
    logprobs: tuple[Json, ...] = ()
    more: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What the model answers, in no vendor's words. `more` is other top-level fields of OpenAI's wire format.

    `usage` is the tokens of prompt and completion; the details are parts of them. `shred` cuts a stream into packets
    of three bytes, through the middle of characters and events.
    """

    choices: tuple[Choice, ...] = (Choice(),)
    usage: tuple[int, int] | None = (5, 2)
    cached: int | None = None
    thought: int | None = None
    more: Json = field(default_factory=dict)
    shred: bool = False


@dataclass(frozen=True)
class Sends:
    """The provider gets this: fields of the vendor's request, over those of a plain one."""

    fields: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """The gateway refuses the request for this provider, and names this parameter."""

    param: str
    code: str = "unsupported_parameter"


Column = Sends | Refused | None
"""None: the provider has no such feature, so the case is not run for it."""

SAME: Final = Sends()
"""For the OpenAI-shaped vendors: the caller's own request."""


@dataclass(frozen=True)
class Case:
    """One case.

    `request` is the caller's, without `model` and with the message "hi" unless it has its own. `answer` is what the
    vendors answer and, in OpenAI's words, what the caller gets. `custom` is what the built-in provider answers.
    """

    id: str
    feature: str
    request: Json = field(default_factory=dict)
    answer: Answer = field(default_factory=Answer)
    openai: Column = SAME
    cerebras: Column = SAME
    ollama: Column = None
    gemini: Column = None
    custom: Answer | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The request's fields, without a model."""
        return {"messages": [HI], **self.request}

    def column(self, provider: str) -> Column:
        if provider == "custom":
            return None if self.custom is None else SAME
        column: Column = getattr(self, provider)
        return column


def text(content: str, **fields: Any) -> Answer:
    """An answer that is this text."""
    return Answer((Choice(content),), **fields)


def counted(content: str, prompt: int, completion: int, finish: str = "stop") -> Answer:
    """What the built-in provider answers, with its exact token counts."""
    return Answer((Choice(content, finish=finish),), usage=(prompt, completion))


def called(*calls: Call, content: str | None = None, **fields: Any) -> Answer:
    """An answer that calls tools."""
    return Answer((Choice(content, calls=calls, finish="tool_calls"),), **fields)
