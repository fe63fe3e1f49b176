"""A gateway whose answers a test decides: the contract's services without anything behind them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from gateway.errors import GatewayError
from llmgateway.v1 import openai_service_pb2 as openai_pb
from llmgateway.v1 import openai_service_pb2_grpc as openai_grpc
from llmgateway.v1 import system_service_pb2 as system_pb
from llmgateway.v1 import system_service_pb2_grpc as system_grpc

CHAT = "/v1/chat/completions"


def metadata_of(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def openai_body(error: GatewayError) -> bytes:
    """Returns the error as OpenAI writes it, in ASCII."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return json.dumps({"error": fields}, separators=(",", ":")).encode("ascii")


async def reject(context: Any, error: GatewayError, headers: Mapping[str, str] | None = None) -> NoReturn:
    """Ends the call before its first message, the way `gateway/envoy/errors.lua` expects it."""
    info = AnyMessage()
    info.Pack(ErrorInfo(reason=error.reason, domain="llmgateway"))
    number: int = error.grpc_code.value[0]
    status = rpc_status.to_status(Status(code=number, message=error.message, details=[info]))
    trailers: list[tuple[str, str | bytes]] = [*(headers or {}).items(), *(status.trailing_metadata or ())]
    if "x-envoy-original-path" in metadata_of(context):
        trailers += [("x-http-status", str(error.http_status)), ("x-error-body", openai_body(error).decode())]
    context.set_trailing_metadata(tuple(trailers))
    await context.abort(error.grpc_code, error.message)
    raise AssertionError("abort always raises")


class ScriptedGateway(openai_grpc.OpenAIServiceServicer, system_grpc.SystemServiceServicer):
    """Answers with what `chat`, `unary` and `ready` give; a test puts its own functions there."""

    chat: Callable[[openai_pb.OpenAIServiceChatCompletionsRequest, Any], AsyncIterator[HttpBody]]
    unary: Callable[[Any, Any], Awaitable[HttpBody]]
    ready: Callable[[system_pb.ReadyRequest, Any], Awaitable[system_pb.ReadyResponse]]

    async def ChatCompletions(
        self, request: openai_pb.OpenAIServiceChatCompletionsRequest, context: Any
    ) -> AsyncIterator[HttpBody]:
        async for part in self.chat(request, context):
            yield part

    async def Embeddings(self, request: openai_pb.OpenAIServiceEmbeddingsRequest, context: Any) -> HttpBody:
        return await self.unary(request, context)

    async def ListModels(self, request: openai_pb.OpenAIServiceListModelsRequest, context: Any) -> HttpBody:
        return await self.unary(request, context)

    async def GetModel(self, request: openai_pb.OpenAIServiceGetModelRequest, context: Any) -> HttpBody:
        return await self.unary(request, context)

    async def Ready(self, request: system_pb.ReadyRequest, context: Any) -> system_pb.ReadyResponse:
        return await self.ready(request, context)


def json_body(value: object) -> HttpBody:
    return HttpBody(content_type="application/json", data=json.dumps(value).encode())


def events(*texts: str) -> Iterable[HttpBody]:
    """Returns one server-sent event for each text."""
    return [HttpBody(content_type="text/event-stream", data=f"data: {text}\n\n".encode()) for text in texts]


@asynccontextmanager
async def serving(gateway: ScriptedGateway, path: Path) -> AsyncIterator[grpc.aio.Server]:
    """Serves `gateway` on the unix socket `path`."""
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_metadata_size", 64 << 10)]
    server = grpc.aio.server(options=options)
    openai_grpc.add_OpenAIServiceServicer_to_server(gateway, server)
    system_grpc.add_SystemServiceServicer_to_server(gateway, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield server
    finally:
        await server.stop(None)


def failing_with(gateway: ScriptedGateway, error: GatewayError, headers: dict[str, str] | None = None) -> None:
    async def chat(request: object, context: Any) -> AsyncIterator[HttpBody]:
        await reject(context, error, headers)
        yield HttpBody()

    async def unary(request: object, context: Any) -> Any:
        await reject(context, error, headers)

    gateway.chat, gateway.unary, gateway.ready = chat, unary, unary


def echoing(gateway: ScriptedGateway) -> None:
    """Makes every RPC of the OpenAI edge answer with what it received."""

    def seen(request: Any, context: Any) -> HttpBody:
        fields = ("provider", "stream_mode", "model")
        known = {name: getattr(request, name) for name in fields if hasattr(request, name)}
        body = request.body.data.decode() if hasattr(request, "body") else ""
        return json_body({**known, "body": body, "metadata": metadata_of(context)})

    async def chat(request: object, context: object) -> AsyncIterator[HttpBody]:
        yield seen(request, context)

    async def unary(request: object, context: object) -> HttpBody:
        return seen(request, context)

    gateway.chat, gateway.unary = chat, unary


def assert_no_leftovers(headers: Any) -> None:
    names = {name.lower() for name in headers}
    assert not [name for name in names if name.startswith(("grpc-", "x-envoy-", "x-error-", "x-http-"))]
    assert "server" not in names


async def stream_forever(path: Path) -> None:
    """Serves a gateway whose streams never go on after their first event, until the process is killed."""

    async def chat(request: object, context: object) -> AsyncIterator[HttpBody]:
        yield next(iter(events("{}")))
        await asyncio.Event().wait()

    scripted = ScriptedGateway()  # type: ignore[abstract]  # only the scripted RPC is called
    scripted.chat = chat
    async with serving(scripted, path) as server:
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(stream_forever(Path(sys.argv[1])))
