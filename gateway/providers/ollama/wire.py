"""Ollama's native wire format, as far as the gateway speaks it.

Source: Ollama's `docs/api.md` and `api/types.go`. Requests leave out what is not set; answers are read strictly.
"""

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.wire.completion import TokenLogprob, Usage


class FunctionCall(Struct):
    """A call of a tool. `arguments` is a JSON object, where OpenAI has a string."""

    name: str
    arguments: dict[str, Any] = {}


class ToolCall(Struct, kw_only=True, omit_defaults=True):
    id: str = ""
    function: FunctionCall


class Message(Struct, kw_only=True, omit_defaults=True):
    """One message of a request. `images` are bare base64; a tool's result names its tool and its call."""

    role: str
    content: str
    thinking: str = ""
    images: list[str] = []
    tool_calls: list[ToolCall] = []
    tool_name: str = ""
    tool_call_id: str = ""


class Function(Struct, kw_only=True, omit_defaults=True):
    name: str
    description: str = ""
    parameters: dict[str, Raw] | UnsetType = UNSET


class Tool(Struct, kw_only=True):
    type: str = "function"
    function: Function


class ChatRequest(Struct, kw_only=True, omit_defaults=True):
    """The body of `POST /api/chat`. Without `stream` Ollama would stream."""

    model: str
    messages: list[Message]
    stream: bool
    tools: list[Tool] = []
    format: Raw | str | UnsetType = UNSET
    think: bool | str | UnsetType = UNSET
    logprobs: bool = False
    top_logprobs: int = 0
    options: dict[str, Any] = {}


class EmbedRequest(Struct, kw_only=True, omit_defaults=True):
    """The body of `POST /api/embed`."""

    model: str
    input: str | list[str]
    truncate: bool
    dimensions: int | UnsetType = UNSET


class ReplyMessage(Struct, kw_only=True):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None


class Line(Struct, kw_only=True):
    """An answer of `/api/chat`: the whole one, or one line of a stream, the last of which has `done`.

    Counts are read as `usage` does it: an odd one costs the usage and not the answer.
    """

    model: str = ""
    message: ReplyMessage | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    logprobs: list[TokenLogprob] | None = None
    error: Any = None


class VersionAnswer(Struct):
    version: str


class EmbedAnswer(Struct, kw_only=True):
    embeddings: list[list[float]] = []
    prompt_eval_count: Any = None
    error: Any = None


def usage(prompt: Any, generated: Any = None) -> Usage | None:
    """Return the usage of these counts. Ollama leaves out one that is 0, and both when it counted nothing."""
    counts = [count for count in (prompt, generated) if count is not None]
    if not counts or not all(type(count) is int for count in counts):
        return None
    return Usage(prompt_tokens=prompt or 0, completion_tokens=generated or 0, total_tokens=sum(counts))
