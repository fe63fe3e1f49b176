"""A whole gateway for a test: the worker in this process, real Envoy in front, every way in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from openai import AsyncOpenAI
from prometheus_client import CollectorRegistry

from gateway.app import running
from gateway.config import Settings, load
from gateway.supervisor import envoy_settings
from tests.support.envoy import running_envoy
from tests.support.ports import free_port

KEY = "sk-test-0123456789"


@dataclass
class Stack:
    """Where the gateway listens. `url` is Envoy's, `grpc` the worker's own address, `config` its YAML file.

    `admin_url` is Envoy's for operators.
    """

    url: str
    admin_url: str
    grpc: str
    registry: CollectorRegistry
    settings: Settings
    config: Path

    @property
    def envoy(self) -> str:
        return self.url.removeprefix("http://")

    def openai(self, **options: Any) -> AsyncOpenAI:
        """Return OpenAI's own SDK, pointed here; it does not retry, so that tests see each answer."""
        return AsyncOpenAI(**{"base_url": self.url + "/v1", "api_key": KEY, "max_retries": 0, **options})

    def channel(self, address: str | None = None) -> Any:
        """Return a native gRPC channel, to the worker itself unless told otherwise."""
        return grpc.aio.insecure_channel(address or self.grpc)


WITHOUT_LIMITS = {
    "AI_QUOTA_DAILY_LIMIT": "0",
    "AI_QUOTA_MONTHLY_LIMIT": "0",
    "AI_QUOTA_MONTHLY_SPEND_LIMIT": "0",
}
"""Tests of other things make many calls."""
UNLIMITED = {"ALLOWED_API_KEYS": KEY, "SERVICE_PORT": "0", "PROVIDER_CHECK_INTERVAL_S": "0", **WITHOUT_LIMITS}
"""One key without limits, and vendors that see only what a test sends."""


def private_state(directory: Path) -> dict[str, str]:
    """Return the settings that keep a gateway's database in `directory`, and its vendors for the test alone."""
    return {"DATABASE_URL": f"sqlite:///{directory}/gateway.db", "PROVIDER_CHECK_INTERVAL_S": "0"}


AUTH = (("authorization", f"Bearer {KEY}"),)


@asynccontextmanager
async def running_stack(directory: Path, environment: Mapping[str, str], yaml: str = "") -> AsyncIterator[Stack]:
    """Start a gateway with these environment variables and settings in YAML."""
    config = directory / "gateway.yaml"
    config.write_text(yaml)
    variables = {**UNLIMITED, **private_state(directory), "ADMIN_PORT": str(free_port()), **environment}
    settings = load(variables, config)
    socket = directory / "worker.sock"
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(
            running(
                settings,
                addresses=("127.0.0.1:0", f"unix:{socket}"),
                registry=registry,
                load=lambda: load(variables, config),
            )
        )
        url = await stack.enter_async_context(running_envoy(envoy_settings(settings, (str(socket),)), directory))
        admin_url = f"http://127.0.0.1:{settings.service.admin_port}"
        yield Stack(url, admin_url, f"127.0.0.1:{app.grpc_port}", registry, settings, config)
