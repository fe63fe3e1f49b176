"""The OpenAI edge: JSON bodies that OpenAI's own SDKs send and read."""

from collections.abc import AsyncGenerator
from typing import Any

import grpc.aio
import msgspec
from google.api.httpbody_pb2 import HttpBody

from gateway.dispatch.ask import ChatAsk, EmbeddingAsk
from gateway.dispatch.chat import ChatDispatcher
from gateway.dispatch.directory import ModelDirectory
from gateway.dispatch.embeddings import EmbeddingDispatcher
from gateway.interceptors.base import current_rpc
from gateway.interceptors.last import Last, ends_with_last
from gateway.services.frames import framed
from gateway.services.model_codec import model_json
from gateway.services.request_options import caller, stream_mode
from gateway.wire.models import ModelList
from llmgateway.v1 import openai_service_pb2 as pb
from llmgateway.v1.openai_service_pb2_grpc import OpenAIServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_JSON = "application/json"


class OpenAIService(OpenAIServiceServicer):
    """`OpenAIService` of the contract."""

    def __init__(self, chat: ChatDispatcher, embeddings: EmbeddingDispatcher, directory: ModelDirectory) -> None:
        self._chat = chat
        self._embeddings = embeddings
        self._directory = directory

    @ends_with_last
    def ChatCompletions(  # type: ignore[override]  # the stub knows nothing of `Last`
        self, request: pb.OpenAIServiceChatCompletionsRequest, context: Context
    ) -> AsyncGenerator[HttpBody | Last]:
        ask = ChatAsk.parse(request.body.data, provider=request.provider, **caller())
        mode = stream_mode(current_rpc(), request.stream_mode, body_streams=bool(ask.request.stream))
        return self._whole(ask) if mode is None else framed(self._chat.stream(ask), mode)

    async def _whole(self, ask: ChatAsk) -> AsyncGenerator[HttpBody | Last]:
        yield Last(HttpBody(content_type=_JSON, data=await self._chat.complete(ask)))

    async def Embeddings(self, request: pb.OpenAIServiceEmbeddingsRequest, context: Context) -> HttpBody:
        ask = EmbeddingAsk.parse(request.body.data, provider=request.provider, **caller())
        return HttpBody(content_type=_JSON, data=await self._embeddings.embed(ask))

    async def ListModels(self, request: pb.OpenAIServiceListModelsRequest, context: Context) -> HttpBody:
        models = [model_json(card) for card in await self._directory.models(request.provider)]
        return HttpBody(content_type=_JSON, data=msgspec.json.encode(ModelList(data=models)))

    async def GetModel(self, request: pb.OpenAIServiceGetModelRequest, context: Context) -> HttpBody:
        card = await self._directory.model(request.model, request.provider)
        return HttpBody(content_type=_JSON, data=msgspec.json.encode(model_json(card)))
