"""The typed edge: chat for generated stubs and grpcurl."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from gateway.dispatch.ask import ChatAsk
from gateway.dispatch.chat import ChatDispatcher
from gateway.services.chat_codec import chat_request_body, chunk_message, completion_message
from gateway.services.request_options import caller
from gateway.wire.sse import payloads
from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class ChatService(ChatServiceServicer):
    """`ChatService` of the contract."""

    def __init__(self, chat: ChatDispatcher) -> None:
        self._chat = chat

    async def CreateChatCompletion(
        self, request: pb.CreateChatCompletionRequest, context: Context
    ) -> pb.CreateChatCompletionResponse:
        answer = await self._chat.complete(ChatAsk.parse(chat_request_body(request.chat), **caller()))
        return pb.CreateChatCompletionResponse(completion=completion_message(answer))

    async def StreamChatCompletion(
        self, request: pb.StreamChatCompletionRequest, context: Context
    ) -> AsyncIterator[pb.StreamChatCompletionResponse]:
        body = chat_request_body(
            request.chat,
            stream=True,
            include_usage=request.include_usage,
            include_obfuscation=request.include_obfuscation if request.HasField("include_obfuscation") else None,
        )
        ask = ChatAsk.parse(body, **caller())
        async with contextlib.aclosing(self._chat.stream(ask)) as blocks:
            async for block in blocks:
                for payload in payloads(block):
                    yield pb.StreamChatCompletionResponse(chunk=chunk_message(payload))
