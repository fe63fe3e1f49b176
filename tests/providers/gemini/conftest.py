"""A Gemini provider whose vendor is a strict one on loopback."""

from collections.abc import AsyncIterator

import pytest

from gateway.http.client import HttpClient
from tests.providers.gemini.driver import Driver
from tests.support.gemini import Gemini, running_gemini


@pytest.fixture
async def google() -> AsyncIterator[Gemini]:
    async with running_gemini() as running:
        yield running


@pytest.fixture
async def driver(google: Gemini) -> AsyncIterator[Driver]:
    async with HttpClient(5.0) as session:
        yield Driver(google, session)
