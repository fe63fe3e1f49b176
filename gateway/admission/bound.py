"""How many tokens a chat request's prompt has at most.

For OpenAI's o200k family (GPT-4o and later, o1 and later, gpt-oss) the bound is never below what is billed, as far as
OpenAI documents how a prompt is put together:

- Text is counted in `o200k_base`. After `EXACT_BYTES` of it, its UTF-8 bytes are the bound, for no token is shorter
  than a byte: some 4 times the tokens of English.
- The frame of a message is what OpenAI publishes, and up to 6 tokens more, which gpt-oss's public format has.
- Tools and schemas count as their JSON and `PER_TOOL` a tool. OpenAI renders them more briefly: measured against
  gpt-oss's public renderer, the bound is 1.04 to 6 times the tokens, half of the time below 1.7 times.
- Images, recordings and files: see `media_bound.py`. Up to ten times the tokens.

Any other name, an alias too, may stand for another vocabulary. Then half is added, and a token for each digit and
each byte beyond ASCII's. Measured with cl100k (GPT-4) and voyage-3 on 18 languages and notations, that is never below
their count and at most 5 times it, 1.5 times for English; the error of other vocabularies is not known.
"""

import functools
from typing import Any, Final

import msgspec
from msgspec import UNSET

from gateway.admission.media_bound import PAST_AUDIO, media_bound
from gateway.providers.tokens import measure
from gateway.recent import Recent
from gateway.wire.chat import (
    ChatRequest,
    DeveloperMessage,
    FunctionCall,
    FunctionMessage,
    FunctionToolCall,
    Message,
    RefusalPart,
    SystemMessage,
    TextFormat,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

EXACT_BYTES: Final = 64 * 1024
"""How much text is counted exactly: 20 µs of CPU a kilobyte of English, 160 µs of noise."""

_TEXTS_KEPT: Final = 8192
_MEASURED: Final = Recent[int, tuple[int, int, int]](_TEXTS_KEPT)

REPLY: Final = 3
"""The start of the answer, `<|start|>assistant<|message|>`."""
PER_MESSAGE: Final = 4
"""`<|start|>{role}<|message|>` and `<|end|>`."""
PER_NAME: Final = 1
INSTRUCTIONS: Final = 4
"""gpt-oss writes `# Instructions` before those of the system or the developer."""
CHANNEL: Final = 2
"""gpt-oss names the channel of each past answer."""
PER_CALL: Final = 16
"""A tool call and a tool's answer name sender, receiver, channel and format."""
UNKNOWN_NAME: Final = 64
"""A tool's name that the request does not tell; OpenAI allows 64 characters."""
PER_TOOL: Final = 16
"""4,000 random sets of tools needed 11 with gpt-oss's public renderer."""
TOOLS: Final = 32
"""The heading around all tools."""
EXTRA: Final = 16
"""The words around a schema or a choice of tool."""
GPT_OSS: Final = 96
"""gpt-oss's own system message: 68 tokens, and 16 more with tools."""

_O200K: Final = (
    "gpt-4o",
    "gpt-4.1",
    "gpt-4.5",
    "gpt-5",
    "gpt-oss",
    "gpt-audio",
    "chatgpt-",
    "o1",
    "o3",
    "o4",
    "codex-",
)
_PLAIN: Final = (UserMessage, SystemMessage, DeveloperMessage)
"""Messages of content and a name. Written with `|` they would be put together anew for each message."""


def prompt_bound(request: ChatRequest) -> int:
    """Return the most tokens that the prompt of `request` can have."""
    model, known = _family(request.model)
    text = _Text(known=known)
    names: dict[str, str] = {}
    total = REPLY
    for message in request.messages:
        total += _message(message, text, names, model)
    if request.tools is not UNSET:
        total += TOOLS + PER_TOOL * len(request.tools) + text.bound(_json(request.tools))
    for extra in (request.functions, request.function_call, request.tool_choice, request.response_format):
        if extra is not UNSET and not isinstance(extra, TextFormat):
            written = _json(extra)
            total += EXTRA + text.bound(written) + _separators(written)
    return total + (GPT_OSS if "gpt-oss" in model else 0)


@functools.lru_cache(maxsize=1024)
def _family(name: str) -> tuple[str, bool]:
    """Return a model's own name in small letters, and whether its vocabulary is known."""
    model = name.rpartition("/")[2].lower()
    return model, model.startswith(_O200K)


class _Text:
    """Counts text, exactly as long as that is cheap."""

    __slots__ = ("_exact_left", "_known")

    def __init__(self, *, known: bool) -> None:
        self._known = known
        self._exact_left = EXACT_BYTES

    def bound(self, text: str) -> int:
        """Return the most tokens of `text`."""
        if len(text) > self._exact_left:
            self._exact_left = 0
            return len(text.encode("utf-8", "surrogatepass"))
        key = hash(text)
        size, count, other = _MEASURED.get(key) or _measure(key, text)
        if size > self._exact_left:
            self._exact_left = 0
            return size
        self._exact_left -= size
        return count if self._known else other

    def joined(self, texts: list[str]) -> int:
        """Return the most tokens of parts of one message, which a model reads apart or as one text."""
        if len(texts) == 1:
            return self.bound(texts[0])
        return max(sum(map(self.bound, texts)), self.bound("".join(texts))) + len(texts)


def _measure(key: int, text: str) -> tuple[int, int, int]:
    """Return the UTF-8 bytes of a text, its tokens, and the most that it has in another vocabulary.

    They are kept, since a conversation sends all that was said before with each request. Nothing is kept of the text
    but a hash with a secret of this process, of 64 bits: a new text is taken for another once in 10**15 times.
    """
    if (known := _MEASURED.older.get(key)) is not None:
        return _MEASURED.keep(key, known)
    size, count, digits = measure(text)
    return _MEASURED.keep(key, (size, count, min(size, count + -(-count // 2) + digits + size - len(text))))


def _message(message: Message, text: _Text, names: dict[str, str], model: str) -> int:
    """Return the most tokens of a message. `names` of tools by the ids of their calls grow from one to the next."""
    content = message.content
    total = PER_MESSAGE + (text.bound(content) if isinstance(content, str) else _parts(content, text, model))
    if isinstance(message, _PLAIN):
        total += 0 if message.name is None else PER_NAME + text.bound(message.name)
        return total if isinstance(message, UserMessage) else total + INSTRUCTIONS
    if isinstance(message, ToolMessage):
        name = names.get(message.tool_call_id)
        return total + PER_CALL + (UNKNOWN_NAME if name is None else text.bound(name))
    if isinstance(message, FunctionMessage):
        return total + PER_CALL + text.bound(message.name)
    total += 0 if message.name is None else PER_NAME + text.bound(message.name)
    total += CHANNEL + sum(text.bound(part) for part in (message.refusal, message.reasoning_content) if part)
    total += PAST_AUDIO if message.audio is not None else 0
    for call in message.tool_calls or ():
        names[call.id] = call.function.name if isinstance(call, FunctionToolCall) else call.custom.name
        total += _call(call, text)
    return total + (_function_call(message.function_call, text) if message.function_call is not None else 0)


def _parts(content: Any, text: _Text, model: str) -> int:
    texts, total = [], 0
    for part in content or ():
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        else:
            total += media_bound(part, model)
    return total + (text.joined(texts) if texts else 0)


def _call(call: ToolCall, text: _Text) -> int:
    if isinstance(call, FunctionToolCall):
        return _function_call(call.function, text)
    return PER_CALL + text.bound(call.custom.name) + text.bound(call.custom.input)


def _function_call(call: FunctionCall, text: _Text) -> int:
    return PER_CALL + text.bound(call.name) + text.bound(call.arguments) + _separators(call.arguments)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")


def _separators(json: str) -> int:
    """Return how many tokens it may have more when it is written anew, with spaces between its parts."""
    return json.count(":") + json.count(",")
