"""A worker whose settings are replaced while it serves."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.app import running
from gateway.config import Settings, load
from llmgateway.v1 import chat_message_pb2
from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.stack import AUTH, KEY, private_state
from tests.support.vendor import Stream, Vendor, chat_stream, sse

OTHER_KEY = "sk-test-other"


def settings(directory: Path, environment: Mapping[str, str]) -> Settings:
    config = directory / "gateway.yaml"
    config.write_text("")
    return load({"ALLOWED_API_KEYS": KEY, **private_state(directory), **environment}, config)


def request(model: str) -> pb.StreamChatCompletionRequest:
    message = pb.StreamChatCompletionRequest()
    message.chat.model = model
    said = message.chat.messages.add(role=chat_message_pb2.ROLE_USER)
    said.content.add(text="hello")
    return message


async def test_a_call_in_hand_keeps_the_provider_that_a_reload_removes(vendor: Vendor, tmp_path: Path) -> None:
    """Its stream runs to the end on the old connection; calls after the reload get the new providers and keys."""
    go = asyncio.Event()
    chunks = chat_stream("one", "two")
    vendor.script(Stream([sse(chunks[0], done=False), go, sse(*chunks[1:])]))
    old = settings(tmp_path, {"OPENAI_API_KEY": "sk-vendor", "OPENAI_BASE_URL": vendor.url + "/v1"})
    new = settings(tmp_path, {"ALLOWED_API_KEYS": OTHER_KEY})
    other = (("authorization", f"Bearer {OTHER_KEY}"),)
    async with (
        running(old, addresses=("127.0.0.1:0",)) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc_port}") as channel,
    ):
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request("openai/gpt-test"), metadata=AUTH)
        received = [await call.read()]
        await app.reload(new)

        with pytest.raises(grpc.aio.AioRpcError) as old_key:
            await stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH).read()
        with pytest.raises(grpc.aio.AioRpcError) as removed:
            await stub.StreamChatCompletion(request("openai/gpt-test"), metadata=other).read()
        go.set()
        while (message := await call.read()) is not grpc.aio.EOF:
            received.append(message)

    assert old_key.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert removed.value.code() == grpc.StatusCode.NOT_FOUND
    texts = [choice.delta.content for message in received for choice in message.chunk.choices]
    assert "".join(texts) == "onetwo"


async def test_settings_that_cannot_be_built_change_nothing(tmp_path: Path) -> None:
    """The error reaches whoever asked for the reload; calls go on with the old settings."""
    old = settings(tmp_path, {})
    broken = settings(tmp_path, {"OPENAI_API_KEY": "sk-vendor", "OPENAI_BASE_URL": "http://127.0.0.1:999999/v1"})
    async with running(old, addresses=("127.0.0.1:0",)) as app:
        with pytest.raises(ValueError, match="Port out of range"):
            await app.reload(broken)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc_port}") as channel:
            call = ChatServiceStub(channel).StreamChatCompletion(request("custom/echo"), metadata=AUTH)
            assert [message async for message in call]
