"""Messages that come late, in part, or never, at the port that callers without Envoy use."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from gateway.app import App, running
from gateway.config import load
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.grpc_chat import request
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
from tests.support.stack import AUTH, UNLIMITED, private_state

LIMIT_S = 20
READ_LIMIT_S = 0.5
RPCS = {
    "unary": "/llmgateway.v1.ChatService/CreateChatCompletion",
    "stream": "/llmgateway.v1.ChatService/StreamChatCompletion",
    "stream without an end": "/grpc.health.v1.Health/Watch",
    "several messages": "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}
SLOW_ECHO = f"providers: {{custom: {{chunk_delay_s: {READ_LIMIT_S / 2}}}}}"


@pytest.fixture(scope="module")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """A worker that gives a request half a second to arrive, and whose streams are slower than that."""
    directory = tmp_path_factory.mktemp("impatient")
    config = directory / "gateway.yaml"
    config.write_text(SLOW_ECHO)
    variables = {**UNLIMITED, **private_state(directory), "REQUEST_READ_TIMEOUT_S": str(READ_LIMIT_S)}
    async with running(load(variables, config), addresses=("127.0.0.1:0",)) as app:
        yield app


@pytest.fixture
async def channel(impatient: App) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{impatient.grpc_port}") as channel:
        yield channel


def begun(channel: grpc.aio.Channel, path: str, metadata: Any = AUTH) -> Any:
    """Begin a call without a message: the headers are sent, on the wire as a unary call's are."""
    return channel.stream_stream(path)(metadata=metadata, timeout=LIMIT_S)


@pytest.mark.parametrize("rpc", RPCS)
async def test_a_call_whose_message_never_comes_is_ended(channel: grpc.aio.Channel, rpc: str) -> None:
    """Long before the deadline that its caller has set."""
    call = begun(channel, RPCS[rpc])

    assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert await call.details() == "The request did not arrive in time."


async def test_of_many_such_calls_each_is_ended(channel: grpc.aio.Channel) -> None:
    """Not all at once, for others would wait."""
    calls = [begun(channel, RPCS["unary"]) for _ in range(250)]

    assert {await call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_it_is_told_first_that_it_may_not_call(channel: grpc.aio.Channel) -> None:
    """A call without a message is logged and counted as any other, and its key is looked at."""
    call = begun(channel, RPCS["unary"], metadata=())

    assert await call.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("rpc", ["unary", "stream", "stream without an end"])
async def test_a_call_that_ends_without_its_message_is_refused(channel: grpc.aio.Channel, rpc: str) -> None:
    """gRPC itself would never answer it."""
    call = begun(channel, RPCS[rpc])
    await call.done_writing()

    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert await call.details() == "The request has no message."


async def test_half_a_message_is_none(impatient: App) -> None:
    """The time is that of the whole message, however its bytes trickle in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.grpc_port)
    head = frame(HEADERS, grpc_headers(RPCS["unary"]), flags=END_HEADERS, stream=1)
    writer.write(PREFACE + frame(SETTINGS) + head + frame(DATA, b"\0" + struct.pack(">I", 100) + b"x", stream=1))
    try:
        async with asyncio.timeout(LIMIT_S):
            async for kind, flags, _ in frames(reader):
                if kind == HEADERS and flags & END_STREAM:
                    break
            else:
                pytest.fail("it hung up without an answer")
    finally:
        writer.close()


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE], ids=["nothing", "half a preface", "no settings"])
async def test_a_connection_that_does_not_begin_is_closed(impatient: App, said: bytes) -> None:
    """It has no call yet that could be late."""
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.grpc_port)
    writer.write(said)
    try:
        async with asyncio.timeout(LIMIT_S):
            while await reader.read(65536):
                pass
    finally:
        writer.close()


async def test_an_honest_stream_takes_its_time(channel: grpc.aio.Channel) -> None:
    """The limit is for the request alone."""
    stub: Any = ChatServiceStub(channel)
    call = stub.StreamChatCompletion(request("custom/echo", "one two three four"), metadata=AUTH, timeout=LIMIT_S)
    loop = asyncio.get_running_loop()
    started = loop.time()
    messages = [message async for message in call]

    assert len(messages) >= 4
    assert loop.time() - started > READ_LIMIT_S


async def test_reflection_is_answered_question_by_question(channel: grpc.aio.Channel) -> None:
    """Each of its messages has the time that others have for one."""
    method = channel.stream_stream(
        RPCS["several messages"],
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    call: Any = method(timeout=LIMIT_S)
    for _ in range(3):
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        assert answer.list_services_response.service
    await call.done_writing()

    assert await call.read() is grpc.aio.EOF
    assert await call.code() == grpc.StatusCode.OK


async def test_a_caller_that_vanishes_is_not_answered(impatient: App) -> None:
    """It leaves no call behind, and others go on."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{impatient.grpc_port}") as channel:
        calls = [begun(channel, RPCS["unary"]) for _ in range(50)]
        for call in calls:
            call.cancel()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{impatient.grpc_port}") as channel:
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH, timeout=LIMIT_S)
        assert [message async for message in call]
    assert impatient.lifecycle.in_hand == 0
