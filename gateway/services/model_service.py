"""The typed edge's list of models."""

from typing import Any

import grpc.aio

from gateway.dispatch.catalog import Catalog, ModelCard
from llmgateway.v1 import model_pb2
from llmgateway.v1 import model_service_pb2 as pb
from llmgateway.v1.model_service_pb2_grpc import ModelServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class ModelService(ModelServiceServicer):
    """`ModelService` of the contract."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=[_model(card) for card in self._catalog.models(request.provider)])

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=_model(self._catalog.model(request.model)))


def _model(card: ModelCard) -> model_pb2.Model:
    return model_pb2.Model(id=card.id, owned_by=card.owned_by)
