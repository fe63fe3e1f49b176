"""The generated stub in an ordinary blocking program, with the fixtures of pytest-grpc."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from llmgateway.v1 import chat_message_pb2, chat_request_pb2, chat_tool_pb2, model_service_pb2
from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from llmgateway.v1.model_service_pb2_grpc import ModelServiceStub
from tests.support.command import Command, running_command


@pytest.fixture(scope="module")
async def command(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Command]:
    """A gateway in processes of its own, so that a blocking caller blocks nothing else."""
    async with running_command(tmp_path_factory.mktemp("blocking")) as running:
        yield running


@pytest.fixture(scope="module", params=["SERVICE_PORT", "GRPC_PORT"], ids=["envoy", "direct"])
def grpc_addr(command: Command, request: pytest.FixtureRequest) -> str:
    return f"127.0.0.1:{command.ports[request.param]}"


@pytest.fixture(scope="module")
def grpc_server(command: Command) -> Command:
    """The real gateway in place of a server in this process."""
    return command


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[ChatServiceStub]:
    return ChatServiceStub


@pytest.fixture
def metadata(command: Command) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {command.key}"),)


def chat(text: str = "hello wide world", **fields: Any) -> chat_request_pb2.ChatCompletionRequest:
    part = chat_message_pb2.ContentPart(text=text)
    message = chat_message_pb2.ChatMessage(role=chat_message_pb2.ROLE_USER, content=[part])
    return chat_request_pb2.ChatCompletionRequest(model="custom/echo", messages=[message], **fields)


def test_a_chat_is_answered(grpc_stub: Any, metadata: Any) -> None:
    """Text, finish reason and exact usage."""
    answer = grpc_stub.CreateChatCompletion(
        pb.CreateChatCompletionRequest(chat=chat()), metadata=metadata, timeout=20
    ).completion

    assert answer.choices[0].message.content == "hello wide world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 3


def test_a_stream_arrives_in_chunks(grpc_stub: Any, metadata: Any) -> None:
    """Iterated with an ordinary `for`."""
    request = pb.StreamChatCompletionRequest(chat=chat(), include_usage=True)
    chunks = [message.chunk for message in grpc_stub.StreamChatCompletion(request, metadata=metadata, timeout=20)]

    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content] == [
        "hello",
        " wide",
        " world",
    ]
    assert chunks[-1].usage.completion_tokens == 3


def test_a_tool_is_called(grpc_stub: Any, metadata: Any) -> None:
    """Arguments are JSON text in the schema's order."""
    schema = '{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":2}}}'
    tool = chat_tool_pb2.Tool(function=chat_tool_pb2.FunctionTool(name="get_weather", parameters_json=schema))
    answer = grpc_stub.CreateChatCompletion(
        pb.CreateChatCompletionRequest(chat=chat(tools=[tool])), metadata=metadata, timeout=20
    ).completion

    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"text","days":2}')


def test_models_are_listed_and_found(grpc_create_channel: Any, metadata: Any) -> None:
    """The same as on the OpenAI edge."""
    with grpc_create_channel() as channel:
        stub: Any = ModelServiceStub(channel)
        listed = stub.ListModels(model_service_pb2.ListModelsRequest(), metadata=metadata, timeout=20).models
        one = stub.GetModel(model_service_pb2.GetModelRequest(model="custom/echo"), metadata=metadata, timeout=20).model

    assert "custom/echo" in [model.id for model in listed]
    assert (one.id, one.owned_by) == ("custom/echo", "custom")


@pytest.mark.parametrize("key", [None, "sk-wrong"], ids=["no key", "wrong key"])
def test_a_wrong_key_is_refused(grpc_stub: Any, key: str | None) -> None:
    """UNAUTHENTICATED, as an exception with code and text."""
    metadata = (("x-api-key", key),) if key else ()
    with pytest.raises(grpc.RpcError) as caught:
        grpc_stub.CreateChatCompletion(pb.CreateChatCompletionRequest(chat=chat()), metadata=metadata, timeout=20)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "sk-wrong" not in error.details()
