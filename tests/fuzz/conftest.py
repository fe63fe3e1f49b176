"""One gateway for all fuzz tests: every kind of provider, and a vendor that gives them all the same answer."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fuzz.answers import MAX_BODY_BYTES, VENDOR_KEY
from tests.support.stack import Stack, running_stack
from tests.support.vendor import completion, running_vendor

_YAML = """
aliases:
  fallback: [nowhere/gpt, custom/echo]
providers:
  nowhere: {kind: openai, base_url: "http://127.0.0.1:1/v1", unknown_fields: forward}
"""


@pytest.fixture(scope="session")
async def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway that does not retry, with a small body limit."""
    async with running_vendor() as vendor:
        vendor.script_json(completion())
        environment = {
            "OPENAI_API_KEY": VENDOR_KEY,
            "OPENAI_BASE_URL": vendor.url + "/v1",
            "OPENAI_MODEL": "gpt-test",
            "GEMINI_API_KEY": VENDOR_KEY,
            "GEMINI_BASE_URL": vendor.url,
            "CEREBRAS_API_KEY": VENDOR_KEY,
            "CEREBRAS_BASE_URL": vendor.url,
            "OLLAMA_HOST": vendor.url,
            "AI_GATEWAY_MAX_RETRIES": "0",
            "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        }
        async with running_stack(tmp_path_factory.mktemp("fuzz"), environment, _YAML) as running:
            yield running


@pytest.fixture(scope="session")
async def http(fuzzed: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends what it is told, and knows no cookies."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(fuzzed.url, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
