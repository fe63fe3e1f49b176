"""Requests that Gemini would refuse, refused before it does, by the exact place."""

from typing import Any

import pytest

from gateway.errors import InvalidRequest
from tests.providers.gemini.driver import HELLO, Driver, asks, call, result, tool, user

RECURSIVE = {"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}


def image(url: str) -> dict[str, Any]:
    return user({"type": "image_url", "image_url": {"url": url}})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def form(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


BAD: list[Any] = [
    pytest.param(
        {"messages": [*HELLO, image("data:image/png;base64,@@@@")]},
        "messages[1].content[0].image_url.url",
        id="image that is not base64",
    ),
    pytest.param(
        {"messages": [image("data:image/png;base64,")]}, "messages[0].content[0].image_url.url", id="empty image"
    ),
    pytest.param(
        {"messages": [image("data:image/png,abc")]}, "messages[0].content[0].image_url.url", id="image not in base64"
    ),
    pytest.param({"messages": [image("data:nonsense")]}, "messages[0].content[0].image_url.url", id="no data URL"),
    pytest.param(
        {"messages": [image("http://example.com/a.png")]}, "messages[0].content[0].image_url.url", id="plain http"
    ),
    pytest.param(
        {"messages": [user({"type": "input_audio", "input_audio": {"data": "é", "format": "wav"}})]},
        "messages[0].content[0].input_audio.data",
        id="sound that is not base64",
    ),
    pytest.param(
        {"messages": [user({"type": "input_audio", "input_audio": {"data": "YQ==", "format": "midi"}})]},
        "messages[0].content[0].input_audio.format",
        id="unknown sound",
    ),
    pytest.param(
        {"messages": [user({"type": "file", "file": {"file_data": "YQ=="}})]},
        "messages[0].content[0].file.file_data",
        id="file without a type",
    ),
    pytest.param(
        {"messages": [user({"type": "file", "file": {"file_id": "file-abc"}})]},
        "messages[0].content[0].file.file_id",
        id="file of another vendor",
    ),
    pytest.param(
        {"messages": [user({"type": "file", "file": {"filename": "a.pdf"}})]},
        "messages[0].content[0].file.file_data",
        id="no file",
    ),
    pytest.param({"messages": [*HELLO, result("a")]}, "messages[1].tool_call_id", id="result for no call"),
    pytest.param(
        {"messages": [*HELLO, asks(call("a")), result("a"), result("a")]},
        "messages[3].tool_call_id",
        id="second result for a call",
    ),
    pytest.param(
        {"messages": [*HELLO, asks(call("a"), call("b")), result("a"), *HELLO]},
        "messages[1].tool_calls",
        id="call without a result",
    ),
    pytest.param({"messages": [*HELLO, asks(call("a"))]}, "messages[1].tool_calls", id="call at the end"),
    pytest.param(
        {"messages": [*HELLO, asks(call("a"), call("a")), result("a")]},
        "messages[1].tool_calls[1].id",
        id="two calls of one id",
    ),
    pytest.param(
        {"messages": [*HELLO, asks(call("a", arguments="[1]")), result("a")]},
        "messages[1].tool_calls[0].function.arguments",
        id="arguments that are no object",
    ),
    pytest.param(
        {"messages": [*HELLO, asks(call("a", arguments="{")), result("a")]},
        "messages[1].tool_calls[0].function.arguments",
        id="arguments that are no JSON",
    ),
    pytest.param(
        {"messages": [*HELLO, asks(call("a", extra_content={"google": {"thought_signature": 1}})), result("a")]},
        "messages[1].tool_calls[0].extra_content.google.thought_signature",
        id="signature that is no text",
    ),
    pytest.param({"messages": [{"role": "system", "content": "x"}]}, "messages", id="only a system message"),
    pytest.param({"messages": [{"role": "user", "content": ""}]}, "messages", id="nothing said"),
    pytest.param({"tools": [tool("a"), tool("b"), tool("a")]}, "tools[2].function.name", id="duplicated tool name"),
    pytest.param({"tool_choice": "required"}, "tool_choice", id="required without tools"),
    pytest.param({"tools": [tool()], "tool_choice": "sometimes"}, "tool_choice", id="unknown choice"),
    pytest.param(
        {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "other"}}},
        "tool_choice.function.name",
        id="choice of no tool",
    ),
    pytest.param(
        {
            "tools": [tool()],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]},
            },
        },
        "tool_choice.allowed_tools.tools[0]",
        id="allowed tool without a name",
    ),
    pytest.param(
        {
            "tools": [tool()],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "x", "tools": [{"function": {"name": "get_weather"}}]},
            },
        },
        "tool_choice.allowed_tools.mode",
        id="unknown mode",
    ),
    pytest.param({"seed": 2**31}, "seed", id="seed beyond 32 bits"),
    pytest.param({"top_logprobs": 2}, "top_logprobs", id="top_logprobs without logprobs"),
    pytest.param({"reasoning_effort": "huge"}, "reasoning_effort", id="unknown effort"),
    pytest.param(
        {"reasoning_effort": "low", "google": {"thinking_config": {"thinking_budget": 1}}},
        "reasoning_effort",
        id="two ways to think",
    ),
    pytest.param({"google": {"cache": "x"}}, "google.cache", id="unknown option"),
    pytest.param({"google": {"cached_content": 1}}, "google.cached_content", id="option of the wrong type"),
    pytest.param({"extra_body": {"openai": {}}}, "extra_body.openai", id="options of another vendor"),
    pytest.param({"google": {}, "extra_body": {"google": {}}}, "extra_body", id="options twice"),
    pytest.param(form([1]), "response_format.json_schema.schema", id="schema that is no object"),
    pytest.param(
        form({"properties": {"a": {"items": {"$ref": "https://example.com/x.json"}}}}),
        "response_format.json_schema.schema.properties.a.items.$ref",
        id="schema elsewhere",
    ),
    pytest.param(
        form({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/gone"}]}),
        "response_format.json_schema.schema.anyOf[1].$ref",
        id="schema that is not there",
    ),
    pytest.param(
        {
            "tools": [
                tool(parameters={"$defs": {"a": {}}, "properties": {"b": {"$ref": "#/$defs/a", "type": "string"}}})
            ]
        },
        "tools[0].function.parameters.properties.b.type",
        id="type beside a reference",
    ),
    pytest.param(
        form(nested(101)), "response_format.json_schema.schema" + ".items" * 101, id="schema nested too deeply"
    ),
]


@pytest.mark.parametrize(("fields", "param"), BAD)
async def test_bad_input_is_named_exactly(driver: Driver, fields: Any, param: str) -> None:
    """422 with the path of the field; nothing is sent."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.sent(**fields)

    assert caught.value.param == InvalidRequest(param=param).param  # a path longer than an answer carries is cut
    assert driver.google.received == []


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"messages": [*HELLO, {"role": "function", "name": "f", "content": "x"}]}, id="function message"),
        pytest.param(
            {"messages": [*HELLO, {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]},
            id="function call",
        ),
        pytest.param(
            {"messages": [*HELLO, asks({"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}})]},
            id="custom call",
        ),
        pytest.param({"functions": [{"name": "f"}]}, id="functions"),
    ],
)
async def test_what_was_before_tools_is_refused(driver: Driver, fields: Any) -> None:
    """It has no place in Gemini's contents, and part of a conversation cannot be dropped."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.sent(**fields)

    assert caught.value.code == "unsupported_parameter"


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(RECURSIVE, id="recursive"),
        pytest.param({"properties": {"$ref": {"type": "string"}}}, id="property of that name"),
        pytest.param({"enum": [{"$ref": "x"}]}, id="value with that key"),
        pytest.param({"prefixItems": [{"$ref": "#/prefixItems/1", "description": "d"}, {}]}, id="described"),
        pytest.param({"properties": {"a/b": {"not": True}, "c": {"$ref": "#/properties/a~1b"}}}, id="escaped pointer"),
    ],
)
async def test_schemas_that_gemini_takes_pass(driver: Driver, schema: Any) -> None:
    """The check refuses no more than Gemini does."""
    body = await driver.sent(**form(schema))

    assert body["generationConfig"]["responseJsonSchema"] == schema
