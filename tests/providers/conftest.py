"""Vendors as their documentation describes them, and the providers that talk to them."""

from collections.abc import AsyncIterator

import pytest

from gateway.providers.base import Provider
from tests.support.cerebras_vendor import running_cerebras
from tests.support.ollama_vendor import running_ollama
from tests.support.provider_calls import running_provider
from tests.support.strict_vendor import StrictVendor


@pytest.fixture
async def ollama_vendor() -> AsyncIterator[StrictVendor]:
    async with running_ollama() as vendor:
        yield vendor


@pytest.fixture
async def ollama(ollama_vendor: StrictVendor) -> AsyncIterator[Provider]:
    async with running_provider("ollama", ollama_vendor.url) as provider:
        yield provider


@pytest.fixture
async def cerebras_vendor() -> AsyncIterator[StrictVendor]:
    async with running_cerebras() as vendor:
        yield vendor


@pytest.fixture
async def cerebras(cerebras_vendor: StrictVendor) -> AsyncIterator[Provider]:
    async with running_provider("cerebras", cerebras_vendor.url) as provider:
        yield provider
