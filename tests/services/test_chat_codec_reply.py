"""OpenAI's answers to chat requests become messages of the contract."""

import json
from typing import Any

import pytest

from gateway.errors import ProviderError
from gateway.services.chat_codec import chunk_message, completion_message
from llmgateway.v1.chat_chunk_pb2 import ChatCompletionChunk
from llmgateway.v1.chat_completion_pb2 import ChatCompletion
from tests.support.contract_fields import declared, used

HEAD: dict[str, Any] = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOKENS_JSON = [
    {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [
            {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
            {"token": "x", "logprob": -9999.0, "bytes": None},
        ],
    },
    {"token": "<|end|>", "logprob": -1, "bytes": None, "top_logprobs": []},
]
TOKENS: list[dict[str, Any]] = [
    {
        "token": "é",
        "logprob": -0.5,
        "token_bytes": b"\xc3\xa9",
        "top_logprobs": [
            {"token": "é", "logprob": -0.5, "token_bytes": b"\xc3\xa9"},
            {"token": "x", "logprob": -9999.0},
        ],
    },
    {"token": "<|end|>", "logprob": -1},
]
USAGE: dict[str, Any] = {
    "prompt_tokens": 5,
    "completion_tokens": 7,
    "total_tokens": 12,
    "prompt_tokens_details": {
        "cached_tokens": 0,
        "cache_write_tokens": 1,
        "text_tokens": 2,
        "audio_tokens": 3,
        "image_tokens": 4,
    },
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "text_tokens": 1,
        "audio_tokens": 2,
        "accepted_prediction_tokens": 3,
        "rejected_prediction_tokens": 4,
    },
}
CITATION = {"url": "https://example.com", "title": "t", "start_index": 1, "end_index": 4}
AUDIO = {"id": "audio-1", "data": "AAAA", "transcript": "hi", "expires_at": 1_700_000_100}

SAID: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"content": "hi"}, {"content": "hi"}),
    "empty-text": ({"content": ""}, {"content": ""}),
    "null-text": ({"content": None, "refusal": None}, {}),
    "refusal": ({"content": None, "refusal": "no"}, {"refusal": "no"}),
    "reasoning_content": ({"reasoning_content": "because"}, {"reasoning_content": "because"}),
    "reasoning-synonym": ({"reasoning": "because"}, {"reasoning_content": "because"}),
    "reasoning-both": ({"reasoning_content": "a", "reasoning": "b"}, {"reasoning_content": "a"}),
    "reasoning-null": ({"reasoning_content": None, "reasoning": None}, {}),
    "annotations": (
        {"annotations": [{"type": "url_citation", "url_citation": CITATION}, {"type": "new_kind", "new_kind": {}}]},
        {"annotations": [{"url_citation": CITATION}, {}]},
    ),
    "annotations-empty": ({"annotations": []}, {}),
    "annotations-null": ({"annotations": None}, {}),
    "audio": ({"audio": AUDIO}, {"audio": AUDIO}),
    "audio-null": ({"audio": None}, {}),
    "tool_calls-null": ({"tool_calls": None}, {}),
    "unknown-field": ({"content": "hi", "vendor": 1}, {"content": "hi"}),
}
"""What a message and a delta have in common."""

COMPLETIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "empty": ({"choices": []}, {}),
    "choice": (
        {
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"},
                {"index": 1, "message": {"role": "assistant"}, "finish_reason": None, "logprobs": None},
            ],
        },
        {
            "choices": [
                {"message": {"role": "ROLE_ASSISTANT", "content": "a"}, "finish_reason": "stop"},
                {"index": 1, "message": {"role": "ROLE_ASSISTANT"}},
            ]
        },
    ),
    "tool_calls": (
        {
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            CALL | {"extra_content": {"google": {"n": 9007199254740993}}},
                            {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}},
                            {"id": "call_3", "type": "new_kind", "extra_content": None},
                        ],
                    },
                    "finish_reason": "tool_calls",
                }
            ]
        },
        {
            "choices": [
                {
                    "message": {
                        "role": "ROLE_ASSISTANT",
                        "tool_calls": [
                            {
                                "id": "call_1",
                                "function": {"name": "f", "arguments": "{}"},
                                "extra_content_json": '{"google": {"n": 9007199254740993}}',
                            },
                            {"id": "call_2", "custom": {"name": "c", "input": "x"}},
                            {"id": "call_3"},
                        ],
                    },
                    "finish_reason": "tool_calls",
                }
            ]
        },
    ),
    "logprobs": (
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"content": "é"},
                    "finish_reason": "stop",
                    "logprobs": {"content": TOKENS_JSON, "refusal": TOKENS_JSON[:1]},
                }
            ]
        },
        {
            "choices": [
                {
                    "message": {"role": "ROLE_ASSISTANT", "content": "é"},
                    "finish_reason": "stop",
                    "logprobs": {"content": TOKENS, "refusal": TOKENS[:1]},
                }
            ]
        },
    ),
    "usage": ({"choices": [], "usage": USAGE}, {"usage": USAGE}),
    "usage-zero": (
        {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
        {"usage": {}},
    ),
    "usage-details-partly-null": (
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": None, "audio_tokens": 0},
                "completion_tokens_details": None,
            },
        },
        {"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"audio_tokens": 0}}},
    ),
    "usage-null": ({"choices": [], "usage": None}, {}),
    "tier-and-fingerprint": (
        {"choices": [], "service_tier": "flex", "system_fingerprint": "fp", "metadata": {"k": "v"}},
        {"service_tier": "flex", "system_fingerprint": "fp", "metadata": {"k": "v"}},
    ),
    "nulls": ({"choices": [], "service_tier": None, "system_fingerprint": None, "metadata": None}, {}),
    "extra": (
        {"choices": [], "moderation": {"n": 9007199254740993}, "service_tier": "flex", "a": None},
        {"service_tier": "flex", "extra_json": '{"moderation":{"n": 9007199254740993},"a":null}'},
    ),
}

CHUNKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "first": (
        {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        },
        {"choices": [{"delta": {"role": "ROLE_ASSISTANT", "content": ""}}]},
    ),
    "last": (
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop", "logprobs": None}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]},
    ),
    "no-role": ({"choices": [{"index": 0, "delta": {"role": None}}]}, {"choices": [{"delta": {}}]}),
    "empty-role": ({"choices": [{"index": 0, "delta": {"role": ""}}]}, {"choices": [{"delta": {}}]}),
    "tool_calls": (
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {
                        "tool_calls": [
                            {"index": 0, **CALL, "extra_content": {"a": 1}},
                            {"index": 1, "function": {"arguments": '{"x'}},
                            {"index": 2, "function": {}},
                            {"index": 3, "custom": {"name": "c", "input": "x"}},
                            {"index": 4, "id": None, "type": None, "function": None},
                        ]
                    },
                }
            ]
        },
        {
            "choices": [
                {
                    "delta": {
                        "tool_calls": [
                            {
                                "id": "call_1",
                                "function": {"name": "f", "arguments": "{}"},
                                "extra_content_json": '{"a": 1}',
                            },
                            {"index": 1, "function": {"arguments": '{"x'}},
                            {"index": 2, "function": {}},
                            {"index": 3, "custom": {"name": "c", "input": "x"}},
                            {"index": 4},
                        ]
                    }
                }
            ]
        },
    ),
    "logprobs": (
        {
            "choices": [
                {"index": 0, "delta": {"content": "é"}, "logprobs": {"content": TOKENS_JSON, "refusal": TOKENS_JSON}}
            ]
        },
        {"choices": [{"delta": {"content": "é"}, "logprobs": {"content": TOKENS, "refusal": TOKENS}}]},
    ),
    "logprobs-empty": (
        {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": None, "refusal": None}}]},
        {"choices": [{"delta": {}, "logprobs": {}}]},
    ),
    "audio-piece": (
        {"choices": [{"index": 0, "delta": {"audio": {"data": "BBBB"}}}]},
        {"choices": [{"delta": {"audio": {"data": "BBBB"}}}]},
    ),
    "usage": ({"choices": [], "usage": USAGE}, {"usage": USAGE}),
    "rest": (
        {"choices": [], "usage": None, "service_tier": "flex", "system_fingerprint": "fp", "obfuscation": "zz"},
        {"service_tier": "flex", "system_fingerprint": "fp", "obfuscation": "zz"},
    ),
    "extra": ({"choices": [], "x_vendor": {"a": 1}}, {"extra_json": '{"x_vendor":{"a": 1}}'}),
}


def body(fields: dict[str, Any]) -> bytes:
    return json.dumps(HEAD | fields).encode()


@pytest.mark.parametrize(("fields", "expected"), COMPLETIONS.values(), ids=COMPLETIONS.keys())
def test_a_whole_answer_keeps_its_meaning(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Nulls and absent fields are unset, zeros and empty texts stay, unknown top-level fields are kept as JSON."""
    assert completion_message(body(fields)) == ChatCompletion(**HEAD | expected)


@pytest.mark.parametrize(("fields", "expected"), CHUNKS.values(), ids=CHUNKS.keys())
def test_a_chunk_keeps_its_meaning(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """As for whole answers; a choice always has its delta, even an empty one."""
    message = chunk_message(body(fields))
    assert message == ChatCompletionChunk(**HEAD | expected)
    assert all(choice.HasField("delta") for choice in message.choices)


@pytest.mark.parametrize(("said", "expected"), SAID.values(), ids=SAID.keys())
def test_the_words_of_both_kinds_of_answer_are_read_alike(said: dict[str, Any], expected: dict[str, Any]) -> None:
    """A message and a delta share what the model says."""
    whole = completion_message(body({"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}))
    piece = chunk_message(body({"choices": [{"index": 0, "delta": said}]}))
    assert whole == ChatCompletion(
        **HEAD, choices=[{"message": {"role": "ROLE_ASSISTANT"} | expected, "finish_reason": "stop"}]
    )
    assert piece == ChatCompletionChunk(**HEAD, choices=[{"delta": expected}])


def test_the_tables_use_every_field_of_an_answer() -> None:
    """A new field of the contract needs a case here."""
    said = [fields for fields, _ in SAID.values()]
    whole = [completion_message(body(fields)) for fields, _ in COMPLETIONS.values()]
    whole += [completion_message(body({"choices": [{"index": 0, "message": words}]})) for words in said]
    assert used(whole) == declared(ChatCompletion)
    pieces = [chunk_message(body(fields)) for fields, _ in CHUNKS.values()]
    pieces += [chunk_message(body({"choices": [{"index": 0, "delta": words}]})) for words in said]
    assert used(pieces) == declared(ChatCompletionChunk)


def choice(**fields: Any) -> bytes:
    return body({"choices": [{"index": 0, "message": {}, "delta": {}} | fields]})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"SECRET", id="not-json"),
        pytest.param(b'["SECRET"]', id="not-an-object"),
        pytest.param(b'{"error":{"message":"SECRET"}}', id="error"),
        pytest.param(body({"choices": "SECRET"}), id="choices-not-a-list"),
        pytest.param(body({"choices": [], "object": "SECRET"}), id="other-object"),
        pytest.param(body({"choices": [], "created": 2**64}), id="created-too-large"),
        pytest.param(body({"choices": [], "id": None}), id="null-id"),
        pytest.param(body({"choices": [], "usage": "SECRET"}), id="usage"),
        pytest.param(body({"choices": [], "usage": "SECRET", "vendor": 1}), id="usage-beside-unknown-field"),
        pytest.param(choice(index=2**31), id="index-too-large"),
        pytest.param(choice(message={"role": "SECRET"}, delta={"role": "SECRET"}), id="unknown-role"),
        pytest.param(choice(message={"content": ["SECRET"]}, delta={"content": ["SECRET"]}), id="content-not-text"),
        pytest.param(
            choice(message={"annotations": "SECRET"}, delta={"annotations": "SECRET"}), id="annotations-not-a-list"
        ),
        pytest.param(
            choice(logprobs={"content": [{"token": "SECRET", "logprob": 0, "bytes": [256]}]}), id="byte-too-large"
        ),
        pytest.param(body({"choices": []}).replace(b"chatcmpl", b"\xff\xff"), id="not-utf-8"),
        pytest.param(body({"choices": []}).replace(b"chatcmpl", b"\\ud800"), id="lone-surrogate"),
        pytest.param(body({"choices": [], "x": 0}).replace(b'"x": 0', b'"x": "\xff"'), id="unknown-field-not-utf-8"),
        pytest.param(
            body({"choices": [], "x": 0}).replace(b"0}", b"[" * 100_000 + b"]" * 100_000 + b"}"), id="too-deep"
        ),
    ],
)
def test_an_answer_of_another_shape_is_the_provider_s_fault(answer: bytes) -> None:
    """The error says so without quoting the answer, neither in its text nor in its cause."""
    for read in (completion_message, chunk_message):
        with pytest.raises(ProviderError, match="broke OpenAI's wire format") as caught:
            read(answer)
        assert "SECRET" not in caught.value.message
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_the_error_says_what_was_expected() -> None:
    """The operator learns which field is wrong."""
    with pytest.raises(ProviderError, match=r"Expected `int`, got `str` - at `\$\.choices\[0\]\.index`"):
        chunk_message(choice(index="SECRET"))
    with pytest.raises(ProviderError, match="missing required field `model`"):
        completion_message(b'{"id":"1","created":1,"choices":[]}')
