"""What Gemini is asked for each field of an OpenAI request."""

import base64
from typing import Any

import pytest

from gateway.errors import InvalidRequest, ModelNotFound
from tests.providers.gemini.driver import HELLO, Driver, asks, call, chat_call, result, tool, user
from tests.support.gemini import Gemini

PNG = base64.b64encode(b"\x89PNG picture").decode()
HELLO_CONTENT = {"role": "user", "parts": [{"text": "hello"}]}
SCHEMA = {
    "type": "object",
    "properties": {"zebra": {"type": "integer"}, "ape": {"$ref": "#/$defs/ape"}},
    "required": ["zebra"],
    "additionalProperties": False,
    "$defs": {"ape": {"type": ["string", "null"]}},
}


async def test_a_text_is_one_user_turn_and_the_key_is_in_its_header(driver: Driver, google: Gemini) -> None:
    """Nothing is sent that the caller did not say, and the key goes nowhere but to its header."""
    body = await driver.sent()

    assert body == {"contents": [HELLO_CONTENT]}
    assert google.received[-1].path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert google.received[-1].headers["x-goog-api-key"] == "AIza-test-key"


@pytest.mark.parametrize("base", ["", "/", "/v1beta", "/v1beta/"], ids=["bare", "slash", "version", "version slash"])
async def test_the_base_url_may_have_the_version(driver: Driver, google: Gemini, base: str) -> None:
    """Both forms of the address are in use."""
    await driver.sent(settings={"base_url": google.url + base})

    assert google.received[-1].path.startswith("/v1beta/models/")


async def test_system_and_developer_messages_are_the_instruction(driver: Driver) -> None:
    """They may stand anywhere; empty texts are left out."""
    body = await driver.sent(
        messages=[
            {"role": "system", "content": "be kind"},
            *HELLO,
            {"role": "developer", "content": [{"type": "text", "text": "be brief"}, {"type": "text", "text": ""}]},
        ]
    )

    assert body["systemInstruction"] == {"parts": [{"text": "be kind"}, {"text": "be brief"}]}
    assert body["contents"] == [HELLO_CONTENT]


async def test_roles_alternate(driver: Driver) -> None:
    """Turns of one role that follow each other become one; an assistant who said nothing is left out."""
    body = await driver.sent(
        messages=[
            *HELLO,
            {"role": "assistant", "content": ""},
            user({"type": "text", "text": "there"}),
            {"role": "assistant", "content": [{"type": "text", "text": "hi"}, {"type": "refusal", "refusal": "no"}]},
            {"role": "assistant", "content": None, "refusal": "never", "reasoning_content": "hm"},
            {"role": "user", "content": "why"},
        ]
    )

    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "hello"}, {"text": "there"}]},
        {"role": "model", "parts": [{"text": "hi"}, {"text": "no"}, {"text": "never"}]},
        {"role": "user", "parts": [{"text": "why"}]},
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param(
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
            id="image data",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "https://example.com/a/cat.jpg?size=2"}},
            {"fileData": {"fileUri": "https://example.com/a/cat.jpg?size=2", "mimeType": "image/jpeg"}},
            id="image address",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "https://example.com/cat"}},
            {"fileData": {"fileUri": "https://example.com/cat"}},
            id="image address without a type",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": PNG}},
            id="wav",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": PNG}},
            id="mp3",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
            {"inlineData": {"mimeType": "application/pdf", "data": PNG}},
            id="pdf data",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": PNG}},
            {"inlineData": {"mimeType": "application/pdf", "data": PNG}},
            id="bare data with a file name",
        ),
    ],
)
async def test_media_become_parts(driver: Driver, part: Any, expected: Any) -> None:
    """Data travels inline; Google fetches https addresses itself."""
    body = await driver.sent(messages=[user({"type": "text", "text": "see"}, part)])

    assert body["contents"][0]["parts"] == [{"text": "see"}, expected]


async def test_a_file_of_the_files_api_is_named_by_its_address(driver: Driver, google: Gemini) -> None:
    """`files/NAME` is what the Files API calls it, its address what a part holds."""
    body = await driver.sent(messages=[user({"type": "file", "file": {"file_id": "files/abc"}})])

    assert body["contents"][0]["parts"] == [{"fileData": {"fileUri": google.url + "/v1beta/files/abc"}}]


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        pytest.param(["low"], "MEDIA_RESOLUTION_LOW", id="low"),
        pytest.param(["high", "high"], "MEDIA_RESOLUTION_HIGH", id="high"),
        pytest.param(["auto"], None, id="auto"),
        pytest.param(["low", "high"], None, id="mixed"),
    ],
)
async def test_the_detail_of_images_is_the_resolution(driver: Driver, details: list[str], expected: str | None) -> None:
    """Gemini has one resolution a request: it is told when all images agree."""
    url = f"data:image/png;base64,{PNG}"
    images = [{"type": "image_url", "image_url": {"url": url, "detail": detail}} for detail in details]
    body = await driver.sent(messages=[user(*images)])

    assert body.get("generationConfig", {}).get("mediaResolution") == expected


async def test_results_of_one_turn_stand_together_in_the_order_of_the_calls(driver: Driver) -> None:
    """Objects stay objects, digit for digit; everything else is wrapped; what follows is a turn of its own."""
    body = await driver.sent(
        messages=[
            *HELLO,
            asks(call("a", arguments='{"n":9007199254740993,"x":1.0}'), call("b", "roll", ""), content="wait"),
            result("b", '{"big":9007199254740993}'),
            result("a", [{"type": "text", "text": "sunny"}]),
            *HELLO,
            asks(call("c"), call("d")),
            result("c", "[1,2]"),
            result("d", "42"),
        ],
        tools=[tool()],
    )

    assert body["contents"] == [
        HELLO_CONTENT,
        {
            "role": "model",
            "parts": [
                {"text": "wait"},
                {"functionCall": {"id": "a", "name": "get_weather", "args": {"n": 9007199254740993, "x": 1.0}}},
                {"functionCall": {"id": "b", "name": "roll", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "a", "name": "get_weather", "response": {"result": "sunny"}}},
                {"functionResponse": {"id": "b", "name": "roll", "response": {"big": 9007199254740993}}},
            ],
        },
        HELLO_CONTENT,
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c", "name": "get_weather", "args": {"city": "Rome"}}},
                {"functionCall": {"id": "d", "name": "get_weather", "args": {"city": "Rome"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c", "name": "get_weather", "response": {"result": [1, 2]}}},
                {"functionResponse": {"id": "d", "name": "get_weather", "response": {"result": "42"}}},
            ],
        },
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"schema":{"$ref":"#/$defs/x"}}', id="plain"),
        pytest.param('{"\\u0024ref":"#/$defs/x"}', id="escaped"),
        pytest.param('[{"$ref":"a"}]', id="in a list"),
    ],
)
async def test_a_result_with_a_reference_stays_a_text(driver: Driver, text: str) -> None:
    """In an object Gemini takes `$ref` for the name of an attached part and refuses the request."""
    body = await driver.sent(messages=[*HELLO, asks(call("a")), result("a", text)])

    assert body["contents"][-1]["parts"][0]["functionResponse"]["response"] == {"result": text}


async def test_a_thought_signature_goes_back_with_its_call(driver: Driver) -> None:
    """Where the caller kept it, in `extra_content`."""
    signed = call("a", extra_content={"google": {"thought_signature": "c2ln"}})
    body = await driver.sent(
        "gemini-3-pro-preview", messages=[*HELLO, asks(signed, call("b")), result("a"), result("b")]
    )

    first, second = body["contents"][1]["parts"]
    assert first["thoughtSignature"] == "c2ln"
    assert "thoughtSignature" not in second


async def test_a_call_by_another_model_gets_the_sign_for_none(driver: Driver) -> None:
    """Gemini 3 refuses an unsigned call, so that a conversation begun elsewhere could not go on here."""
    body = await driver.sent(
        "gemini-3-pro-preview", messages=[*HELLO, asks(call("a"), call("b")), result("a"), result("b")]
    )

    first, second = body["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second


async def test_tools_are_declared_with_their_schema_as_it_stands(driver: Driver, google: Gemini) -> None:
    """The order of keys, which decides the order of arguments, is kept."""
    await driver.sent(tools=[tool(parameters=SCHEMA, description="Weather"), tool("now"), tool("go", {})])

    assert google.received[-1].body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "get_weather", "description": "Weather", "parametersJsonSchema": SCHEMA},
                {"name": "now"},
                {"name": "go"},
            ]
        }
    ]
    assert google.received[-1].text.index("zebra") < google.received[-1].text.index("ape")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param("auto", {"mode": "AUTO"}, id="auto"),
        pytest.param("none", {"mode": "NONE"}, id="none"),
        pytest.param("required", {"mode": "ANY"}, id="required"),
        pytest.param(
            {"type": "function", "function": {"name": "b"}},
            {"mode": "ANY", "allowedFunctionNames": ["b"]},
            id="named",
        ),
        pytest.param(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "a"}}]},
            },
            {"mode": "ANY", "allowedFunctionNames": ["a"]},
            id="one of the allowed",
        ),
        pytest.param(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "a"}}]},
            },
            {"mode": "VALIDATED", "allowedFunctionNames": ["a"]},
            id="none or one of the allowed",
        ),
    ],
)
async def test_the_choice_of_tools_is_a_mode(driver: Driver, choice: Any, expected: Any) -> None:
    """OpenAI's word and Gemini's."""
    body = await driver.sent(tools=[tool("a"), tool("b")], tool_choice=choice)

    assert body["toolConfig"] == {"functionCallingConfig": expected}


async def test_strict_tools_are_validated(driver: Driver) -> None:
    """`strict` promises arguments that keep to the schema; so does this mode."""
    body = await driver.sent(tools=[tool("a", strict=True), tool("b")], parallel_tool_calls=True)

    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"temperature": 0, "top_p": 0}, {"temperature": 0.0, "topP": 0.0}, id="zeros"),
        pytest.param(
            {"presence_penalty": -2, "frequency_penalty": 1.5},
            {"presencePenalty": -2.0, "frequencyPenalty": 1.5},
            id="penalties",
        ),
        pytest.param({"seed": -(2**31)}, {"seed": -(2**31)}, id="seed"),
        pytest.param({"stop": "END"}, {"stopSequences": ["END"]}, id="one stop"),
        pytest.param({"stop": ["a", "", "b"]}, {"stopSequences": ["a", "b"]}, id="stops"),
        pytest.param({"n": 3}, {"candidateCount": 3}, id="n"),
        pytest.param({"n": 1, "store": None, "stop": []}, None, id="nothing asked"),
        pytest.param({"max_tokens": 9}, {"maxOutputTokens": 9}, id="max_tokens"),
        pytest.param({"max_completion_tokens": 8}, {"maxOutputTokens": 8}, id="max_completion_tokens"),
        pytest.param({"logprobs": True}, {"responseLogprobs": True}, id="logprobs"),
        pytest.param(
            {"logprobs": True, "top_logprobs": 4}, {"responseLogprobs": True, "logprobs": 4}, id="top_logprobs"
        ),
        pytest.param({"response_format": {"type": "text"}}, None, id="text"),
        pytest.param(
            {"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}, id="json_object"
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
            id="json_schema",
        ),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "description": "A zoo", "schema": {"type": "object"}},
                }
            },
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object", "description": "A zoo"},
            },
            id="described json_schema",
        ),
    ],
)
async def test_settings_are_the_generation_config(driver: Driver, fields: Any, expected: Any) -> None:
    """Each under Gemini's name; what asks for nothing is not sent."""
    body = await driver.sent(**fields)

    assert body.get("generationConfig") == expected


async def test_the_operator_s_output_cap_is_the_default(driver: Driver) -> None:
    """It is sent when the caller sends none, and gives way when he does."""
    settings = {"max_output_tokens": 100}

    assert (await driver.sent(settings=settings))["generationConfig"] == {"maxOutputTokens": 100}
    assert (await driver.sent(settings=settings, max_tokens=7))["generationConfig"] == {"maxOutputTokens": 7}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        pytest.param("gemini-2.5-flash", "none", {"thinkingBudget": 0}, id="2.5 none"),
        pytest.param("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}, id="2.5 low"),
        pytest.param("gemini-2.5-pro", "medium", {"thinkingBudget": 8192, "includeThoughts": True}, id="2.5 medium"),
        pytest.param("gemini-2.5-pro", "max", {"thinkingBudget": 24576, "includeThoughts": True}, id="2.5 max"),
        pytest.param(
            "gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}, id="3 minimal"
        ),
        pytest.param(
            "gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}, id="3 pro minimal"
        ),
        pytest.param("gemini-3-flash", "xhigh", {"thinkingLevel": "HIGH", "includeThoughts": True}, id="3 xhigh"),
        pytest.param("gemini-2.0-flash", "none", None, id="2.0 none"),
    ],
)
async def test_reasoning_effort_is_told_as_the_generation_wants_it(
    driver: Driver, model: str, effort: str, expected: Any
) -> None:
    """2.5 has budgets, 3 has levels, earlier ones do not think."""
    body = await driver.sent(model, reasoning_effort=effort)

    assert body.get("generationConfig", {}).get("thinkingConfig") == expected


@pytest.mark.parametrize("wrapped", [False, True], ids=["google", "extra_body.google"])
async def test_google_s_own_options_are_understood(driver: Driver, wrapped: bool) -> None:
    """Context caching, thinking and safety, in the field that Google's OpenAI-compatible API has for them."""
    google = {
        "cached_content": "cachedContents/abc",
        "thinking_config": {"thinking_budget": 800, "include_thoughts": True},
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    }
    body = await driver.sent(**({"extra_body": {"google": google}} if wrapped else {"google": google}))

    assert body["cachedContent"] == "cachedContents/abc"
    assert body["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 800, "includeThoughts": True}}
    assert body["safetySettings"] == google["safety_settings"]


async def test_store_and_service_tier_are_told(driver: Driver) -> None:
    """OpenAI's `default` is Gemini's `standard`."""
    assert await driver.sent(store=False, service_tier="default") == {
        "contents": [HELLO_CONTENT],
        "store": False,
        "serviceTier": "standard",
    }
    assert "serviceTier" not in await driver.sent(service_tier="auto")


UNSUPPORTED: list[tuple[Any, str]] = [
    ({"logit_bias": {"1": 2}}, "logit_bias"),
    ({"user": "u"}, "user"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"parallel_tool_calls": False, "tools": [tool()]}, "parallel_tool_calls"),
    ({"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}, "modalities"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"verbosity": "low"}, "verbosity"),
    ({"safety_identifier": "x"}, "safety_identifier"),
    ({"prompt_cache_key": "x"}, "prompt_cache_key"),
    ({"service_tier": "scale"}, "service_tier"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"messages": [{"role": "user", "content": "hello", "name": "Ann"}]}, "messages[0].name"),
]


@pytest.mark.parametrize(("fields", "param"), UNSUPPORTED, ids=[param for _, param in UNSUPPORTED])
async def test_what_gemini_does_not_have_is_refused_by_name(driver: Driver, fields: Any, param: str) -> None:
    """The error names the parameter and the provider, and nothing is sent."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.sent(**fields)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)
    assert "'gemini'" in caught.value.message
    assert driver.google.received == []


@pytest.mark.parametrize(("fields", "param"), UNSUPPORTED, ids=[param for _, param in UNSUPPORTED])
async def test_the_operator_can_have_it_dropped(driver: Driver, fields: Any, param: str) -> None:
    """Then the rest of the request is sent without it."""
    body = await driver.sent(settings={"unsupported_parameters": "drop"}, **fields)

    expected = {"contents": [HELLO_CONTENT]}
    if param == "parallel_tool_calls":
        assert body.pop("tools")
    assert body == expected


@pytest.mark.parametrize(
    ("model", "effort"),
    [pytest.param("gemini-2.0-flash", "low", id="2.0 low"), pytest.param("gemini-3-flash", "none", id="3 none")],
)
async def test_an_effort_that_the_model_does_not_have_is_refused(driver: Driver, model: str, effort: str) -> None:
    """Unless it is to be dropped."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.sent(model, reasoning_effort=effort)
    dropped = await driver.sent(model, {"unsupported_parameters": "drop"}, reasoning_effort=effort)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "reasoning_effort")
    assert "generationConfig" not in dropped


async def test_unknown_fields_travel_when_the_operator_says_so(driver: Driver) -> None:
    """Under their own name; otherwise they are refused, also beside a known one."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.sent(google={}, labels={"a": "b"})
    forwarded = await driver.sent(settings={"unknown_fields": "forward"}, safetySettings=[])

    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "labels")
    assert forwarded["safetySettings"] == []


@pytest.mark.parametrize("model", ["../files", "a b", "x:y", ""])
async def test_a_name_that_cannot_be_a_model_s_is_not_found(driver: Driver, model: str) -> None:
    """It would lead to another path of the API."""
    with pytest.raises(ModelNotFound):
        await driver.provider().complete(chat_call(model))
