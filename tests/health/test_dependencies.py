"""What the gateway itself needs is paused, killed or out of date: readiness names it, and gRPC's health agrees."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest
import sqlalchemy as sa
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.storage.database import Database, open_database
from llmgateway.v1 import system_service_pb2 as pb
from llmgateway.v1.system_service_pb2_grpc import SystemServiceStub
from tests.support.databases import postgres_database, postgres_server, postmaster
from tests.support.envoy import running_envoy, settings_for
from tests.support.health import HealthPages, health_pages
from tests.support.operated import renamed
from tests.support.redis import running_redis
from tests.support.stack import AUTH, Stack, running_stack

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
CHAT, SYSTEM = "llmgateway.v1.ChatService", "llmgateway.v1.SystemService"
HELLO = {"model": "custom/echo", "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def paused(server: str) -> Iterator[None]:
    """Stop every process of a PostgreSQL server for a while."""
    root = postmaster(server)
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    for process in (root, *map(int, children)):
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in (root, *map(int, children)):
            os.kill(process, signal.SIGCONT)


async def grpc_health(channel: grpc.aio.Channel, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    status: int = (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)).status
    return status


async def missing(stack: Stack) -> str:
    """Return what readiness misses, as a stub reads it."""
    async with stack.channel() as channel:
        stub: Any = SystemServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Ready(pb.ReadyRequest(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    info = ErrorInfo()
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]  # it has the methods that are used
    assert status.details[0].Unpack(info)
    return info.metadata["missing"]


async def checks(pages: HealthPages) -> dict[str, str]:
    """Return each check of `/health` with its status."""
    _, page = await pages.get("/health")
    return {check["name"]: check["status"] for check in page["checks"]}


@pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="pauses the server, which must be our own")
async def test_a_paused_database_is_named(tmp_path: Path) -> None:
    """By `/readyz`, by stub and by gRPC's health, whose watchers hear of it; calls of known keys go on."""
    with postgres_server() as server:
        async with postgres_database(server) as url:
            environment = {
                "DATABASE_URL": url,
                "GATEWAY_MASTER_KEY": "test-master-key",
                "JOURNAL_DIR": str(tmp_path / "journal"),
            }
            async with (
                running_stack(tmp_path, environment) as stack,
                health_pages(stack.url) as pages,
                stack.channel() as channel,
                aiohttp.ClientSession(stack.url, headers=dict(AUTH)) as http,
            ):
                health: Any = health_pb2_grpc.HealthStub(channel)
                watch = health.Watch(health_pb2.HealthCheckRequest())
                heard = [(await asyncio.wait_for(watch.read(), 20)).status]
                with paused(server):
                    body = await pages.until_status("/readyz", 503)
                    heard.append((await asyncio.wait_for(watch.read(), 20)).status)
                    during = [await grpc_health(channel, name) for name in ("", CHAT, SYSTEM)]
                    named, seen = await missing(stack), await checks(pages)
                    _, summary = await pages.get("/api/v1/ai/health")
                    alive, _ = await pages.get("/livez")
                    async with http.post("/v1/chat/completions", json=HELLO) as call:
                        answered = call.status
                again = await pages.until_status("/readyz", 200)
                heard.append((await asyncio.wait_for(watch.read(), 20)).status)
                watch.cancel()

    assert body["error"] == {
        "message": "The gateway is not ready: database (it does not answer).",
        "type": "service_unavailable_error",
        "param": None,
        "code": "server_is_overloaded",
    }
    assert named == "database"
    assert (seen["database"], seen["migrations"]) == ("failed", "ok")
    assert (summary["status"], summary["database"], summary["redis"]) == ("down", "failed", "none")
    assert during == [NOT_SERVING, NOT_SERVING, SERVING]
    assert heard == [SERVING, NOT_SERVING, SERVING]
    assert (alive, answered) == (200, 200)
    assert [check["status"] for check in again["checks"]] == ["ok"] * 4


@pytest.mark.parametrize("mode", ["refuse", "count_alone"])
async def test_a_redis_that_is_away_is_named(tmp_path: Path, mode: str) -> None:
    """Where calls with limits need it the gateway is not ready; where each process counts alone it is, and says so."""
    labels = {"dependency": "redis"}
    with running_redis() as redis:
        environment = {"REDIS_URL": redis.url.reveal(), "REDIS_AWAY": mode}
        async with running_stack(tmp_path, environment) as stack, health_pages(stack.url) as pages:
            before = await checks(pages)
            redis.kill()
            if mode == "refuse":
                body = await pages.until_status("/readyz", 503)
                assert body["error"]["message"] == "The gateway is not ready: redis (it does not answer)."
                assert await missing(stack) == "redis"
            else:
                await until(pages, lambda found: found["redis"] == "degraded")
                assert (await pages.get("/readyz"))[0] == 200
            during, (_, summary) = await checks(pages), await pages.get("/api/v1/ai/health")
            gauge = stack.registry.get_sample_value("llmgateway_dependency_up", labels)
            redis.start()
            await until(pages, lambda found: found["redis"] == "ok")
            await pages.until_status("/readyz", 200)

    assert (before["redis"], gauge) == ("ok", 0)
    expected = "failed" if mode == "refuse" else "degraded"
    assert (during["redis"], summary["redis"]) == (expected, expected)
    assert summary["status"] == ("down" if mode == "refuse" else "degraded")


async def until(pages: HealthPages, fits: Callable[[dict[str, str]], bool]) -> None:
    async with asyncio.timeout(20):
        while not fits(await checks(pages)):  # noqa: ASYNC110  # a page has no event to wait for
            await asyncio.sleep(0.05)


@asynccontextmanager
async def at_revision(database: Database, revision: str) -> AsyncIterator[None]:
    """Have the database say that its schema is another one."""
    async with database.writing() as connection:
        current = (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar()
    for version in (revision, current):
        async with database.writing() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": version})
        if version == revision:
            yield


async def test_a_schema_that_is_missing_or_older_is_named(tmp_path: Path) -> None:
    """One that a newer gateway has brought further is none of our business."""
    async with (
        running_stack(tmp_path, {}) as stack,
        health_pages(stack.url) as pages,
        open_database(stack.settings.storage.database_url.reveal()) as database,
    ):
        async with renamed(database, "alembic_version"):
            gone = await pages.until_status("/readyz", 503)
        await pages.until_status("/readyz", 200)
        async with at_revision(database, "0001"):
            older = await pages.until_status("/readyz", 503)
            assert await missing(stack) == "migrations"
        await pages.until_status("/readyz", 200)
        async with at_revision(database, "9999"):
            await until(pages, lambda found: found["migrations"] == "ok")

    assert "migrations (the database has no schema)" in gone["error"]["message"]
    assert "migrations (the database's schema is older than this gateway's)" in older["error"]["message"]


async def test_a_database_that_takes_no_writes_is_degraded(tmp_path: Path) -> None:
    """Calls go on in the journal, so the gateway is ready, and the pages tell."""
    async with (
        running_stack(tmp_path, {}) as stack,
        health_pages(stack.url) as pages,
        open_database(stack.settings.storage.database_url.reveal()) as database,
        aiohttp.ClientSession(stack.url, headers=dict(AUTH)) as http,
    ):
        async with renamed(database, "calls"):
            async with http.post("/v1/chat/completions", json=HELLO) as call:
                assert call.status == 200
            await until(pages, lambda found: found["database"] == "degraded")
            ready, _ = await pages.get("/readyz")
            _, health = await pages.get("/health")
        await until(pages, lambda found: found["database"] == "ok")

    assert (ready, health["status"]) == (200, "degraded")


async def test_a_missing_worker_is_named(tmp_path: Path) -> None:
    """Envoy answers then, in the same shape."""
    async with running_envoy(settings_for(tmp_path), tmp_path) as url, health_pages(url) as pages:
        status, body = await pages.get("/readyz")

    assert status == 503
    assert body["error"]["message"] == "No worker of the gateway is there to answer. Try again soon."
