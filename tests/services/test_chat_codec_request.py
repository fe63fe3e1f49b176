"""A chat request of the contract becomes the JSON that a JSON caller would send."""

import json
import math
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.services.chat_codec import chat_request_body
from gateway.wire.chat import parse_chat_request
from llmgateway.v1.chat_request_pb2 import ChatCompletionRequest
from tests.support.contract_fields import declared, used

HI = {"role": "ROLE_USER", "content": [{"text": "hi"}]}
HI_JSON = {"role": "user", "content": "hi"}
TOOL = {"function": {"name": "f"}}
TOOL_JSON = {"type": "function", "function": {"name": "f"}}


def request(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest(**{"model": "m", "messages": [HI]} | fields)


def sent(chat: ChatCompletionRequest, **options: Any) -> Any:
    return json.loads(chat_request_body(chat, **options))


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "temperature": ({"temperature": 0.7}, {"temperature": 0.7}),
    "temperature-zero": ({"temperature": 0}, {"temperature": 0}),
    "top_p": ({"top_p": 0.1}, {"top_p": 0.1}),
    "max_completion_tokens": ({"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
    "max_tokens": ({"max_tokens": 9}, {"max_tokens": 9}),
    "n": ({"n": 2}, {"n": 2}),
    "seed-largest": ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    "seed-zero": ({"seed": 0}, {"seed": 0}),
    "stop": ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
    "frequency_penalty": ({"frequency_penalty": -2}, {"frequency_penalty": -2}),
    "presence_penalty": ({"presence_penalty": 1.5}, {"presence_penalty": 1.5}),
    "logit_bias": ({"logit_bias": {"50256": -100}}, {"logit_bias": {"50256": -100}}),
    "logprobs": ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    "logprobs-false": ({"logprobs": False}, {"logprobs": False}),
    "reasoning_effort": ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
    "verbosity": ({"verbosity": "high"}, {"verbosity": "high"}),
    "modalities": ({"modalities": ["text", "audio"]}, {"modalities": ["text", "audio"]}),
    "audio": ({"audio": {"voice": "alloy", "format": "mp3"}}, {"audio": {"voice": "alloy", "format": "mp3"}}),
    "audio-custom-voice": (
        {"audio": {"voice_id": "v1", "format": "wav"}},
        {"audio": {"voice": {"id": "v1"}, "format": "wav"}},
    ),
    "prediction-one-part": (
        {"prediction": {"content": ["a"]}},
        {"prediction": {"type": "content", "content": "a"}},
    ),
    "prediction-parts": (
        {"prediction": {"content": ["a", "b"]}},
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
    ),
    "prediction-empty": ({"prediction": {}}, {"prediction": {"type": "content"}}),
    "web_search-empty": ({"web_search_options": {}}, {"web_search_options": {}}),
    "web_search": (
        {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {
                    "country": "NL",
                    "region": "ZH",
                    "city": "Delft",
                    "timezone": "Europe/Amsterdam",
                },
            }
        },
        {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {
                    "type": "approximate",
                    "approximate": {
                        "country": "NL",
                        "region": "ZH",
                        "city": "Delft",
                        "timezone": "Europe/Amsterdam",
                    },
                },
            }
        },
    ),
    "user": ({"user": "u"}, {"user": "u"}),
    "safety_identifier": ({"safety_identifier": "s"}, {"safety_identifier": "s"}),
    "prompt_cache_key": ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    "prompt_cache_retention": ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h"}),
    "prompt_cache_options": (
        {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
        {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
    ),
    "metadata": ({"metadata": {"someKey": "v"}}, {"metadata": {"someKey": "v"}}),
    "store-false": ({"store": False}, {"store": False}),
    "service_tier": ({"service_tier": "flex"}, {"service_tier": "flex"}),
    "moderation": (
        {"moderation": {"model": "omni", "input_mode": "block", "output_mode": "score"}},
        {"moderation": {"model": "omni", "policy": {"input": {"mode": "block"}, "output": {"mode": "score"}}}},
    ),
    "moderation-default-model": (
        {"moderation": {"output_mode": "score"}},
        {"moderation": {"policy": {"output": {"mode": "score"}}}},
    ),
    "response_format-text": ({"response_format": {"text": {}}}, {"response_format": {"type": "text"}}),
    "response_format-json_object": (
        {"response_format": {"json_object": {}}},
        {"response_format": {"type": "json_object"}},
    ),
    "response_format-json_schema": (
        {
            "response_format": {
                "json_schema": {"name": "s", "description": "d", "schema_json": '{"type":"object"}', "strict": False}
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "description": "d", "schema": {"type": "object"}, "strict": False},
            }
        },
    ),
    "tools": (
        {
            "tools": [
                {"function": {"name": "f", "description": "d", "parameters_json": '{"type":"object"}', "strict": True}},
                {"custom": {"name": "c", "description": "d", "grammar": {"definition": "x", "syntax": "lark"}}},
                {"custom": {"name": "free"}},
            ],
            "parallel_tool_calls": False,
        },
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "description": "d",
                        "strict": True,
                        "parameters": {"type": "object"},
                    },
                },
                {
                    "type": "custom",
                    "custom": {
                        "name": "c",
                        "description": "d",
                        "format": {"type": "grammar", "grammar": {"definition": "x", "syntax": "lark"}},
                    },
                },
                {"type": "custom", "custom": {"name": "free"}},
            ],
            "parallel_tool_calls": False,
        },
    ),
    "tool_choice-none": (
        {"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}},
        {"tools": [TOOL_JSON], "tool_choice": "none"},
    ),
    "tool_choice-auto": (
        {"tools": [TOOL], "tool_choice": {"mode": "MODE_AUTO"}},
        {"tools": [TOOL_JSON], "tool_choice": "auto"},
    ),
    "tool_choice-required": (
        {"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}},
        {"tools": [TOOL_JSON], "tool_choice": "required"},
    ),
    "tool_choice-function": (
        {"tools": [TOOL], "tool_choice": {"function_name": "f"}},
        {"tools": [TOOL_JSON], "tool_choice": TOOL_JSON},
    ),
    "tool_choice-custom": (
        {"tools": [{"custom": {"name": "c"}}], "tool_choice": {"custom_name": "c"}},
        {
            "tools": [{"type": "custom", "custom": {"name": "c"}}],
            "tool_choice": {"type": "custom", "custom": {"name": "c"}},
        },
    ),
    "tool_choice-allowed_tools": (
        {
            "tools": [TOOL],
            "tool_choice": {
                "allowed_tools": {"mode": "MODE_AUTO", "tools": [{"function_name": "f"}, {"custom_name": "c"}]}
            },
        },
        {
            "tools": [TOOL_JSON],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [TOOL_JSON, {"type": "custom", "custom": {"name": "c"}}]},
            },
        },
    ),
    "extra_body": ({"extra_body_json": '{"top_k": 5}'}, {"top_k": 5}),
}

MESSAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "system": (
        {"role": "ROLE_SYSTEM", "content": [{"text": "a"}], "name": "n"},
        {"role": "system", "content": "a", "name": "n"},
    ),
    "developer": ({"role": "ROLE_DEVELOPER", "content": [{"text": "a"}]}, {"role": "developer", "content": "a"}),
    "empty-text": ({"role": "ROLE_USER", "content": [{"text": ""}]}, {"role": "user", "content": ""}),
    "no-content": ({"role": "ROLE_USER"}, {"role": "user", "content": ""}),
    "parts-in-order": (
        {
            "role": "ROLE_USER",
            "content": [
                {"text": "look"},
                {"image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"input_audio": {"data": "AAAA", "format": "wav"}},
                {"file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
                {"file": {"file_id": "file-1"}},
                {"text": ""},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "text", "text": ""},
            ],
        },
    ),
    "cache-breakpoint": (
        {
            "role": "ROLE_USER",
            "content": [{"text": "a", "prompt_cache_breakpoint": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}],
        },
    ),
    "cache-breakpoint-mode": (
        {"role": "ROLE_USER", "content": [{"text": "a", "prompt_cache_breakpoint": {"mode": "later"}}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "later"}}]},
    ),
    "assistant-calls-without-content": (
        {
            "role": "ROLE_ASSISTANT",
            "tool_calls": [
                {
                    "id": "1",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                    "extra_content_json": '{"google":{"thought_signature":"x"}}',
                },
                {"id": "2", "custom": {"name": "c", "input": "text"}},
                {"id": "3", "function": {"name": "f"}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                    "extra_content": {"google": {"thought_signature": "x"}},
                },
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "text"}},
                {"id": "3", "type": "function", "function": {"name": "f", "arguments": ""}},
            ],
        },
    ),
    "assistant-rest": (
        {
            "role": "ROLE_ASSISTANT",
            "content": [{"refusal": "no"}],
            "name": "n",
            "refusal": "",
            "audio": {"id": "audio-1"},
            "reasoning_content": "because",
        },
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "no"}],
            "name": "n",
            "refusal": "",
            "audio": {"id": "audio-1"},
            "reasoning_content": "because",
        },
    ),
    "tool": (
        {"role": "ROLE_TOOL", "content": [{"text": "4"}], "tool_call_id": "1"},
        {"role": "tool", "content": "4", "tool_call_id": "1"},
    ),
}


@pytest.mark.parametrize(("fields", "expected"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_is_sent_as_json_callers_write_it(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Only what is set is sent, and the validator of JSON requests accepts it."""
    body = chat_request_body(request(**fields))
    assert json.loads(body) == {"model": "m", "messages": [HI_JSON]} | expected
    parse_chat_request(body)


@pytest.mark.parametrize(("message", "expected"), MESSAGES.values(), ids=MESSAGES.keys())
def test_a_message_is_sent_as_json_callers_write_it(message: dict[str, Any], expected: dict[str, Any]) -> None:
    """One plain text is a string, anything else a list of parts in their order; the validator accepts it."""
    body = chat_request_body(request(messages=[message]))
    assert json.loads(body) == {"model": "m", "messages": [expected]}
    parse_chat_request(body)


def test_the_tables_use_every_field_of_a_request() -> None:
    """A new field of the contract needs a case here."""
    cases = [request(**fields) for fields, _ in SETTINGS.values()]
    cases += [request(messages=[message]) for message, _ in MESSAGES.values()]
    assert used(cases) == declared(ChatCompletionRequest)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, {}, id="whole"),
        pytest.param({"stream": True}, {"stream": True}, id="stream"),
        pytest.param(
            {"stream": True, "include_usage": True},
            {"stream": True, "stream_options": {"include_usage": True}},
            id="usage",
        ),
        pytest.param(
            {"stream": True, "include_obfuscation": False},
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            id="no-obfuscation",
        ),
    ],
)
def test_a_stream_is_asked_for_as_json_callers_do(options: dict[str, Any], expected: dict[str, Any]) -> None:
    """`stream_options` is there only when one of them is chosen."""
    assert sent(request(), **options) == {"model": "m", "messages": [HI_JSON]} | expected


def test_json_texts_keep_order_digits_and_spelling() -> None:
    """A schema reaches the provider byte for byte: order decides the answer's order, digits are not rounded."""
    text = '{"z": 9007199254740993, "a": 1.10,\n "m": 1e400, "\\u00e9": {}}'
    body = chat_request_body(
        request(
            tools=[{"function": {"name": "f", "parameters_json": text}}],
            response_format={"json_schema": {"name": "s", "schema_json": text}},
            extra_body_json=f'{{"x":{text}}}',
        )
    )
    assert body.count(text.encode()) == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param(
            {"tools": [TOOL, {"function": {"name": "g", "parameters_json": '{"a":'}}]},
            "tools[1].function.parameters_json",
            id="parameters",
        ),
        pytest.param(
            {"response_format": {"json_schema": {"name": "s", "schema_json": "{} {}"}}},
            "response_format.json_schema.schema_json",
            id="schema",
        ),
        pytest.param(
            {
                "messages": [
                    HI,
                    {
                        "role": "ROLE_ASSISTANT",
                        "tool_calls": [{"id": "1", "function": {"name": "f"}, "extra_content_json": "{'a':1}"}],
                    },
                ]
            },
            "messages[1].tool_calls[0].extra_content_json",
            id="extra_content",
        ),
        pytest.param(
            {"tools": [{"function": {"name": "f", "parameters_json": "[" * 100_000 + "]" * 100_000}}]},
            "tools[0].function.parameters_json",
            id="too-deep",
        ),
        pytest.param({"extra_body_json": "{"}, "extra_body_json", id="extra-malformed"),
        pytest.param({"extra_body_json": "[1]"}, "extra_body_json", id="extra-not-an-object"),
        pytest.param({"extra_body_json": '{"seed":1}'}, "extra_body_json.seed", id="extra-clash"),
        pytest.param({"extra_body_json": '{"stream":true}'}, "extra_body_json.stream", id="extra-stream"),
        pytest.param({"temperature": math.nan}, "temperature", id="not-a-number"),
        pytest.param({"presence_penalty": math.inf}, "presence_penalty", id="infinite"),
        pytest.param(
            {"messages": [{"role": "ROLE_USER", "tool_call_id": "1"}]}, "messages[0].tool_call_id", id="not-of-user"
        ),
        pytest.param(
            {"messages": [{"role": "ROLE_TOOL", "name": "n", "tool_call_id": "1"}]},
            "messages[0].name",
            id="not-of-tool",
        ),
    ],
)
def test_what_json_cannot_show_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    """The error names the field by its path in the contract."""
    with pytest.raises(InvalidRequest) as caught:
        chat_request_body(request(**fields))
    assert caught.value.param == param
    assert param.rsplit(".", maxsplit=1)[-1] in caught.value.message


@pytest.mark.parametrize(
    ("chat", "param"),
    [
        pytest.param(ChatCompletionRequest(messages=[HI]), "model", id="model"),
        pytest.param(ChatCompletionRequest(model="m"), "messages", id="messages"),
        pytest.param(request(messages=[{"content": [{"text": "a"}]}]), "messages[0].role", id="role"),
        pytest.param(request(messages=[HI | {"role": 99}]), "messages[0].role", id="unknown-role"),
        pytest.param(
            request(messages=[{"role": "ROLE_USER", "content": [{}]}]), "messages[0].content[0].type", id="part"
        ),
        pytest.param(
            request(messages=[{"role": "ROLE_ASSISTANT", "tool_calls": [{"id": "1"}]}]),
            "messages[0].tool_calls[0].type",
            id="call",
        ),
        pytest.param(
            request(messages=[{"role": "ROLE_TOOL", "content": [{"text": "4"}]}]),
            "messages[0].tool_call_id",
            id="tool_call_id",
        ),
        pytest.param(request(tools=[{}]), "tools[0].type", id="tool"),
        pytest.param(request(tool_choice={}), "tool_choice.type", id="tool_choice"),
        pytest.param(request(tool_choice={"mode": "MODE_UNSPECIFIED"}), "tool_choice.type", id="tool_choice-mode"),
        pytest.param(
            request(tool_choice={"allowed_tools": {"mode": "MODE_NONE", "tools": [{"function_name": "f"}]}}),
            "tool_choice.allowed_tools.mode",
            id="allowed_tools-none",
        ),
        pytest.param(
            request(tool_choice={"allowed_tools": {"mode": "MODE_AUTO"}}),
            "tool_choice.allowed_tools.tools",
            id="allowed_tools-empty",
        ),
        pytest.param(request(response_format={}), "response_format.type", id="response_format"),
    ],
)
def test_a_required_field_that_is_unset_is_found_missing(chat: ChatCompletionRequest, param: str) -> None:
    """It is left out, so that the one validator says the same as to a JSON caller."""
    with pytest.raises(InvalidRequest) as caught:
        parse_chat_request(chat_request_body(chat))
    assert caught.value.param == param


def test_an_extra_field_is_an_unknown_field_to_the_validator() -> None:
    """Targets that do not forward unknown fields refuse it by name, as they do for JSON callers."""
    _, unknown = parse_chat_request(chat_request_body(request(extra_body_json='{"top_k":5}')))
    assert unknown is not None
    assert unknown.param == "top_k"
