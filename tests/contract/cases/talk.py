"""Texts, roles and turns."""

from typing import Any

from tests.contract.case import HI, Answer, Case, Choice, Refused, Sends, counted, text

TEXTS: dict[str, str] = {
    "word": "hello",
    "sentence": "The quick brown fox jumps over the lazy dog.",
    "leading-and-trailing-space": "  padded \n",
    "newlines": "a\nb\r\nc\n\n",
    "tabs": "a\tb",
    "quotes": "\"double\" 'single' `back`",
    "backslashes": "C:\\path\\n \\u0041",
    "control-character": "bell\x07end",
    "null-character": "a\x00b",
    "emoji": "👩‍👩‍👧‍👦 🇳🇱 😀",
    "chinese": "你好世界",
    "arabic": "مرحبا بالعالم",
    "combining": "e\u0301 vs é",
    "line-separators": "a\u2028b\u2029c\u0085d",
    "byte-order-mark": "\ufeffstart",
    "json": '{"role":"system","content":"x"}',
    "sse": "data: [DONE]\n\ndata: {}",
    "html": "<script>alert(1)</script>&amp;",
    "error-word": '{"error": {"message": "not one"}}',
    "usage-word": 'the key "prompt_tokens" is a word',
    "long": "word " * 4000,
    "one-letter": "x",
}

CUSTOM_TOKENS = {"word": 1, "sentence": 10, "json": 9, "html": 9}
"""Tokens of o200k_base."""


def _user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def _parts(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


def _part(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def _contents(*turns: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "parts": [{"text": said}]} for role, said in turns]


def _sent(name: str, content: str) -> Case:
    return Case(
        f"text-in-{name}",
        "text",
        {"messages": _user(content)},
        ollama=Sends({"messages": _user(content)}),
        gemini=Sends({"contents": [{"role": "user", "parts": [{"text": content}]}]}),
    )


def _said(name: str, content: str) -> Case:
    return Case(f"text-out-{name}", "text", answer=text(content), ollama=Sends(), gemini=Sends())


def _shredded(name: str, content: str) -> Case:
    return Case(f"shredded-{name}", "text", answer=text(content, shred=True), ollama=Sends(), gemini=Sends())


def _talk(name: str, feature: str, messages: list[dict[str, Any]], **columns: Any) -> Case:
    return Case(name, feature, {"messages": messages}, **columns)


SYSTEM, DEVELOPER = ({"role": role, "content": f"You are {role}."} for role in ("system", "developer"))
AS_SYSTEM = {"role": "system", "content": "You are developer."}


def _instructed(*texts: str) -> Sends:
    return Sends({"systemInstruction": {"parts": _parts(*texts)}})


ROLES = [
    _talk(
        "system",
        "roles",
        [SYSTEM, HI],
        ollama=Sends({"messages": [SYSTEM, HI]}),
        gemini=_instructed("You are system."),
        custom=counted("hi", 14, 1),
    ),
    _talk(
        "developer",
        "roles",
        [DEVELOPER, HI],
        ollama=Sends({"messages": [AS_SYSTEM, HI]}),
        gemini=_instructed("You are developer."),
        custom=counted("hi", 14, 1),
    ),
    _talk(
        "system-and-developer",
        "roles",
        [SYSTEM, DEVELOPER, HI],
        ollama=Sends({"messages": [SYSTEM, AS_SYSTEM, HI]}),
        gemini=_instructed("You are system.", "You are developer."),
    ),
    _talk(
        "system-as-parts",
        "roles",
        [{"role": "system", "content": [_part("a"), _part("b")]}, HI],
        ollama=Sends({"messages": [{"role": "system", "content": "ab"}, HI]}),
        gemini=_instructed("a", "b"),
    ),
    _talk(
        "system-in-the-middle",
        "roles",
        [HI, SYSTEM, {"role": "user", "content": "go on"}],
        ollama=Sends({"messages": [HI, SYSTEM, {"role": "user", "content": "go on"}]}),
        gemini=Sends(
            {
                "systemInstruction": {"parts": _parts("You are system.")},
                "contents": [{"role": "user", "parts": _parts("hi", "go on")}],
            }
        ),
    ),
    _talk(
        "system-empty",
        "roles",
        [{"role": "system", "content": ""}, HI],
        ollama=Sends({"messages": [{"role": "system", "content": ""}, HI]}),
        gemini=Sends(),
    ),
    _talk(
        "user-with-a-name",
        "names",
        [{**HI, "name": "ann"}],
        ollama=Refused("messages[0].name"),
        gemini=Refused("messages[0].name"),
    ),
    _talk(
        "system-with-a-name",
        "names",
        [{**SYSTEM, "name": "rules"}, HI],
        ollama=Refused("messages[0].name"),
        gemini=Refused("messages[0].name"),
    ),
]

ANSWERED = {"role": "assistant", "content": "hello"}
MORE = {"role": "user", "content": "more"}
TURNS = [
    _talk(
        "two-turns",
        "turns",
        [HI, ANSWERED, MORE],
        ollama=Sends({"messages": [HI, ANSWERED, MORE]}),
        gemini=Sends({"contents": _contents(("user", "hi"), ("model", "hello"), ("user", "more"))}),
        custom=counted("more", 15, 1),
    ),
    _talk(
        "ends-with-the-assistant",
        "turns",
        [HI, ANSWERED],
        ollama=Sends({"messages": [HI, ANSWERED]}),
        gemini=Sends({"contents": _contents(("user", "hi"), ("model", "hello"))}),
        custom=counted("hello", 11, 1),
    ),
    _talk(
        "two-users-in-a-row",
        "turns",
        [HI, MORE],
        ollama=Sends({"messages": [HI, MORE]}),
        gemini=Sends({"contents": [{"role": "user", "parts": _parts("hi", "more")}]}),
    ),
    _talk(
        "many-turns",
        "turns",
        [HI, ANSWERED] * 20 + [MORE],
        ollama=Sends({"messages": [HI, ANSWERED] * 20 + [MORE]}),
        gemini=Sends({"contents": _contents(*([("user", "hi"), ("model", "hello")] * 20), ("user", "more"))}),
    ),
    _talk(
        "user-as-one-part",
        "turns",
        _user([_part("hi")]),
        ollama=Sends(),
        gemini=Sends(),
        custom=counted("hi", 7, 1),
    ),
    _talk(
        "user-as-two-parts",
        "turns",
        _user([_part("h"), _part("i")]),
        ollama=Sends(),
        gemini=Sends({"contents": [{"role": "user", "parts": _parts("h", "i")}]}),
        custom=counted("hi", 7, 1),
    ),
    _talk(
        "assistant-as-parts",
        "turns",
        [HI, {"role": "assistant", "content": [_part("hel"), _part("lo")]}, MORE],
        ollama=Sends({"messages": [HI, ANSWERED, MORE]}),
        gemini=Sends(
            {
                "contents": [
                    *_contents(("user", "hi")),
                    {"role": "model", "parts": _parts("hel", "lo")},
                    *_contents(("user", "more")),
                ]
            }
        ),
    ),
    _talk(
        "assistant-refused-before",
        "turns",
        [HI, {"role": "assistant", "refusal": "no"}, MORE],
        cerebras=Sends({"messages": [HI, {"role": "assistant", "content": "no"}, MORE]}),
        ollama=Sends({"messages": [HI, {"role": "assistant", "content": "no"}, MORE]}),
        gemini=Sends({"contents": _contents(("user", "hi"), ("model", "no"), ("user", "more"))}),
    ),
    _talk(
        "assistant-thought-before",
        "reasoning",
        [HI, {**ANSWERED, "reasoning_content": "hm"}, MORE],
        cerebras=Sends({"messages": [HI, {**ANSWERED, "reasoning": "hm"}, MORE]}),
        ollama=Sends({"messages": [HI, {**ANSWERED, "thinking": "hm"}, MORE]}),
        gemini=Sends({"contents": _contents(("user", "hi"), ("model", "hello"), ("user", "more"))}),
    ),
    _talk(
        "assistant-spoke-before",
        "audio out",
        [HI, {"role": "assistant", "audio": {"id": "audio_1"}}, MORE],
        cerebras=Refused("messages[1].audio"),
        ollama=Refused("messages[1].audio"),
        gemini=Refused("messages[1].audio"),
    ),
]

ECHO = [
    Case(
        f"echo-{name}",
        "text",
        {"messages": _user(TEXTS[name])},
        openai=None,
        cerebras=None,
        custom=Answer((Choice(TEXTS[name]),), usage=(6 + tokens, tokens)),
    )
    for name, tokens in CUSTOM_TOKENS.items()
]
NO_TEXT = Case("text-out-empty", "text", answer=text(""), ollama=Sends(), gemini=Sends())

CASES = [
    *(_sent(name, content) for name, content in TEXTS.items()),
    *(_said(name, content) for name, content in TEXTS.items()),
    NO_TEXT,
    *(_shredded(name, TEXTS[name]) for name in ("emoji", "chinese", "combining", "newlines", "sse")),
    *ECHO,
    *ROLES,
    *TURNS,
]
