"""What Ollama receives for an OpenAI request. The vendor here fails a test whose request has an unknown field."""

import base64
import json
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.providers.base import Provider
from tests.support.ollama_vendor import answer, ndjson, text_lines
from tests.support.provider_calls import HELLO, blocks_of, chat_call, running_provider
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Stream

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n pixel").decode()
SCHEMA = {"type": "object", "properties": {"z": {"type": "integer"}, "a": {"type": "string"}}, "required": ["z"]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}},
            "additionalProperties": False,
        },
        "strict": True,
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
TIME_SENT = {"type": "function", "function": {"name": "get_time"}}


async def sent(vendor: StrictVendor, provider: Provider, **request: Any) -> dict[str, Any]:
    """The body that Ollama received."""
    vendor.script_json(answer({"content": "hi"}))
    await provider.complete(chat_call(**request))
    return vendor.received[-1].body


async def test_a_plain_request_has_nothing_that_the_caller_did_not_set(
    ollama_vendor: StrictVendor, ollama: Provider
) -> None:
    """Only the model, the messages, and `stream`, which Ollama would otherwise take as true."""
    body = await sent(ollama_vendor, ollama)

    assert body == {"model": "llama3.2", "messages": [{"role": "user", "content": "hello"}], "stream": False}
    assert ollama_vendor.received[0].path == "/api/chat"


async def test_a_streamed_request_says_so(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """`stream` is true; OpenAI's `stream_options` stay here."""
    ollama_vendor.script(Stream([ndjson(text_lines("hi"))], content_type="application/x-ndjson"))
    await blocks_of(ollama, chat_call(stream=True, stream_options={"include_usage": True}))

    assert ollama_vendor.received[0].body["stream"] is True


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        pytest.param({"temperature": 0}, {"options": {"temperature": 0.0}}, id="temperature 0 counts"),
        pytest.param({"top_p": 0.5}, {"options": {"top_p": 0.5}}, id="top_p"),
        pytest.param({"seed": -7}, {"options": {"seed": -7}}, id="seed"),
        pytest.param(
            {"frequency_penalty": 0.5, "presence_penalty": -1},
            {"options": {"frequency_penalty": 0.5, "presence_penalty": -1.0}},
            id="penalties",
        ),
        pytest.param({"max_tokens": 9}, {"options": {"num_predict": 9}}, id="max_tokens"),
        pytest.param(
            {"max_tokens": 9, "max_completion_tokens": 5}, {"options": {"num_predict": 5}}, id="max_completion_tokens"
        ),
        pytest.param({"stop": "END"}, {"options": {"stop": ["END"]}}, id="stop as text"),
        pytest.param({"stop": ["a", "b"]}, {"options": {"stop": ["a", "b"]}}, id="stop as list"),
        pytest.param({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}, id="logprobs"),
        pytest.param({"reasoning_effort": "none"}, {"think": False}, id="no thinking"),
        pytest.param({"reasoning_effort": "minimal"}, {"think": "low"}, id="minimal thinking"),
        pytest.param({"reasoning_effort": "medium"}, {"think": "medium"}, id="medium thinking"),
        pytest.param({"reasoning_effort": "xhigh"}, {"think": "max"}, id="most thinking"),
        pytest.param({"response_format": {"type": "json_object"}}, {"format": "json"}, id="JSON mode"),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            {"format": SCHEMA},
            id="JSON schema",
        ),
        pytest.param({"response_format": {"type": "text"}}, {}, id="text format"),
        pytest.param({"tools": [TIME]}, {"tools": [TIME_SENT]}, id="a tool without parameters"),
        pytest.param({"tools": [WEATHER, TIME], "tool_choice": "none"}, {}, id="no tool wanted"),
        pytest.param({"tools": [TIME], "tool_choice": "auto"}, {"tools": [TIME_SENT]}, id="any tool"),
        pytest.param(
            {
                "tools": [WEATHER, TIME],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "get_time"}}],
                    },
                },
            },
            {"tools": [TIME_SENT]},
            id="allowed tools",
        ),
        pytest.param(
            {"n": 1, "store": False, "parallel_tool_calls": True, "modalities": ["text"]},
            {},
            id="values that ask for nothing",
        ),
    ],
)
async def test_parameters_are_translated(
    ollama_vendor: StrictVendor, ollama: Provider, request_fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Sampling goes to `options`, the rest to Ollama's own fields."""
    body = await sent(ollama_vendor, ollama, **request_fields)

    assert {name: value for name, value in body.items() if name not in {"model", "messages", "stream"}} == expected


async def test_a_tool_s_nested_schema_arrives_whole(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Nothing of `parameters` is lost; `strict`, which Ollama does not have, stays here."""
    body = await sent(ollama_vendor, ollama, tools=[WEATHER])

    function = {name: value for name, value in WEATHER["function"].items() if name != "strict"}  # type: ignore[attr-defined]
    assert body["tools"] == [{"type": "function", "function": function}]


async def test_a_schema_keeps_the_order_of_its_properties(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Their order decides the order of the output."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    await sent(ollama_vendor, ollama, response_format=schema)

    assert json.dumps(SCHEMA)[1:-1] in json.dumps(ollama_vendor.received[0].body["format"])


async def test_a_conversation_with_tools_is_translated(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Roles, thoughts, arguments as an object, and each result with the name of its tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"b": 1, "a": [2]}'}}
    body = await sent(
        ollama_vendor,
        ollama,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "assistant", "content": "", "refusal": "I will not."},
        ],
    )

    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"id": "call_1", "function": {"name": "get_weather", "arguments": {"b": 1, "a": [2]}}}],
        },
        {"role": "tool", "content": "sunny", "tool_name": "get_weather", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "I will not."},
    ]


async def test_a_repeated_call_id_means_the_last_call(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """A result belongs to the latest call with its id."""

    def turn(name: str) -> list[dict[str, Any]]:
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
        return [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        ]

    body = await sent(ollama_vendor, ollama, messages=[*HELLO, *turn("first"), *turn("second")])

    assert [message["tool_name"] for message in body["messages"] if message["role"] == "tool"] == ["first", "second"]


async def test_images_and_audio_travel_as_bare_base64(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Texts are joined, media go to `images` of the same message."""
    content = [
        {"type": "text", "text": "What is "},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": f"data:;base64,{PIXEL}"}},
        {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
        {"type": "text", "text": "this?"},
    ]
    body = await sent(ollama_vendor, ollama, messages=[{"role": "user", "content": content}])

    assert body["messages"] == [{"role": "user", "content": "What is this?", "images": [PIXEL] * 3}]


async def test_a_huge_image_travels_whole(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """8 MiB of it; how large a request may be is the gateway's `MAX_BODY_BYTES`."""
    huge = base64.b64encode(bytes(8 * 1024 * 1024)).decode()
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{huge}"}}]
    body = await sent(ollama_vendor, ollama, messages=[{"role": "user", "content": content}])

    assert body["messages"][0]["images"] == [huge]


@pytest.mark.parametrize(
    ("request_fields", "param", "code"),
    [
        pytest.param({"logit_bias": {"5": 1}}, "logit_bias", "unsupported_parameter", id="logit_bias"),
        pytest.param({"n": 2}, "n", "unsupported_parameter", id="n"),
        pytest.param({"user": "u-1"}, "user", "unsupported_parameter", id="user"),
        pytest.param({"store": True}, "store", "unsupported_parameter", id="store"),
        pytest.param({"metadata": {"a": "b"}}, "metadata", "unsupported_parameter", id="metadata"),
        pytest.param({"verbosity": "low"}, "verbosity", "unsupported_parameter", id="verbosity"),
        pytest.param({"service_tier": "flex"}, "service_tier", "unsupported_parameter", id="service_tier"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter", id="audio out"),
        pytest.param(
            {"tools": [TIME], "parallel_tool_calls": False},
            "parallel_tool_calls",
            "unsupported_parameter",
            id="one call at a time",
        ),
        pytest.param(
            {"tools": [TIME], "tool_choice": "required"}, "tool_choice", "unsupported_parameter", id="required tool"
        ),
        pytest.param(
            {"tools": [TIME], "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            "tool_choice",
            "unsupported_parameter",
            id="forced tool",
        ),
        pytest.param(
            {"tools": [TIME], "tool_choice": "sometimes"}, "tool_choice", "invalid_value", id="unknown tool choice"
        ),
        pytest.param(
            {"tools": [TIME, {"type": "custom", "custom": {"name": "sh"}}]},
            "tools[1].custom",
            "unsupported_parameter",
            id="custom tool",
        ),
        pytest.param({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", id="unknown effort"),
        pytest.param(
            {"messages": [{"role": "user", "name": "bob", "content": "hi"}]},
            "messages[0].name",
            "unsupported_parameter",
            id="name of a speaker",
        ),
        pytest.param({"tools": [TIME, TIME]}, "tools[1].function.name", "invalid_value", id="two tools with one name"),
        pytest.param(
            {"messages": [*HELLO, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]},
            "messages[1].tool_call_id",
            "invalid_value",
            id="a result for no call",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                            {"id": "d", "type": "function", "function": {"name": "f", "arguments": "[1]"}},
                        ],
                    }
                ]
            },
            "messages[0].tool_calls[1].function.arguments",
            "invalid_value",
            id="arguments that are no JSON object",
        ),
        pytest.param(
            {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]},
            "messages[0].audio",
            "unsupported_parameter",
            id="past audio",
        ),
        *(
            pytest.param(
                {"messages": [*HELLO, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]},
                "messages[1].content[0].image_url.url",
                "invalid_value",
                id=name,
            )
            for name, url in {
                "an image on the web": "https://127.0.0.1/cat.png",
                "a local file": "/etc/hostname",
                "broken base64": "data:image/png;base64,@@@",
                "no base64": "data:image/png,abc",
                "an empty image": "data:image/png;base64,",
                "a PDF as image": f"data:application/pdf;base64,{PIXEL}",
            }.items()
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages[0].content[0]",
            "unsupported_parameter",
            id="a file",
        ),
    ],
)
async def test_what_ollama_cannot_be_told_is_refused_by_name(
    ollama: Provider, ollama_vendor: StrictVendor, request_fields: dict[str, Any], param: str, code: str
) -> None:
    """422 with the path of the field, before Ollama is asked."""
    with pytest.raises(InvalidRequest) as caught:
        await ollama.complete(chat_call(**request_fields))

    assert (caught.value.param, caught.value.code) == (param, code)
    assert ollama_vendor.received == []


async def test_the_refusal_names_the_provider(ollama: Provider) -> None:
    """The caller sees which provider lacks the parameter."""
    with pytest.raises(InvalidRequest, match=r"provider 'ollama' does not have 'logit_bias'"):
        await ollama.complete(chat_call(logit_bias={"5": 1}))


async def test_unsupported_parameters_can_be_dropped(ollama_vendor: StrictVendor) -> None:
    """With `unsupported_parameters: drop` the request goes out without them."""
    async with running_provider("ollama", ollama_vendor.url, unsupported_parameters="drop") as provider:
        body = await sent(
            ollama_vendor,
            provider,
            logit_bias={"5": 1},
            n=3,
            user="u",
            messages=[{"role": "user", "name": "bob", "content": "hi"}],
            tools=[TIME, WEATHER, {"type": "custom", "custom": {"name": "sh"}}],
            tool_choice={"type": "function", "function": {"name": "get_time"}},
        )

    assert body == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "tools": [TIME_SENT],
    }


async def test_content_is_never_dropped(ollama_vendor: StrictVendor) -> None:
    """What a message says is no parameter: it is refused even where parameters are dropped."""
    async with running_provider("ollama", ollama_vendor.url, unsupported_parameters="drop") as provider:
        with pytest.raises(InvalidRequest):
            await provider.complete(
                chat_call(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}])
            )


async def test_ollama_s_own_fields_can_be_forwarded(ollama_vendor: StrictVendor) -> None:
    """With `unknown_fields: forward`, `keep_alive` and `options` travel on; what OpenAI's fields say counts more."""
    async with running_provider("ollama", ollama_vendor.url, unknown_fields="forward") as provider:
        body = await sent(
            ollama_vendor,
            provider,
            keep_alive="10m",
            options={"num_ctx": 8192, "temperature": 0.1},
            temperature=0.7,
        )

    assert body["keep_alive"] == "10m"
    assert body["options"] == {"num_ctx": 8192, "temperature": 0.7}


async def test_the_operator_s_output_cap_holds_where_the_caller_sets_none(ollama_vendor: StrictVendor) -> None:
    """`max_output_tokens` becomes `num_predict`, unless the caller said less or more."""
    async with running_provider("ollama", ollama_vendor.url, max_output_tokens=64) as provider:
        capped = await sent(ollama_vendor, provider)
        own = await sent(ollama_vendor, provider, max_tokens=5)

    assert (capped["options"], own["options"]) == ({"num_predict": 64}, {"num_predict": 5})


async def test_the_sdk_s_identity_is_sent(ollama_vendor: StrictVendor) -> None:
    """The key of the settings as Bearer, the operator's headers, and the SDK's user agent."""
    async with running_provider("ollama", ollama_vendor.url + "/", headers={"X-Team": "blue"}) as provider:
        await sent(ollama_vendor, provider)

    headers = {name.lower(): value for name, value in ollama_vendor.received[0].headers.items()}
    assert headers["authorization"] == "Bearer sk-vendor-secret"
    assert headers["x-team"] == "blue"
    assert headers["user-agent"].startswith("ollama-python/")
    assert headers["content-type"] == "application/json"


async def test_a_key_of_the_environment_goes_to_no_other_host(
    ollama_vendor: StrictVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would add `OLLAMA_API_KEY` to requests of every host."""
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-cloud-secret")
    async with running_provider("ollama", ollama_vendor.url, api_key="") as provider:
        await sent(ollama_vendor, provider)

    assert "Authorization" not in ollama_vendor.received[0].headers
