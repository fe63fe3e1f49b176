"""The composition root: builds everything a worker is made of, and owns every lifetime."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc.aio
import msgspec
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import OVERALL_HEALTH, aio
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from gateway.admission.keys import StaticKeys
from gateway.config import Settings
from gateway.dispatch.catalog import Catalog
from gateway.dispatch.chat import ChatDispatcher
from gateway.dispatch.embeddings import EmbeddingDispatcher
from gateway.interceptors.chain import build_chain
from gateway.lifecycle import Lifecycle
from gateway.providers.registry import build_provider
from gateway.providers.upstream import open_session
from gateway.services.chat_service import ChatService
from gateway.services.embedding_service import EmbeddingService
from gateway.services.model_service import ModelService
from gateway.services.openai_service import OpenAIService
from gateway.services.system_service import SystemService
from gateway.telemetry.metrics import Metrics
from llmgateway.v1 import (
    chat_service_pb2,
    chat_service_pb2_grpc,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    openai_service_pb2,
    openai_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
)

_log = structlog.get_logger("gateway.app")

SERVICE_NAMES: Final = tuple(
    service.full_name
    for module in (
        chat_service_pb2,
        embedding_service_pb2,
        model_service_pb2,
        openai_service_pb2,
        system_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)
_METADATA_LIMIT: Final = 64 * 1024
"""Request headers that Envoy lets through must fit; gRPC's own default of 8 KiB is below that."""


class ListenError(Exception):
    """An address cannot be listened on. The text is one line, fit to print."""


class App(msgspec.Struct, frozen=True):
    """A running worker: its bound TCP port, and how it is stopped."""

    grpc_port: int
    lifecycle: Lifecycle
    registry: CollectorRegistry


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, addresses: Sequence[str], commit: str = "unknown", registry: CollectorRegistry | None = None
) -> AsyncIterator[App]:
    """Serve on gRPC `addresses` (`127.0.0.1:0`, `unix:/path`) until the block is left, then drain.

    On leaving: health turns NOT_SERVING, new calls are refused, running ones get `service.shutdown_grace_s`, providers
    close. Raises ListenError.
    """
    registry = registry or CollectorRegistry()
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(settings.time.connect_s))
        providers = {}
        for name, provider_settings in settings.enabled_providers().items():
            provider = build_provider(name, provider_settings, session)
            stack.push_async_callback(provider.aclose)
            providers[name] = (provider, provider_settings)
        catalog = Catalog(providers, settings.aliases)
        chat = ChatDispatcher(catalog, settings.time)
        embeddings = EmbeddingDispatcher(catalog, settings.time)
        keys = StaticKeys(settings.access.api_keys, required=settings.access.require_auth)
        lifecycle = Lifecycle()
        health = aio.HealthServicer()

        server = grpc.aio.server(
            interceptors=(build_chain(keys, Metrics(registry), time.monotonic),),
            options=_server_options(settings.service.max_body_bytes),
        )
        chat_service_pb2_grpc.add_ChatServiceServicer_to_server(ChatService(chat), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(catalog), server)
        embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server(EmbeddingService(embeddings), server)
        openai_service_pb2_grpc.add_OpenAIServiceServicer_to_server(OpenAIService(chat, embeddings, catalog), server)
        system_service_pb2_grpc.add_SystemServiceServicer_to_server(SystemService(lifecycle, commit), server)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        reflected = (*SERVICE_NAMES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*reflected, reflection.SERVICE_NAME), server)

        ports = [_listen(server, address) for address in addresses]
        await server.start()
        for name in (OVERALL_HEALTH, *SERVICE_NAMES):
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        try:
            yield App(max(ports), lifecycle, registry)
        finally:
            lifecycle.drain()
            await health.enter_graceful_shutdown()
            await server.stop(settings.service.shutdown_grace_s)


def _listen(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError:
        raise ListenError(f"{address} cannot be listened on; is it taken?") from None


def _server_options(max_body_bytes: int) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", max_body_bytes + 64 * 1024),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_LIMIT),
        ("grpc.absolute_max_metadata_size", 2 * _METADATA_LIMIT),
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a shared one
    ]
