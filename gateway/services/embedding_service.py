"""The typed edge: embeddings for generated stubs and grpcurl."""

from typing import Any

import grpc.aio

from gateway.dispatch.ask import EmbeddingAsk
from gateway.dispatch.embeddings import EmbeddingDispatcher
from gateway.services.embedding_codec import embedding_request_body, embeddings_message
from gateway.services.request_options import caller
from llmgateway.v1 import embedding_service_pb2 as pb
from llmgateway.v1.embedding_service_pb2_grpc import EmbeddingServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class EmbeddingService(EmbeddingServiceServicer):
    """`EmbeddingService` of the contract."""

    def __init__(self, embeddings: EmbeddingDispatcher) -> None:
        self._embeddings = embeddings

    async def CreateEmbeddings(
        self, request: pb.CreateEmbeddingsRequest, context: Context
    ) -> pb.CreateEmbeddingsResponse:
        ask = EmbeddingAsk.parse(embedding_request_body(request), **caller())
        return embeddings_message(await self._embeddings.embed(ask))
