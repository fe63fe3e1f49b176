"""Canaries: keys, prompts and answers do not turn up in logs, errors, metrics or check-config."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.support.command import finished, running_command
from tests.support.stack import running_stack
from tests.support.vendor import Answer, Stream, Vendor, completion, sse

CALLER_KEY = "sk-canary-caller"
PROVIDER_KEY = "sk-canary-provider"
PROMPT = "canary-prompt"
ANSWER = "canary-answer"


async def test_nothing_secret_is_written_anywhere(vendor: Vendor, tmp_path: Path) -> None:
    """Success, refusals by the gateway and by the vendor, and a broken stream, at the most talkative log level.

    The vendor quotes key and prompt in its errors, as some do.
    """
    echo = {"message": f"{PROMPT} is not allowed; key {PROVIDER_KEY}", "type": "t", "code": "c", "param": None}
    settings = {
        "ALLOWED_API_KEYS": CALLER_KEY,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "AI_GATEWAY_MAX_RETRIES": "0",
        "PROVIDER_CHECK_INTERVAL_S": "0.05",
        "LOG_LEVEL": "debug",
    }
    answers: list[str] = []
    async with running_command(tmp_path, settings) as command, aiohttp.ClientSession(command.url) as http:

        async def ask(key: str = CALLER_KEY, **fields: object) -> int:
            body = {"model": "openai/m", "messages": [{"role": "user", "content": PROMPT}], **fields}
            headers = {"authorization": f"Bearer {key}"}
            async with http.post("/v1/chat/completions", json=body, headers=headers) as response:
                answers.append(await response.text())
                return response.status

        vendor.script_json(completion(ANSWER))
        assert await ask() == 200
        assert await ask(temperature=9) == 422
        assert await ask("sk-canary-wrong") == 401
        for status, expected in ((400, 400), (401, 502), (403, 403), (429, 429), (500, 502), (503, 503)):
            vendor.script_json({"error": echo}, status=status)
            assert await ask() == expected
        vendor.script_json({"error": echo})
        assert await ask() == 502
        vendor.script(Answer(f"<html>{PROMPT} {PROVIDER_KEY}</html>".encode()))
        assert await ask() == 502
        vendor.script(Stream([sse({"choices": []}, {"error": echo})]))
        assert await ask(stream=True) == 200
        async with aiohttp.ClientSession() as plain:
            page = f"http://127.0.0.1:{command.ports['METRICS_PORT']}/metrics"
            async with plain.get(page) as response:
                metrics = await response.text()
        code, checked, errors = await finished("check-config", settings=settings)
        await command.interrupt()
        log = command.log.read_text()

    assert code == 0
    assert json.loads(checked)["providers"]["openai"]["api_key"] == "***"
    for place, text in {"log": log, "metrics": metrics, "check-config": checked + errors}.items():
        assert "canary" not in text, place
    assert PROMPT not in "".join(answers[1:3])
    assert CALLER_KEY not in "".join(answers)
    refused_key = [answer for answer in answers if "credentials" in answer]
    assert len(refused_key) == 1
    assert PROVIDER_KEY not in "".join(answers)


VENDORS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "openai": ("OPENAI_BASE_URL", lambda text: {"error": {"message": text, "type": "t", "code": "c"}}),
    "cerebras": ("CEREBRAS_BASE_URL", lambda text: {"message": text, "type": "t", "code": "c"}),
    "gemini": ("GEMINI_BASE_URL", lambda text: {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}),
    "ollama": ("OLLAMA_HOST", lambda text: {"error": text}),
}


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_vendor_s_words_go_to_the_caller_alone(
    vendor: Vendor, tmp_path: Path, provider: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its text is not logged, because it may quote the prompt; the key in it is shown to nobody."""
    base_url, error = VENDORS[provider]
    settings = {f"{provider.upper()}_API_KEY": PROVIDER_KEY, base_url: vendor.url, "AI_GATEWAY_MAX_RETRIES": "0"}
    seen: list[str] = []
    async with running_stack(tmp_path, settings) as stack, stack.openai() as client:
        capfd.readouterr()
        for status in (400, 401, 403, 404, 422, 429, 500, 503):
            vendor.script_json(error(f"no {PROMPT}, said {PROVIDER_KEY}"), status=status)
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(
                    model=f"{provider}/m", messages=[{"role": "user", "content": PROMPT}]
                )
            seen.append(caught.value.response.text)
        log = "".join(capfd.readouterr())

    lines = [line for line in log.splitlines() if "] request " in line and f"provider={provider}" in line]
    assert len(lines) == len(seen)
    assert "canary" not in log
    assert f"no {PROMPT}" in seen[0]
    assert PROVIDER_KEY not in "".join(seen)
