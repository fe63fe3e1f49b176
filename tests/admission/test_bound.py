"""The most tokens that a prompt can have."""

import base64
import struct
from typing import Any

import bpe_openai
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.admission.bound import EXACT_BYTES, INSTRUCTIONS, PER_MESSAGE, PER_TOOL, REPLY, TOOLS, prompt_bound
from gateway.admission.media_bound import FILE, PAST_AUDIO
from gateway.providers.tokens import count_tokens
from gateway.wire.chat import parse_chat_request

FRAME = PER_MESSAGE + REPLY


def bound(*messages: dict[str, Any], model: str = "openai/gpt-4o", **fields: Any) -> int:
    """Return the bound of a request."""
    body = msgspec.json.encode({"model": model, "messages": messages, **fields})
    return prompt_bound(parse_chat_request(body)[0])


def user(content: Any) -> dict[str, Any]:
    """Return a user's message."""
    return {"role": "user", "content": content}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}


def test_prompt_that_openai_counted() -> None:
    """OpenAI's cookbook publishes what gpt-4o billed: 101 tokens for this prompt and tool."""
    tokens = bound(
        {
            "role": "system",
            "content": "You are a helpful assistant that can answer to questions about the weather.",
        },
        user("What's the weather like in San Francisco?"),
        tools=[WEATHER],
    )

    assert 101 <= tokens <= 2 * 101


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        pytest.param(user("hi"), 1, id="text"),
        pytest.param(user(""), 0, id="empty"),
        pytest.param({**user("hi"), "name": "example_user"}, 4, id="name"),
        pytest.param(user([{"type": "text", "text": "hi"}]), 1, id="one part"),
        pytest.param(user("<|endoftext|>"), 7, id="a special token is text"),
        pytest.param({"role": "system", "content": "hi"}, 1 + INSTRUCTIONS, id="system"),
        pytest.param({"role": "developer", "content": "hi"}, 1 + INSTRUCTIONS, id="developer"),
        pytest.param({"role": "assistant", "content": "hi"}, 3, id="assistant"),
        pytest.param({"role": "assistant", "content": None, "refusal": "hi"}, 3, id="refusal"),
        pytest.param({"role": "assistant", "content": "hi", "reasoning_content": "hi"}, 4, id="reasoning"),
        pytest.param({"role": "assistant", "content": None, "audio": {"id": "a"}}, 2 + PAST_AUDIO, id="spoken answer"),
        pytest.param({"role": "tool", "tool_call_id": "x", "content": "hi"}, 81, id="tool"),
        pytest.param({"role": "function", "name": "f", "content": "hi"}, 18, id="function"),
    ],
)
def test_text_is_counted_exactly_within_its_frame(message: dict[str, Any], tokens: int) -> None:
    """A table of messages: their tokens beyond the frame of every message."""
    assert bound(message) == FRAME + tokens


def test_tool_calls_are_counted() -> None:
    """Calls count by name and arguments, and a tool's answer by the name that its call tells."""
    call = {"id": "x", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    custom = {"id": "y", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call, custom]}
    answered = {"role": "tool", "tool_call_id": "x", "content": "sunny"}
    name, arguments = count_tokens("get_weather"), count_tokens('{"city":"Paris"}')

    assert bound(asked) == FRAME + 2 + (16 + name + arguments + 1) + (16 + 1 + 1)
    assert bound(asked, answered) - bound(asked) == PER_MESSAGE + 16 + name + count_tokens("sunny")


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=2, max_size=4))
def test_parts_count_apart_and_as_one(texts: list[str]) -> None:
    """Whether a model joins the parts of a message or not, the bound holds."""
    tokens = bound(user([{"type": "text", "text": text} for text in texts])) - FRAME

    assert tokens >= count_tokens("".join(texts))
    assert tokens >= sum(map(count_tokens, texts))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(max_size=200))
def test_no_text_has_more_tokens_than_bytes(text: str) -> None:
    """The bound of long texts holds for all texts."""
    assert count_tokens(text) <= len(text.encode())


@pytest.mark.parametrize("character", ["a", "é", "東", "🙂", "1", " "])
def test_long_text_counts_as_its_bytes(character: str) -> None:
    """Beyond `EXACT_BYTES` the bytes count, after what was counted before."""
    text = character * EXACT_BYTES
    size = len(text.encode())
    fits = text[: EXACT_BYTES // len(character.encode())]

    assert bound(user(fits)) == FRAME + count_tokens(fits)
    assert bound(user("hi"), user(text)) == FRAME + 1 + PER_MESSAGE + size


def test_lone_surrogate_does_not_fail() -> None:
    """What JSON can write and UTF-8 cannot is counted as its replacement."""
    assert count_tokens("a\ud800b") == count_tokens("a\ufffdb")


def test_schemas_and_old_functions_are_counted() -> None:
    """Everything that OpenAI writes into the prompt adds to the bound."""
    plain = bound(user("hi"))
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": WEATHER["function"]}}
    extras: list[dict[str, Any]] = [
        {"response_format": schema},
        {"functions": [WEATHER["function"]]},
        {"tool_choice": {"type": "function", "function": {"name": "get_current_weather"}}},
    ]

    assert bound(user("hi"), response_format={"type": "text"}) == plain
    assert [bound(user("hi"), **extra) > plain + 16 for extra in extras] == [True] * 3
    assert bound(user("hi"), tools=[WEATHER] * 2) - bound(user("hi"), tools=[WEATHER]) > PER_TOOL + 70
    assert bound(user("hi"), tools=[{"type": "function", "function": {"name": "f"}}]) > plain + TOOLS + PER_TOOL


SAMPLES = {
    "English": "The quick brown fox explains how a gateway limits requests, and why every token must be counted. ",
    "German": "Die Überprüfung der Schlüssel erfolgt vor jedem Aufruf; Straßenbahnhaltestellen sind übrigens lang. ",
    "French": "La passerelle doit compter chaque jeton avant d'envoyer la requête au fournisseur, même l'été. ",
    "Polish": "Brama musi policzyć każdy żeton, zanim wyśle żądanie do dostawcy; źródło jest ważne. ",
    "Chinese": "网关在把请求发送给提供商之前必须计算每个令牌，并且限制每分钟的请求数量。",  # noqa: RUF001  # its comma
    "Japanese": "ゲートウェイはリクエストを送る前にトークンを数えなければなりません。",
    "Korean": "게이트웨이는 요청을 보내기 전에 모든 토큰을 계산해야 합니다. ",
    "Hindi": "गेटवे को अनुरोध भेजने से पहले हर टोकन गिनना चाहिए और सीमा लागू करनी चाहिए। ",
    "Arabic": "يجب على البوابة حساب كل رمز قبل إرسال الطلب إلى المزود. ",
    "Russian": "Шлюз должен посчитать каждый токен до отправки запроса поставщику. ",
    "Thai": "เกตเวย์ต้องนับทุกโทเค็นก่อนส่งคำขอไปยังผู้ให้บริการ ",
    "Telugu": "గేట్‌వే అభ్యర్థనను పంపే ముందు ప్రతి టోకెన్‌ను లెక్కించాలి. ",
    "Amharic": "ጥያቄውን ከመላክዎ በፊት እያንዳንዱን ምልክት መቁጠር አለበት። ",
    "Georgian": "კარიბჭემ უნდა დათვალოს ყველა ტოკენი. ",
    "emoji": "🙂👨‍👩‍👧🇩🇪🔥✅",
    "code": "for (int i = 0; i < n; ++i) { if (a[i] != b[i]) return -1; }\n    def f(x: int) -> None:\n        pass\n",
    "digits": "3.14159265358979323846264338327950288419716939937510 ",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ",
}


@pytest.mark.parametrize("vocabulary", ["cl100k_base", "voyage3_base"])
@pytest.mark.parametrize("language", SAMPLES)
def test_other_vocabularies_stay_below_the_bound(language: str, vocabulary: str) -> None:
    """For a name that is not known to be OpenAI's the bound holds with the public vocabularies of others."""
    text = SAMPLES[language] * 3
    tokens = len(bpe_openai.get_encoding(vocabulary).encode_ordinary(text))

    assert tokens <= bound(user(text), model="fast") - FRAME <= 5 * tokens


def image(detail: str | None = None) -> dict[str, Any]:
    """Return an image part."""
    return {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}


def wave(seconds: int, rate: int = 16_000, encoding: int = 1) -> str:
    """Return silence as a WAV file in base64."""
    data = bytes(seconds * rate * 2)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, encoding, 1, rate, rate * 2, 2, 16)
    chunk = head + b"data" + struct.pack("<I", len(data)) + data
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(chunk)) + chunk).decode()


def audio(data: str, kind: str) -> dict[str, Any]:
    """Return an audio part."""
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


@pytest.mark.parametrize(
    ("part", "model", "least", "most"),
    [
        pytest.param(image(), "gpt-4o", 1_445, 1_445, id="image"),
        pytest.param(image("low"), "gpt-4o-2024-08-06", 85, 85, id="image of low detail"),
        pytest.param(image("high"), "gpt-4o-mini", 48_169, 48_169, id="image for a small model"),
        pytest.param(image("high"), "gpt-4.1-mini", 2_489, 2_489, id="image in patches"),
        pytest.param(image(), "fast", 48_169, 48_169, id="image for an alias"),
        pytest.param({"type": "file", "file": {"file_id": "f"}}, "gpt-4o", FILE, FILE, id="file"),
        pytest.param(audio(wave(60), "wav"), "gpt-4o-audio-preview", 600, 1_300, id="a minute of WAV"),
        pytest.param(audio(wave(1, encoding=85), "wav"), "gpt-4o-audio-preview", 600, 700, id="MP3 in WAV"),
        pytest.param(audio("AAAA" * 2_000, "mp3"), "gpt-4o-audio-preview", 60, 130, id="six seconds of MP3 at least"),
        pytest.param(audio("no base64!", "wav"), "gpt-4o-audio-preview", 1, 2, id="not base64"),
    ],
)
def test_media_count_as_the_largest_they_can_be(part: dict[str, Any], model: str, least: int, most: int) -> None:
    """Images by model, recordings by their bytes, files as a whole context."""
    assert least <= bound(user([part]), model=model) - FRAME <= most


def test_gpt_oss_adds_its_system_message() -> None:
    """gpt-oss's format has one of its own, of 68 tokens and 16 more with tools."""
    assert bound(user("hi"), model="openai/gpt-oss-120b") - bound(user("hi")) >= 84


@pytest.mark.parametrize("first", ["openai/gpt-4o", "vendor/unknown"])
def test_what_was_measured_for_one_vocabulary_is_not_taken_for_another(first: str) -> None:
    """A text that came before counts what it would as a new one, whichever model it came for."""
    text = f"Before {first}, in 2024: \u00e9t\u00e9"
    count = count_tokens(text)
    bound(user(text), model=first)

    assert bound(user(text)) - FRAME == count
    more = count + -(-count // 2) + sum(letter in "0123456789" for letter in text) + 2
    assert bound(user(text), model="vendor/unknown") - FRAME == min(len(text.encode()), more)


def test_a_text_over_what_is_left_to_count_has_its_bytes() -> None:
    """Also where its characters are fewer than that, and where it was counted before."""
    text = "\u00e9" * (EXACT_BYTES // 2)

    assert bound(user(text)) < EXACT_BYTES
    assert bound(user("a"), user(text)) - bound(user("a")) - PER_MESSAGE == len(text.encode())
