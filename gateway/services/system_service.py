"""Liveness, readiness and version. Open to everyone."""

import platform
from typing import Any, Final

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from gateway import __version__
from gateway.errors import Draining
from gateway.lifecycle import Lifecycle
from llmgateway.v1 import system_pb2
from llmgateway.v1 import system_service_pb2 as pb
from llmgateway.v1.system_service_pb2_grpc import SystemServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now


_START_TIME: Final = _now()


class SystemService(SystemServiceServicer):
    """`SystemService` of the contract."""

    def __init__(self, lifecycle: Lifecycle, commit: str, config_version: str) -> None:
        self._lifecycle = lifecycle
        self._commit = commit
        self._config_version = config_version
        self._config_load_time = _now()

    async def Live(self, request: pb.LiveRequest, context: Context) -> pb.LiveResponse:
        return pb.LiveResponse(status="ok")

    async def Ready(self, request: pb.ReadyRequest, context: Context) -> pb.ReadyResponse:
        if self._lifecycle.draining:
            raise Draining
        return pb.ReadyResponse(status="ok", checks=[system_pb2.SystemCheck(name="server", status="ok")])

    async def Health(self, request: pb.HealthRequest, context: Context) -> pb.HealthResponse:
        return pb.HealthResponse(status="draining" if self._lifecycle.draining else "ok")

    async def GetVersion(self, request: pb.GetVersionRequest, context: Context) -> pb.GetVersionResponse:
        return pb.GetVersionResponse(
            version=__version__,
            commit=self._commit,
            python=platform.python_version(),
            start_time=_START_TIME,
            config_version=self._config_version,
            config_load_time=self._config_load_time,
        )
