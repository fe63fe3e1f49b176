"""Liveness, readiness, health and version. Open to everyone, so nothing here asks a provider or a store."""

import platform
from typing import Any, Final

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from gateway import __version__
from gateway.errors import Draining, Overloaded, ProviderNotFound
from gateway.health.dependencies import Dependencies
from gateway.health.provider_checks import ProviderChecks
from gateway.lifecycle import Lifecycle
from gateway.services.health_codec import overall, provider_message, summary, system_checks
from llmgateway.v1 import system_pb2
from llmgateway.v1 import system_service_pb2 as pb
from llmgateway.v1.system_service_pb2_grpc import SystemServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_RETRY_AFTER_S: Final = 1.0


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now


_START_TIME: Final = _now()


class SystemService(SystemServiceServicer):
    """`SystemService` of the contract."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        dependencies: Dependencies,
        providers: ProviderChecks,
        *,
        commit: str,
        config_version: str,
    ) -> None:
        self._lifecycle = lifecycle
        self._dependencies = dependencies
        self._providers = providers
        self._commit = commit
        self._config_version = config_version
        self._config_load_time = _now()

    async def Live(self, request: pb.LiveRequest, context: Context) -> pb.LiveResponse:
        return pb.LiveResponse(status="ok")

    async def Ready(self, request: pb.ReadyRequest, context: Context) -> pb.ReadyResponse:
        if self._lifecycle.draining:
            raise Draining(details={"missing": "server"})
        if missing := self._dependencies.missing:
            raise Overloaded(
                f"The gateway is not ready: {', '.join(f'{each.name} ({each.detail})' for each in missing)}.",
                retry_after=_RETRY_AFTER_S,
                details={"missing": ",".join(each.name for each in missing)},
            )
        return pb.ReadyResponse(status="ok", checks=self._checks())

    async def Health(self, request: pb.HealthRequest, context: Context) -> pb.HealthResponse:
        checks = self._checks()
        return pb.HealthResponse(status=overall(checks), checks=checks)

    async def ListProviderHealth(
        self, request: pb.ListProviderHealthRequest, context: Context
    ) -> pb.ListProviderHealthResponse:
        providers = self._providers.health()
        if request.provider:
            providers = [health for health in providers if health.provider == request.provider]
            if not providers:
                raise ProviderNotFound(f"There is no provider '{request.provider[:100]}'.", param="provider")
        return pb.ListProviderHealthResponse(providers=map(provider_message, providers))

    async def GetHealthSummary(
        self, request: pb.GetHealthSummaryRequest, context: Context
    ) -> pb.GetHealthSummaryResponse:
        return summary(self._checks(), self._providers.health(), version=__version__)

    async def GetVersion(self, request: pb.GetVersionRequest, context: Context) -> pb.GetVersionResponse:
        return pb.GetVersionResponse(
            version=__version__,
            commit=self._commit,
            python=platform.python_version(),
            start_time=_START_TIME,
            config_version=self._config_version,
            config_load_time=self._config_load_time,
        )

    def _checks(self) -> list[system_pb2.SystemCheck]:
        return system_checks(self._dependencies.all, self._providers.health(), draining=self._lifecycle.draining)
