"""Bad input gets an error that names the field, on both edges: never a traceback, never a hang."""

import io
import json
from typing import Any, NamedTuple

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2 as details_pb
from grpc_status import rpc_status

from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.stack import AUTH, KEY, Stack

HELLO = [{"role": "user", "content": "hello"}]
CHAT = "/v1/chat/completions"
JSON = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


async def ask(
    stack: Stack, body: bytes | io.BytesIO | dict[str, Any], path: str = CHAT, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Send one JSON request and return the status and the error."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    async with (
        aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.post(path, data=data, headers=JSON if headers is None else headers) as response,
    ):
        answer = await response.json()
    assert set(answer) == {"error"}, answer
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in answer["error"]["message"]
    return response.status, answer["error"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"   ", id="blank"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"model": "custom/echo",}', id="trailing comma"),
        pytest.param(b"{'model': 1}", id="single quotes"),
        pytest.param(b'{"model":"custom/echo","messages":[{"role":"user","content":"a"}]} x', id="text behind it"),
        pytest.param(b'{"model":NaN}', id="NaN"),
        pytest.param(b'{"model":"custom/echo","messages":[{"role":"user","content":"\xff"}]}', id="not UTF-8"),
        pytest.param(b'{"model":"custom/echo","messages":[],"audio":"\xc3("}', id="not UTF-8 in a forwarded value"),
        pytest.param(b'{"audio":' + b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"audio":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, id="nested deeply in a forwarded value"),
        pytest.param(b"\x00\x01\x02", id="binary"),
    ],
)
async def test_what_is_not_json_is_refused(stack: Stack, body: bytes) -> None:
    """400 with `invalid_json`."""
    status, error = await ask(stack, body)

    assert (status, error["code"], error["param"]) == (400, "invalid_json", None)


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "custom/echo", "messages": HELLO, **fields}


def message(**fields: Any) -> dict[str, Any]:
    return chat(messages=[*HELLO, fields])


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        pytest.param({"messages": HELLO}, "model", "missing_required_parameter", id="no model"),
        pytest.param({"model": "custom/echo"}, "messages", "missing_required_parameter", id="no messages"),
        pytest.param(chat(model=""), "model", "invalid_value", id="empty model"),
        pytest.param(chat(model="custom/" + "m" * 506), "model", "invalid_value", id="long model"),
        pytest.param(chat(model=None), "model", "invalid_type", id="null model"),
        pytest.param(chat(model=5), "model", "invalid_type", id="number as model"),
        pytest.param(chat(messages=[]), "messages", "invalid_value", id="empty messages"),
        pytest.param(chat(messages="hi"), "messages", "invalid_type", id="text as messages"),
        pytest.param(chat(messages=["hi"]), "messages[0]", "invalid_type", id="text as message"),
        pytest.param(chat(foo=1), "foo", "unknown_parameter", id="unknown field"),
        pytest.param(chat(temprature=1), "temprature", "unknown_parameter", id="typing error"),
        pytest.param(message(content="x"), "messages[1].role", "missing_required_parameter", id="no role"),
        pytest.param(message(role="robot", content="x"), "messages[1].role", "invalid_value", id="unknown role"),
        pytest.param(message(role="user"), "messages[1].content", "missing_required_parameter", id="no content"),
        pytest.param(message(role="user", content=None), "messages[1].content", "invalid_type", id="null content"),
        pytest.param(message(role="user", content=[]), "messages[1].content", "invalid_value", id="no parts"),
        pytest.param(
            message(role="user", content=[{"type": "smell"}]),
            "messages[1].content[0].type", "invalid_value", id="unknown part",
        ),
        pytest.param(
            message(role="tool", content="x"), "messages[1].tool_call_id", "missing_required_parameter", id="tool",
        ),
        pytest.param(chat(temperature="hot"), "temperature", "invalid_type", id="text as number"),
        pytest.param(chat(temperature=2.1), "temperature", "invalid_value", id="too hot"),
        pytest.param(chat(top_p=-0.1), "top_p", "invalid_value", id="negative top_p"),
        pytest.param(chat(n=0), "n", "invalid_value", id="n of 0"),
        pytest.param(chat(n=10**9), "n", "invalid_value", id="absurd n"),
        pytest.param(chat(n=10**30), "n", None, id="n beyond 64 bits"),
        pytest.param(chat(n=1.5), "n", "invalid_type", id="half an n"),
        pytest.param(chat(max_tokens=0), "max_tokens", "invalid_value", id="no tokens"),
        pytest.param(chat(max_tokens=2**31), "max_tokens", "invalid_value", id="absurd max_tokens"),
        pytest.param(chat(max_completion_tokens=-1), "max_completion_tokens", "invalid_value", id="negative cap"),
        pytest.param(chat(stop=["a"] * 5), "stop", "invalid_value", id="five stops"),
        pytest.param(chat(stream="yes"), "stream", "invalid_type", id="text as stream"),
        pytest.param(chat(logit_bias={"1": 101}), "logit_bias[...]", "invalid_value", id="strong bias"),
        pytest.param(chat(metadata={"a": 1}), "metadata[...]", "invalid_type", id="number as metadata"),
        pytest.param(chat(tools=[]), "tools", "invalid_value", id="no tools"),
        pytest.param(
            chat(tools=[{"type": "function"}]), "tools[0].function", "missing_required_parameter", id="empty tool"
        ),
        pytest.param(
            chat(response_format={"type": "xml"}), "response_format.type", "invalid_value", id="unknown format"
        ),
    ],
)  # fmt: skip
async def test_a_wrong_field_is_named(stack: Stack, body: dict[str, Any], param: str, code: str | None) -> None:
    """422 with `param` and a code that says what is wrong."""
    status, error = await ask(stack, body)

    assert (status, error["param"], error["type"]) == (422, param, "invalid_request_error")
    assert code is None or error["code"] == code


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"text"', b"true"])
async def test_a_body_that_is_no_object_is_refused(stack: Stack, body: bytes) -> None:
    """422: valid JSON of the wrong kind; no field to name."""
    status, error = await ask(stack, body)

    assert (status, error["code"], error["param"]) == (422, "invalid_type", None)


@pytest.mark.parametrize(
    ("path", "model", "code", "param"),
    [
        pytest.param(CHAT, "nope", "model_not_found", "model", id="unknown model"),
        pytest.param(CHAT, "nope/gpt", "model_not_found", "model", id="unknown prefix"),
        pytest.param(CHAT, "custom/", "model_not_found", "model", id="no model behind the prefix"),
        pytest.param(CHAT, "custom/nope", "model_not_found", "model", id="unknown to its provider"),
        pytest.param("/nope" + CHAT, "echo", None, None, id="unknown provider in the path"),
        pytest.param("/provider/nope" + CHAT, "echo", None, None, id="unknown provider in the long path"),
    ],
)
async def test_an_unknown_name_is_404_and_lists_what_exists(
    stack: Stack, path: str, model: str, code: str | None, param: str | None
) -> None:
    """The message says what is there instead."""
    status, error = await ask(stack, chat(model=model), path)

    assert (status, error["code"], error["param"]) == (404, code, param)
    assert "custom" in error["message"] or "echo" in error["message"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({}, None, id="no key"),
        pytest.param({"authorization": "Bearer sk-wrong"}, "invalid_api_key", id="wrong key"),
        pytest.param({"authorization": "Bearer "}, "invalid_api_key", id="empty bearer"),
        pytest.param({"authorization": "Basic abc"}, None, id="another scheme"),
        pytest.param({"authorization": KEY}, None, id="no scheme"),
        pytest.param({"x-api-key": "sk-wrong"}, "invalid_api_key", id="wrong x-api-key"),
        pytest.param({"x-api-key": KEY + "x"}, "invalid_api_key", id="longer key"),
        pytest.param({"x-api-key": KEY[:-1]}, "invalid_api_key", id="shorter key"),
    ],
)
async def test_a_wrong_key_is_401(stack: Stack, headers: dict[str, str], code: str | None) -> None:
    """The code is null when no key was sent; the message never repeats the key."""
    status, error = await ask(stack, chat(), headers={"content-type": "application/json", **headers})

    assert (status, error["type"], error["code"]) == (401, "invalid_request_error", code)
    assert "sk-wrong" not in error["message"]


async def test_both_headers_for_the_key_work(stack: Stack) -> None:
    """Bearer, in any case of the word, and X-API-Key, also beside credentials for a proxy on the way."""
    basic = {"authorization": "Basic eDp5"}
    for headers in ({"authorization": f"bearer {KEY}"}, {"x-api-key": KEY}, {"x-api-key": KEY, **basic}):
        async with (
            aiohttp.ClientSession(stack.url) as http,
            http.post(CHAT, json=chat(), headers=headers) as response,
        ):
            assert response.status == 200


async def test_a_body_over_the_limit_is_413(stack: Stack) -> None:
    """The limit is named; the connection is not reset before the answer is read."""
    body = b'{"x":"' + b"x" * stack.settings.service.max_body_bytes + b'"}'
    status, error = await ask(stack, io.BytesIO(body))

    assert (status, error["code"]) == (413, "request_too_large")
    assert str(stack.settings.service.max_body_bytes) in error["message"]


async def test_thousands_of_messages_are_answered(stack: Stack) -> None:
    """5,000 messages are a long prompt, not an error."""
    async with (
        aiohttp.ClientSession(stack.url) as http,
        http.post(CHAT, json=chat(messages=HELLO * 5000), headers=JSON) as response,
    ):
        answer = await response.json()

    assert response.status == 200
    assert answer["usage"]["prompt_tokens"] == 3 + 5000 * 4


async def test_of_a_key_sent_twice_the_last_one_counts(stack: Stack) -> None:
    """As in every JSON library; the provider's own model name is decided by the same value."""
    body = b'{"model":"nope","model":"custom/echo","messages":[{"role":"user","content":"a","content":"b"}]}'
    async with aiohttp.ClientSession(stack.url) as http, http.post(CHAT, data=body, headers=JSON) as response:
        answer = await response.json()

    assert answer["choices"][0]["message"]["content"] == "b"


@pytest.mark.parametrize("text", ["0", "-5", "soon", "1.5", "", "٣", "1e3"])
async def test_a_wrong_timeout_header_is_named(stack: Stack, text: str) -> None:
    """x-request-timeout-ms is a positive whole number."""
    status, error = await ask(stack, chat(), headers={**JSON, "x-request-timeout-ms": text})

    assert (status, error["param"]) == (422, "x-request-timeout-ms")


@pytest.mark.parametrize("where", ["query", "header"])
async def test_an_unknown_stream_mode_is_named(stack: Stack, where: str) -> None:
    """The message lists the modes."""
    path = CHAT + "?stream_mode=xml" if where == "query" else CHAT
    headers = JSON if where == "query" else {**JSON, "x-stream-mode": "xml"}
    status, error = await ask(stack, chat(), path, headers)

    assert (status, error["param"]) == (422, "stream_mode")
    assert "sse, ndjson, text" in error["message"]


class Typed(NamedTuple):
    """One bad typed request, as protobuf's JSON."""

    chat: dict[str, Any]
    code: grpc.StatusCode
    reason: str
    param: str | None


USER = {"role": "ROLE_USER", "content": [{"text": "hello"}]}
TYPED = {
    "no model": Typed({"messages": [USER]}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "model"),
    "no messages": Typed({"model": "custom/echo"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "messages"),
    "no role": Typed(
        {"model": "custom/echo", "messages": [{"content": [{"text": "x"}]}]},
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "messages[0].role",
    ),
    "too hot": Typed(
        {"model": "custom/echo", "messages": [USER], "temperature": 3},
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "temperature",
    ),
    "absurd n": Typed(
        {"model": "custom/echo", "messages": [USER], "n": 2**31 - 1},
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "n",
    ),
    "unknown field": Typed(
        {"model": "custom/echo", "messages": [USER], "extra_body_json": '{"foo":1}'},
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "foo",
    ),
    "broken extra": Typed(
        {"model": "custom/echo", "messages": [USER], "extra_body_json": "{"},
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "extra_body_json",
    ),
    "broken schema": Typed(
        {"model": "custom/echo", "messages": [USER], "tools": [{"function": {"name": "f", "parameters_json": "{"}}]},
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "tools[0].function.parameters_json",
    ),
    "unknown model": Typed(
        {"model": "nope", "messages": [USER]}, grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "model"
    ),
    "unknown to its provider": Typed(
        {"model": "custom/nope", "messages": [USER]}, grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "model"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", ["envoy", "direct"])
@pytest.mark.parametrize("shape", ["unary", "stream"])
@pytest.mark.parametrize("case", TYPED.values(), ids=TYPED.keys())
async def test_the_typed_edge_says_the_same(stack: Stack, case: Typed, shape: str, way: str) -> None:
    """The same validator stands behind both edges."""
    request = json_format.ParseDict({"chat": case.chat}, pb.CreateChatCompletionRequest())
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        if shape == "unary":
            call = stub.CreateChatCompletion(request, metadata=AUTH, timeout=20)
        else:
            call = stub.StreamChatCompletion(
                pb.StreamChatCompletionRequest(chat=request.chat), metadata=AUTH, timeout=20
            )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call if shape == "unary" else call.read())
        status = await rpc_status.aio.from_call(call)

    assert caught.value.code() == case.code
    info = details_pb.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert info.reason == case.reason
    assert info.metadata.get("param") == case.param


async def test_a_message_over_the_limit_is_refused_on_native_grpc(stack: Stack) -> None:
    """gRPC's own limit stands a little above the body limit of the JSON edge."""
    request = json_format.ParseDict(
        {"chat": {"model": "custom/echo", "messages": [USER]}}, pb.CreateChatCompletionRequest()
    )
    request.chat.user = "x" * (stack.settings.service.max_body_bytes + 128 * 1024)
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(stack.grpc, options=options) as channel:
        stub: Any = ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(request, metadata=AUTH, timeout=20)

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("way", ["envoy", "direct"])
async def test_a_native_caller_without_a_key_is_refused(stack: Stack, way: str) -> None:
    """UNAUTHENTICATED before anything else is looked at."""
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(pb.CreateChatCompletionRequest(), timeout=20)

    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_field_name_of_any_length_is_refused(stack: Stack) -> None:
    """The name is cut, so that the answer about it fits where errors travel."""
    status, error = await ask(stack, chat(**{"漢" * 100_000: 1}))

    assert (status, error["code"]) == (422, "unknown_parameter")
    assert error["param"].startswith("漢漢")
    assert len(error["param"]) < 200
