"""Fixtures that the whole suite shares."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.databases import KINDS, postgres_database, postgres_server
from tests.support.stack import Stack, running_stack
from tests.support.vendor import Vendor, running_vendor

VENDOR_KEY = "sk-vendor-secret"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's own keys or settings."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "CEREBRAS_", "GEMINI_", "OLLAMA_", "GATEWAY_")) and name != "OLLAMA_BIN":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
async def session_vendor() -> AsyncIterator[Vendor]:
    """The vendor behind the session's gateway; tests take `vendor`."""
    async with running_vendor() as running:
        yield running


@pytest.fixture(scope="session")
async def session_stack(session_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The session's gateway; tests take `stack`."""
    environment = {
        "OPENAI_API_KEY": VENDOR_KEY,
        "OPENAI_BASE_URL": session_vendor.url + "/v1",
        "OPENAI_MODEL": "gpt-test",
        "AI_GATEWAY_MAX_RETRIES": "0",
    }
    async with running_stack(tmp_path_factory.mktemp("stack"), environment) as running:
        yield running


@pytest.fixture
async def vendor(session_vendor: Vendor) -> Vendor:
    """An OpenAI-shaped vendor with nothing scripted and nothing received."""
    session_vendor.script()
    session_vendor.received.clear()
    session_vendor.caller_gone = asyncio.Event()
    session_vendor.arrived = asyncio.Event()
    return session_vendor


@pytest.fixture
def stack(session_stack: Stack, vendor: Vendor) -> Stack:
    """A gateway behind Envoy. Its provider `openai` is the scripted vendor; it does not retry."""
    return session_stack


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server for the whole session."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=KINDS)
async def database_text(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The `DATABASE_URL` of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    async with postgres_database(request.getfixturevalue("postgres")) as url:
        yield url
