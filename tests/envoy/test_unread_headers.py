"""A header that gRPC cannot read harms nobody: neither its own call nor those that share the connection."""

import asyncio

import aiohttp
import pytest
from yarl import URL

from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.raw_http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    frames,
    grpc_headers,
)
from tests.support.stack import AUTH, KEY, Stack

BODY = {"model": "custom/echo", "messages": [{"role": "user", "content": "hello"}]}
HTTP_AUTH = {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("name", "wrong", "status", "right"),
    [
        ("grpc-timeout", "soon", 422, "5S"),  # which the gateway reads itself
        ("grpc-timeout", "999999999S", 422, "5S"),
        ("grpc-encoding", "zip", 200, "identity"),
        ("grpc-internal-encoding-request", "x", 200, "gzip"),
        ("grpc-previous-rpc-attempts", "x", 200, "1"),
        ("grpc-retry-pushback-ms", "x", 200, "1"),
        ("grpc-status", "x", 200, "0"),
        ("x-any-bin", "@", 200, "aGk="),
    ],
)
async def test_a_wrong_header_of_grpc_harms_no_call(
    stack: Stack, name: str, wrong: str, status: int, right: str
) -> None:
    """gRPC remembers a header that it could not read, for every later call on the connection from Envoy."""
    async with aiohttp.ClientSession(stack.url) as http:
        for value, expected in ((wrong, status), (right, 200)):
            async with http.post("/v1/chat/completions", json=BODY, headers={**HTTP_AUTH, name: value}) as response:
                assert response.status == expected, await response.text()
    request = pb.CreateChatCompletionRequest()
    request.chat.model = "custom/echo"
    request.chat.messages.add(role=3).content.add(text="hello")
    async with stack.channel(stack.envoy) as channel:
        answer = await ChatServiceStub(channel).CreateChatCompletion(request, metadata=AUTH, timeout=20)
    assert answer.completion.choices[0].message.content == "hello"


@pytest.mark.parametrize(("name", "wrong"), [("grpc-timeout", "999999999S"), ("grpc-encoding", "zip")])
async def test_a_native_call_is_answered_without_its_wrong_header(stack: Stack, name: str, wrong: str) -> None:
    """As no gRPC library would send it."""
    reader, writer = await asyncio.open_connection(*stack.envoy.split(":"))
    headers = grpc_headers("/llmgateway.v1.SystemService/Live", {name: wrong})
    writer.write(PREFACE + frame(SETTINGS) + frame(HEADERS, headers, flags=END_HEADERS, stream=1))
    writer.write(frame(DATA, bytes(5), flags=END_STREAM, stream=1))
    async with asyncio.timeout(20):
        kinds = set()
        async for kind, flags, _ in frames(reader):
            kinds.add(kind)
            if kind == HEADERS and flags & END_STREAM:
                break
    writer.close()

    assert DATA in kinds


async def test_a_path_that_envoy_refuses_is_answered_in_openais_shape(stack: Stack) -> None:
    """A NUL in the path does not get as far as a route."""
    url = URL(stack.url + "/v1/%00", encoded=True)
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        answer = await response.json()

    assert response.status == 400
    assert set(answer["error"]) == {"message", "type", "param", "code"}
