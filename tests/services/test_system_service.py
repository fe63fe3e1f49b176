"""Health, version and metrics: open to everyone, true to the state of the server."""

import platform
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import __version__
from gateway.app import running
from gateway.config import load
from llmgateway.v1 import system_service_pb2 as pb
from llmgateway.v1.system_service_pb2_grpc import SystemServiceStub
from tests.support.stack import Stack, private_state

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/health", "/api/v1/ai/health"])
async def test_probes_need_no_key(stack: Stack, path: str) -> None:
    """200 with a status in words."""
    async with aiohttp.ClientSession(stack.url) as http, http.get(path) as response:
        answer = await response.json()

    assert (response.status, answer["status"]) == (200, "ok")


async def test_readiness_tells_what_was_checked(stack: Stack) -> None:
    """By name."""
    async with aiohttp.ClientSession(stack.url) as http, http.get("/readyz") as response:
        answer = await response.json()

    names = ["server", "database", "migrations", "providers"]
    assert answer["checks"] == [{"name": name, "status": "ok"} for name in names]


async def test_the_version_is_told(stack: Stack) -> None:
    """Of the gateway and of Python."""
    async with aiohttp.ClientSession(stack.url) as http, http.get("/version") as response:
        answer = await response.json()

    assert (answer["version"], answer["python"]) == (__version__, platform.python_version())


@pytest.mark.parametrize("way", ["envoy", "direct"])
@pytest.mark.parametrize("service", ["", "llmgateway.v1.ChatService", "llmgateway.v1.OpenAIService"])
async def test_the_health_service_knows_each_service(stack: Stack, service: str, way: str) -> None:
    """Overall and by name, without a key."""
    async with stack.channel(stack.envoy if way == "envoy" else None) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)

    assert answer.status == SERVING


async def test_an_unknown_service_has_no_health(stack: Stack) -> None:
    """NOT_FOUND, as the health protocol wants."""
    async with stack.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=20)

    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_an_unknown_method_is_unimplemented(stack: Stack) -> None:
    """gRPC's own answer."""
    async with stack.channel() as channel:
        call = channel.unary_unary("/llmgateway.v1.ChatService/Nope")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=20)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_draining_gateway_is_alive_and_not_ready(tmp_path: Path) -> None:
    """So that it gets no new callers and is not killed. Status and checks tell the same."""
    settings = load({"REQUIRE_AUTH": "false", **private_state(tmp_path)}, _nothing(tmp_path))
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(running(settings, addresses=("127.0.0.1:0",)))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc_port}"))
        app.lifecycle.drain()
        system: Any = SystemServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await system.Ready(pb.ReadyRequest(), timeout=20)
        live = await system.Live(pb.LiveRequest(), timeout=20)
        health = await system.Health(pb.HealthRequest(), timeout=20)
        summary = await system.GetHealthSummary(pb.GetHealthSummaryRequest(), timeout=20)

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "The gateway is shutting down."
    assert (live.status, health.status, summary.status) == ("ok", "draining", "down")
    assert [(check.name, check.detail) for check in health.checks if check.status != "ok"] == [
        ("server", "it is shutting down")
    ]


def _nothing(directory: Path) -> Path:
    path = directory / "gateway.yaml"
    path.write_text("")
    return path
