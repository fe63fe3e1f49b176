"""The gateway without generated code: as grpcurl and other reflecting clients use it."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.support.programs import program
from tests.support.stack import AUTH, KEY, Stack

PUBLIC = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "llmgateway.v1.ChatService",
    "llmgateway.v1.ModelService",
    "llmgateway.v1.OpenAIService",
    "llmgateway.v1.SystemService",
}
CHAT = {
    "chat": {"model": "custom/echo", "messages": [{"role": "ROLE_USER", "content": [{"text": "hello wide world"}]}]}
}


def reflected_call(address: str, service: str, method: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Call a method by its name alone: the types come from the server."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        found: Any = DescriptorPool(database).FindServiceByName(service).methods_by_name[method]
        request_type = message_factory.GetMessageClass(found.input_type)
        response_type: Any = message_factory.GetMessageClass(found.output_type)
        call: Any = channel.unary_stream(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        message = json_format.ParseDict(request, request_type())
        return [json_format.MessageToDict(answer) for answer in call(message, metadata=AUTH, timeout=20)]


@pytest.mark.parametrize("way", ["envoy", "direct"])
async def test_every_service_is_listed_without_a_key(stack: Stack, way: str) -> None:
    """Reflection is open: the contract is no secret."""

    def services() -> set[str]:
        with grpc.insecure_channel(stack.envoy if way == "envoy" else stack.grpc) as channel:
            return set(ProtoReflectionDescriptorDatabase(channel).get_services())

    listed = await asyncio.to_thread(services)

    assert listed >= PUBLIC


@pytest.mark.parametrize("way", ["envoy", "direct"])
async def test_a_chat_needs_no_generated_code(stack: Stack, way: str) -> None:
    """The types are fetched from the server, whole and streamed."""
    address = stack.envoy if way == "envoy" else stack.grpc
    service = "llmgateway.v1.ChatService"
    (whole,) = await asyncio.to_thread(reflected_call, address, service, "CreateChatCompletion", CHAT)
    chunks = await asyncio.to_thread(reflected_call, address, service, "StreamChatCompletion", CHAT)

    assert whole["completion"]["choices"][0]["message"]["content"] == "hello wide world"
    texts = [chunk["chunk"]["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(texts) == "hello wide world"


GRPCURL = program("grpcurl")


@pytest.mark.skipif(GRPCURL is None, reason="grpcurl is not installed; `make grpcurl` builds it")
@pytest.mark.parametrize("way", ["envoy", "direct"])
@pytest.mark.parametrize("method", ["CreateChatCompletion", "StreamChatCompletion"])
async def test_grpcurl_itself_gets_an_answer(stack: Stack, tmp_path: Path, method: str, way: str) -> None:
    """The real program, where there is one."""
    address = stack.envoy if way == "envoy" else stack.grpc
    command = [
        str(GRPCURL), "-plaintext", "-max-time", "20", "-H", f"authorization: Bearer {KEY}", "-d", json.dumps(CHAT),
        address, f"llmgateway.v1.ChatService/{method}",
    ]  # fmt: skip
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout
    assert "world" in done.stdout
