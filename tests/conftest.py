"""Fixtures that the whole suite shares."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_stack
from tests.support.vendor import Vendor, running_vendor


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's own keys or settings."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "GATEWAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """An OpenAI-shaped vendor."""
    async with running_vendor() as running:
        yield running


@pytest.fixture
async def stack(vendor: Vendor, tmp_path: Path) -> AsyncIterator[Stack]:
    """A gateway whose provider `openai` is the scripted vendor, with quick retries off."""
    environment = {
        "OPENAI_API_KEY": "sk-vendor-secret",
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "AI_GATEWAY_MAX_RETRIES": "0",
    }
    async with running_stack(tmp_path, environment) as running:
        yield running
