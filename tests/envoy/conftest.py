"""Fixtures: one Envoy for a module, a scripted gateway behind it for each test, and clients in front."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc
import pytest
import pytest_asyncio

from llmgateway.v1 import openai_service_pb2_grpc as openai_grpc
from tests.support.envoy import running_envoy, settings_for
from tests.support.scripted_gateway import (
    ScriptedGateway,
    serving,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("envoy")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def envoy(directory: Path) -> AsyncIterator[str]:
    async with running_envoy(settings_for(directory), directory) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(directory: Path) -> AsyncIterator[ScriptedGateway]:
    scripted = ScriptedGateway()  # type: ignore[abstract]  # only the scripted RPCs are called
    async with serving(scripted, directory / "gateway.sock"):
        yield scripted


@pytest_asyncio.fixture(loop_scope="module")
async def http(envoy: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(envoy, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def stub(envoy: str) -> "AsyncIterator[openai_grpc.OpenAIServiceAsyncStub]":
    async with grpc.aio.insecure_channel(envoy.removeprefix("http://")) as channel:
        yield openai_grpc.OpenAIServiceStub(channel)
