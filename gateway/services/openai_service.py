"""The OpenAI edge: JSON bodies that OpenAI's own SDKs send and read."""

from collections.abc import AsyncGenerator
from typing import Any

import grpc.aio
import msgspec
from google.api.httpbody_pb2 import HttpBody

from gateway.dispatch.catalog import Catalog, ModelCard
from gateway.dispatch.chat import ChatAsk, ChatDispatcher
from gateway.errors import UnsupportedFeature
from gateway.interceptors.base import current_rpc
from gateway.services.frames import framed
from gateway.services.request_options import caller_timeout, stream_mode
from gateway.wire.models import Model, ModelList
from llmgateway.v1 import openai_service_pb2 as pb
from llmgateway.v1.openai_service_pb2_grpc import OpenAIServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_JSON = "application/json"


class OpenAIService(OpenAIServiceServicer):
    """`OpenAIService` of the contract."""

    def __init__(self, chat: ChatDispatcher, catalog: Catalog) -> None:
        self._chat = chat
        self._catalog = catalog

    def ChatCompletions(
        self, request: pb.OpenAIServiceChatCompletionsRequest, context: Context
    ) -> AsyncGenerator[HttpBody]:
        rpc = current_rpc()
        ask = ChatAsk.parse(
            request.body.data,
            provider=request.provider,
            request_id=rpc.request_id,
            started=rpc.started,
            timeout=caller_timeout(rpc),
            record=rpc.record,
        )
        mode = stream_mode(rpc, request.stream_mode, body_streams=bool(ask.request.stream))
        return self._whole(ask) if mode is None else framed(self._chat.stream(ask), mode)

    async def _whole(self, ask: ChatAsk) -> AsyncGenerator[HttpBody]:
        yield HttpBody(content_type=_JSON, data=await self._chat.complete(ask))

    async def Embeddings(self, request: pb.OpenAIServiceEmbeddingsRequest, context: Context) -> HttpBody:
        raise UnsupportedFeature("No configured provider makes embeddings.")

    async def ListModels(self, request: pb.OpenAIServiceListModelsRequest, context: Context) -> HttpBody:
        models = [_model(card) for card in self._catalog.models(request.provider)]
        return HttpBody(content_type=_JSON, data=msgspec.json.encode(ModelList(data=models)))

    async def GetModel(self, request: pb.OpenAIServiceGetModelRequest, context: Context) -> HttpBody:
        card = self._catalog.model(request.model, request.provider)
        return HttpBody(content_type=_JSON, data=msgspec.json.encode(_model(card)))


def _model(card: ModelCard) -> Model:
    return Model(id=card.id, owned_by=card.owned_by)
