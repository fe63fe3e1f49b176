"""Tokens of each kind are charged once, at their own price, from the vendor's answer to the ledger."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.storage.database import open_database
from tests.support.booked import Booked, booked, booked_settings
from tests.support.gemini import answer as gemini_answer
from tests.support.gemini import candidate, running_gemini
from tests.support.ledger_records import rows
from tests.support.vendor import Answer, Stream, Vendor, completion, running_vendor, sse

MODELS = """
  openai/kinds:
    prices:
      {input: 2000000000, cached_input: 500000000, audio_input: 4000000000,
       output: 8000000000, audio_output: 16000000000, reasoning: 3000000000}
  openai/plain: {prices: {input: 2000000000, output: 8000000000}}
  gemini/gemini-2.5-flash: {prices: {input: 2000000000, cached_input: 500000000, output: 8000000000}}
"""
ASK = [{"role": "user", "content": "hello"}]
XAI = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "completion_tokens_details": {"reasoning_tokens": 94},
}
"""xAI's own example of an answer with reasoning."""


def told(prompt: int, completion_: int, sent: dict[str, int], got: dict[str, int]) -> dict[str, Any]:
    """Return a usage as OpenAI writes it."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_,
        "total_tokens": prompt + completion_,
        "prompt_tokens_details": sent,
        "completion_tokens_details": got,
    }


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor that says what it is told."""
    async with running_vendor() as running:
        yield running


async def _row(folder: Path, url: str, model: str, **fields: Any) -> Any:
    """Ask once and return the call's row."""
    database = f"sqlite:///{folder}/gateway.db"
    yaml = MODELS + f"providers: {{gemini: {{base_url: '{url}', api_key: AIza-test-key}}}}\n"
    async with booked(booked_settings(folder, url, {"DATABASE_URL": database}, yaml)) as gateway:
        await _drained(gateway, model, **fields)
    async with open_database(database) as opened:
        (row,) = (await rows(opened)).values()
    return row


async def _drained(gateway: Booked, model: str, **fields: Any) -> None:
    async for _ in gateway.call(ASK, model=model, **fields):
        pass


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("model", "usage", "tokens", "nano"),
    [
        pytest.param("kinds", told(100, 10, {"cached_tokens": 60}, {}), (100, 10), 190_000, id="cached"),
        pytest.param(
            "kinds",
            told(100, 50, {"audio_tokens": 80}, {"audio_tokens": 40}),
            (100, 50),
            20 * 2000 + 80 * 4000 + 10 * 8000 + 40 * 16000,
            id="heard and spoken",
        ),
        pytest.param(
            "kinds", told(10, 100, {}, {"reasoning_tokens": 90}), (10, 100), 20_000 + 80_000 + 270_000, id="reasoning"
        ),
        pytest.param(
            "plain", told(10, 100, {}, {"reasoning_tokens": 90}), (10, 100), 820_000, id="reasoning as output"
        ),
        pytest.param("plain", XAI, (32, 103), 32 * 2000 + 103 * 8000, id="reasoning beside the completion"),
        pytest.param("kinds", XAI, (32, 103), 64_000 + 72_000 + 94 * 3000, id="reasoning beside it, with a price"),
        pytest.param("plain", {"total_tokens": 7}, (0, 7), 56_000, id="a total alone"),
    ],
)
async def test_openai_s_kinds(
    *,
    tmp_path: Path,
    vendor: Vendor,
    model: str,
    usage: dict[str, Any],
    tokens: tuple[int, int],
    nano: int,
    stream: bool,
) -> None:
    """Worked examples: the row has the vendor's tokens, and what they cost to the nano-dollar."""
    if stream:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choice = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
        last = {"prompt_tokens": 0, **usage}
        vendor.script(Stream([sse({**head, "choices": [choice]}, {**head, "choices": [], "usage": last})]))
    else:
        vendor.script_json(completion(usage=usage))
    row = await _row(tmp_path, vendor.url, f"openai/{model}", stream=stream)

    assert (row.prompt_tokens, row.completion_tokens, row.usage_source) == (*tokens, "provider")
    assert row.cost_nano == nano


async def test_gemini_s_thoughts(tmp_path: Path) -> None:
    """Gemini counts thoughts beside its candidates: they are in the completion, once, at the output's price."""
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 137,
    }
    async with running_gemini() as google:
        google.script_answers(gemini_answer(candidate("hi"), usage=usage))
        row = await _row(tmp_path, google.url, "gemini/gemini-2.5-flash")

    assert (row.prompt_tokens, row.cached_tokens) == (100, 40)
    assert (row.completion_tokens, row.reasoning_tokens) == (37, 30)
    assert row.cost_nano == 60 * 2000 + 40 * 500 + 37 * 8000


async def test_reasoning_that_broke_off_is_charged(tmp_path: Path, vendor: Vendor) -> None:
    """A stream that ends while the model still reasons costs what came of it, though no answer did."""
    chunks = [
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        for text in ("one", " two", " three")
        for choice in [{"index": 0, "delta": {"reasoning_content": text}}]
    ]
    vendor.script(Stream([sse(*chunks, done=False)], end="reset"))
    with pytest.raises(grpc.aio.AioRpcError, match="broke off"):
        await _row(tmp_path, vendor.url, "openai/plain", stream=True)
    async with open_database(f"sqlite:///{tmp_path}/gateway.db") as opened:
        (row,) = (await rows(opened)).values()

    assert (row.completion_tokens, row.usage_source) == (3, "gateway")
    assert row.cost_nano == row.prompt_tokens * 2000 + 3 * 8000


async def test_embeddings_by_their_total(tmp_path: Path, vendor: Vendor) -> None:
    """Vendors that tell only `total_tokens` of embeddings mean the prompt."""
    body = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "model": "m", "usage": {"total_tokens": 12}}
    vendor.script(Answer(json.dumps(body).encode()))
    database = f"sqlite:///{tmp_path}/gateway.db"
    async with booked(booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database}, MODELS)) as gateway:
        await gateway.embed("hello", model="openai/plain")
    async with open_database(database) as opened:
        (row,) = (await rows(opened)).values()

    assert (row.prompt_tokens, row.completion_tokens, row.cost_nano) == (12, 0, 24_000)
