"""What Cerebras receives for an OpenAI request. The vendor here fails a test whose request has an unknown field."""

from typing import Any

import pytest

from gateway.errors import InvalidRequest, UnsupportedFeature
from gateway.providers.base import Provider
from tests.support.cerebras_vendor import answer, stream
from tests.support.provider_calls import HELLO, chat_call, chunks_of, embedding_call, running_provider
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Stream, sse

TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}, "strict": True}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}


async def sent(vendor: StrictVendor, provider: Provider, **request: Any) -> dict[str, Any]:
    """The body that Cerebras received."""
    vendor.script_json(answer({"content": "hi"}))
    await provider.complete(chat_call("gpt-oss-120b", **request))
    return vendor.received[-1].body


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        pytest.param({"temperature": 0, "top_p": 1}, {"temperature": 0, "top_p": 1}, id="sampling"),
        pytest.param({"seed": 7, "n": 2, "stop": ["a"]}, {"seed": 7, "n": 2, "stop": ["a"]}, id="seed, n, stop"),
        pytest.param(
            {"logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1}},
            {"logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1}},
            id="log probabilities",
        ),
        pytest.param({"user": "u", "prompt_cache_key": "k"}, {"user": "u", "prompt_cache_key": "k"}, id="user and key"),
        pytest.param({"service_tier": "flex"}, {"service_tier": "flex"}, id="service tier"),
        pytest.param({"reasoning_effort": "none"}, {"reasoning_effort": "none"}, id="no reasoning"),
        pytest.param({"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}, id="minimal reasoning"),
        pytest.param({"reasoning_effort": "max"}, {"reasoning_effort": "high"}, id="most reasoning"),
        pytest.param(
            {"tools": [TIME], "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [TIME], "tool_choice": "required", "parallel_tool_calls": False},
            id="tools",
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
            id="JSON schema",
        ),
        pytest.param(
            {"store": False, "metadata": None, "modalities": ["text"], "verbosity": None, "audio": None},
            {},
            id="fields that it does not know, when they ask for nothing",
        ),
        pytest.param({"stream_options": None}, {"stream_options": None}, id="null options"),
    ],
)
async def test_parameters_travel_or_are_translated(
    cerebras_vendor: StrictVendor, cerebras: Provider, request_fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What Cerebras has goes as it came; nothing is sent that its schema lacks, not even null."""
    body = await sent(cerebras_vendor, cerebras, **request_fields)

    assert body == {"model": "gpt-oss-120b", "messages": HELLO, **expected}


async def test_an_answer_may_be_sent_back_as_it_came(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """OpenAI's assistant messages lose what Cerebras refuses; reasoning gets Cerebras's name."""
    body = await sent(
        cerebras_vendor,
        cerebras,
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "reasoning_content": "hm",
                "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "x"}}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": "ok", "reasoning": "as it came"},
        ],
    )

    assert body["messages"] == [
        *HELLO,
        {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
        {"role": "assistant", "content": "No."},
        {"role": "assistant", "content": "ok", "reasoning": "as it came"},
    ]


async def test_usage_is_asked_for_in_every_stream(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """With `include_usage`, and without the padding that Cerebras does not know."""
    cerebras_vendor.script(Stream([sse(*stream({"content": "hi"}))]))
    await chunks_of(cerebras, chat_call(stream=True))
    await chunks_of(
        cerebras, chat_call(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    )

    assert [request.body["stream_options"] for request in cerebras_vendor.received] == [{"include_usage": True}] * 2


@pytest.mark.parametrize(
    ("request_fields", "param"),
    [
        pytest.param({"store": True}, "store", id="store"),
        pytest.param({"metadata": {"a": "b"}}, "metadata", id="metadata"),
        pytest.param({"verbosity": "low"}, "verbosity", id="verbosity"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities", id="audio out"),
        pytest.param({"safety_identifier": "x"}, "safety_identifier", id="safety identifier"),
        pytest.param({"functions": [{"name": "f"}]}, "functions", id="functions"),
        pytest.param({"tools": [{"type": "custom", "custom": {"name": "sh"}}]}, "tools[0]", id="custom tool"),
        pytest.param(
            {"tools": [TIME], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            "tool_choice",
            id="allowed tools",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages[0].content[0]",
            id="a file",
        ),
        pytest.param(
            {"messages": [*HELLO, {"role": "function", "name": "f", "content": "x"}]}, "messages[1].role", id="function"
        ),
        pytest.param({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio", id="past audio"),
    ],
)
async def test_what_cerebras_does_not_have_is_refused_by_name(
    cerebras_vendor: StrictVendor, cerebras: Provider, request_fields: dict[str, Any], param: str
) -> None:
    """422 that names the parameter and the provider, before Cerebras is asked."""
    with pytest.raises(InvalidRequest, match="provider 'cerebras'") as caught:
        await cerebras.complete(chat_call(**request_fields))

    assert (caught.value.param, caught.value.code) == (param, "unsupported_parameter")
    assert cerebras_vendor.received == []


async def test_unsupported_parameters_can_be_dropped(cerebras_vendor: StrictVendor) -> None:
    """With `unsupported_parameters: drop` the request goes out without them."""
    async with running_provider("cerebras", cerebras_vendor.url, unsupported_parameters="drop") as provider:
        body = await sent(
            cerebras_vendor,
            provider,
            store=True,
            metadata={"a": "b"},
            tools=[TIME, {"type": "custom", "custom": {"name": "sh"}}],
            tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        )

    assert body == {"model": "gpt-oss-120b", "messages": HELLO, "tools": [TIME]}


async def test_cerebras_s_own_fields_travel_on(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """Its own reasoning switches need no setting."""
    body = await sent(cerebras_vendor, cerebras, reasoning_format="hidden", clear_thinking=False)

    assert (body["reasoning_format"], body["clear_thinking"]) == ("hidden", False)


async def test_a_field_that_nobody_knows_is_refused(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """Also beside one that Cerebras has."""
    with pytest.raises(InvalidRequest) as caught:
        await cerebras.complete(chat_call(clear_thinking=True, tempature=0.5))

    assert (caught.value.param, caught.value.code) == ("tempature", "unknown_parameter")
    assert cerebras_vendor.received == []


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_base_url_is_given_with_or_without_v1(cerebras_vendor: StrictVendor, suffix: str) -> None:
    """Cerebras's SDK leaves `/v1` out, OpenAI's has it."""
    async with running_provider("cerebras", cerebras_vendor.url + suffix) as provider:
        await sent(cerebras_vendor, provider)

    assert cerebras_vendor.received[0].path == "/v1/chat/completions"


async def test_the_sdk_s_identity_is_sent(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """The key as Bearer and the SDK's user agent, without its telemetry."""
    await sent(cerebras_vendor, cerebras)

    headers = {name.lower(): value for name, value in cerebras_vendor.received[0].headers.items()}
    assert headers["authorization"] == "Bearer sk-vendor-secret"
    assert headers["user-agent"].startswith("AsyncCerebras/")
    assert not [name for name in headers if name.startswith("x-stainless-")]


async def test_building_the_provider_reaches_no_network(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """The SDK would warm up a connection, and block on it."""
    assert cerebras_vendor.connections == 0


async def test_cerebras_makes_no_embeddings(cerebras: Provider) -> None:
    """501, as the vendor has no such operation."""
    with pytest.raises(UnsupportedFeature, match="'cerebras'"):
        await cerebras.embed(embedding_call(input="a"))


async def test_models_are_listed(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """`GET /v1/models` is OpenAI's."""
    card = {"id": "gpt-oss-120b", "object": "model", "created": 1768248967, "owned_by": "OpenAI"}
    cerebras_vendor.script_json({"object": "list", "data": [card]})
    (model,) = await cerebras.models()

    assert (model.id, model.created, model.owned_by) == ("gpt-oss-120b", 1768248967, "OpenAI")
    assert cerebras_vendor.received[0].path == "/v1/models"
