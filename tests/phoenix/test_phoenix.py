"""Arize Phoenix, the real one, reads our traces. Run by `make test-phoenix`, which installs it beside the project."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.operated import operated
from tests.support.ports import free_port
from tests.support.vendor import completion

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


async def test_phoenix_shows_the_call_and_its_attempt(tmp_path: Path) -> None:
    """Parent and child are read back from Phoenix's API, with model, tokens, cost, project, settings, prompt template
    and messages as it names them.
    """
    template = {
        "prompt_template": "Say {what}",
        "prompt_template_version": "v7",
        "prompt_template_variables": json.dumps({"what": "hello"}),
    }
    async with running_phoenix(tmp_path) as phoenix:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": phoenix, "TRACE_PROMPTS": "true"}
        async with operated(tmp_path, environment) as gateway:
            gateway.vendor.script_json(completion("hello back"))
            _, secret = await gateway.new_key(project_id="team")
            body = {
                "model": "openai/priced",
                "messages": [{"role": "user", "content": "hello"}],
                "temperature": 0.5,
                "metadata": template,
            }
            assert (await gateway.call("POST", "/v1/chat/completions", body, key=secret)).status == 200
        spans = await _spans(phoenix, 3)

    server, attempt = spans["llmgateway.v1.OpenAIService/ChatCompletions"], spans["chat priced"]
    shown = attempt["attributes"]
    assert attempt["parent_id"] == server["context"]["span_id"]
    assert attempt["context"]["trace_id"] == server["context"]["trace_id"]
    assert (server["span_kind"], attempt["span_kind"]) == ("CHAIN", "LLM")
    assert server["attributes"]["llmgateway.project_id"] == shown["llmgateway.project_id"] == "team"
    assert shown["llm.model_name"] == "priced"
    assert shown["llm.token_count.prompt"] == 5
    assert shown["llm.token_count.completion"] == 2
    assert shown["llm.cost.total"] == pytest.approx(5 * 1e-6 + 2 * 2e-6)
    assert shown["llm.invocation_parameters"] == '{"temperature":0.5}'
    assert shown["llm.prompt_template.template"] == template["prompt_template"]
    assert shown["llm.prompt_template.version"] == template["prompt_template_version"]
    assert shown["llm.prompt_template.variables.what"] == "hello"
    assert "hello" in str(shown["llm.input_messages.0.message.content"])
    assert "hello back" in str(shown["llm.output_messages.0.message.content"])
