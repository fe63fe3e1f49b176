"""One gateway with Envoy in front, and one vendor of each kind, for the whole corpus."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.vendors.all_kinds import KINDS
from tests.support.stack import KEY, Stack, running_stack
from tests.support.vendor import Vendor


@dataclass
class Corpus:
    """Where the cases run."""

    stack: Stack
    vendors: dict[str, Vendor]
    http: aiohttp.ClientSession
    channel: Any


@asynccontextmanager
async def running_corpus(directory: Path, limits: Mapping[str, str] | None = None) -> AsyncIterator[Corpus]:
    """Run all ways in and all vendors behind; `limits` are more environment variables."""
    async with AsyncExitStack() as running:
        vendors = {}
        environment = {"AI_GATEWAY_MAX_RETRIES": "0", **(limits or {})}
        for name, kind in KINDS.items():
            vendors[name] = await running.enter_async_context(kind.running())
            environment |= kind.environment(vendors[name].url)
        stack = await running.enter_async_context(running_stack(directory, environment))
        http = await running.enter_async_context(
            aiohttp.ClientSession(stack.url, headers={"authorization": f"Bearer {KEY}"})
        )
        channel = await running.enter_async_context(stack.channel())
        yield Corpus(stack, vendors, http, channel)


@pytest.fixture(scope="session")
async def corpus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Corpus]:
    """The one gateway of the corpus."""
    async with running_corpus(tmp_path_factory.mktemp("corpus")) as running:
        yield running
