"""Arize Phoenix, the real one, reads our traces. Run by `make test-phoenix`, which installs it beside the project."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.envoy import free_port
from tests.support.stack import running_stack
from tests.support.vendor import Vendor, completion

PHOENIX = os.environ.get("PHOENIX_BIN", "")
pytestmark = [
    pytest.mark.skipif(not PHOENIX, reason="PHOENIX_BIN names no Arize Phoenix; `make test-phoenix` installs one"),
    pytest.mark.timeout(180),
]
_START_LIMIT_S = 120


@asynccontextmanager
async def running_phoenix(directory: Path) -> AsyncIterator[str]:
    """Yield the address of a Phoenix that answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = directory / "phoenix.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            PHOENIX, "serve", env={**outside, **settings}, stdout=output, stderr=asyncio.subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + _START_LIMIT_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while not await _answers(http, url):
                assert process.returncode is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                await asyncio.sleep(0.5)
        yield url
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(url + "/healthz") as response:
            return response.status == 200
    return False


async def _spans(url: str, count: int) -> dict[str, dict[str, Any]]:
    """Return Phoenix's spans by name, when it has `count` of them."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(30):
        while True:
            async with http.get(url + "/v1/projects/default/spans") as response:
                spans = (await response.json())["data"]
            if len(spans) >= count:
                return {span["name"]: span for span in spans}
            await asyncio.sleep(0.2)


async def test_phoenix_shows_the_call_and_its_attempt(vendor: Vendor, tmp_path: Path) -> None:
    """Parent and child are read back from Phoenix's API, with model, tokens, settings and messages as it names them."""
    vendor.script_json(completion("hello back"))
    async with running_phoenix(tmp_path) as phoenix:
        environment = {
            "OPENAI_API_KEY": "sk-vendor-secret",
            "OPENAI_BASE_URL": vendor.url + "/v1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": phoenix,
            "TRACE_PROMPTS": "true",
        }
        async with running_stack(tmp_path, environment) as stack, stack.openai() as client:
            await client.chat.completions.create(
                model="openai/gpt-test", messages=[{"role": "user", "content": "hello"}], temperature=0.5
            )
        spans = await _spans(phoenix, 2)

    server, attempt = spans["llmgateway.v1.OpenAIService/ChatCompletions"], spans["chat gpt-test"]
    assert attempt["parent_id"] == server["context"]["span_id"]
    assert attempt["context"]["trace_id"] == server["context"]["trace_id"]
    assert (server["span_kind"], attempt["span_kind"]) == ("CHAIN", "LLM")
    assert attempt["attributes"]["llm.model_name"] == "gpt-test"
    assert attempt["attributes"]["llm.token_count.prompt"] == 5
    assert attempt["attributes"]["llm.token_count.completion"] == 2
    assert attempt["attributes"]["llm.invocation_parameters"] == '{"temperature":0.5}'
    assert "hello" in str(attempt["attributes"]["llm.input_messages.0.message.content"])
    assert "hello back" in str(attempt["attributes"]["llm.output_messages.0.message.content"])
