"""The typed edge's list of models."""

from typing import Any

import grpc.aio

from gateway.dispatch.directory import ModelDirectory
from gateway.services.model_codec import model_message
from llmgateway.v1 import model_service_pb2 as pb
from llmgateway.v1.model_service_pb2_grpc import ModelServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class ModelService(ModelServiceServicer):
    """`ModelService` of the contract."""

    def __init__(self, directory: ModelDirectory) -> None:
        self._directory = directory

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        cards = await self._directory.models(request.provider)
        return pb.ListModelsResponse(models=[model_message(card) for card in cards])

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=model_message(await self._directory.model(request.model)))
