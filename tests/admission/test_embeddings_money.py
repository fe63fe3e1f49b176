"""Embeddings are reserved, settled and refused as chat is."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import pytest

from gateway.admission.embedding_bound import embedding_bound
from gateway.admission.quota import dollars
from gateway.config import LimitSpec
from gateway.state import open_stored
from gateway.storage.database import open_database
from gateway.wire.embeddings import parse_embedding_request
from tests.support.booked import INPUT_NANO, booked, booked_settings
from tests.support.ledger_records import rows
from tests.support.vendor import Answer, Vendor, running_vendor

TEXT: Final = "The quick brown fox jumps over the lazy dog."
_BODY: Final = json.dumps({"model": "openai/counted", "input": TEXT}).encode()
BOUND: Final = embedding_bound(parse_embedding_request(_BODY)[0])
"""The tokens that admission reserves for `TEXT`."""


def vectors(usage: dict[str, int] | None, **fields: Any) -> Answer:
    """Return a vendor's answer of one vector."""
    body = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "counted"}
    return Answer(json.dumps(body | ({"usage": usage} if usage else {})).encode(), **fields)


def used(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor that makes vectors."""
    async with running_vendor() as running:
        running.script(vectors(used(9)))
        yield running


async def _rows(database_text: str) -> list[Any]:
    async with open_database(database_text) as database:
        return sorted((await rows(database)).values(), key=lambda row: row.id)


async def _refusal(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code


def _budget(database_text: str, nano: int) -> dict[str, str]:
    return {"DATABASE_URL": database_text, "AI_QUOTA_MONTHLY_SPEND_LIMIT": dollars(nano)}


async def test_the_bound_is_reserved_and_the_usage_settled(database_text: str, tmp_path: Path, vendor: Vendor) -> None:
    """While one call is out, a second one does not fit; then only what was used is gone."""
    arrived, go = vendor.arrived, asyncio.Event()
    vendor.script(vectors(used(9), wait_for=go), vectors(used(BOUND)))
    budget = _budget(database_text, (9 + BOUND) * INPUT_NANO)
    async with booked(booked_settings(tmp_path, vendor.url, budget)) as gateway:
        first = asyncio.ensure_future(gateway.embed(TEXT))
        await arrived.wait()
        meanwhile = await _refusal(gateway.embed(TEXT))
        go.set()
        await first
        await gateway.embed(TEXT)
        afterwards = await _refusal(gateway.embed(TEXT))
    found = await _rows(database_text)

    assert (meanwhile, afterwards) == (grpc.StatusCode.RESOURCE_EXHAUSTED,) * 2
    assert len(vendor.received) == 2
    assert [(row.operation, row.state, row.usage_source) for row in found] == [
        ("embeddings", "settled", "provider")
    ] * 2
    assert [row.reserved_nano for row in found] == [BOUND * INPUT_NANO] * 2
    assert [(row.prompt_tokens, row.completion_tokens, row.cost_nano) for row in found] == [
        (9, 0, 9 * INPUT_NANO),
        (BOUND, 0, BOUND * INPUT_NANO),
    ]


async def test_racing_embeddings_never_pass_a_budget(database_text: str, tmp_path: Path, vendor: Vendor) -> None:
    """Of 100 at once against a budget for 20, exactly 20 get through and spend it to the last nano-dollar."""
    vendor.script(vectors(used(BOUND)))
    budget = _budget(database_text, 20 * BOUND * INPUT_NANO)
    async with booked(booked_settings(tmp_path, vendor.url, budget)) as gateway:
        results = await asyncio.gather(*(gateway.embed(TEXT) for _ in range(100)), return_exceptions=True)
    found = await _rows(database_text)

    assert sum(isinstance(result, dict) for result in results) == 20
    assert len(vendor.received) == 20
    assert sum(row.cost_nano for row in found) == 20 * BOUND * INPUT_NANO


async def test_too_little_budget_refuses_before_the_vendor_is_asked(tmp_path: Path, vendor: Vendor) -> None:
    """An embedding has no shorter form: one nano-dollar too little is a refusal, and no row."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    async with booked(booked_settings(tmp_path, vendor.url, _budget(database, BOUND * INPUT_NANO - 1))) as gateway:
        code = await _refusal(gateway.embed(TEXT))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not vendor.received
    assert await _rows(database) == []


async def test_a_failure_gives_the_reservation_back(tmp_path: Path, vendor: Vendor) -> None:
    """A vendor that fails costs nothing, and the whole budget is there for the next call."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    vendor.script(Answer(b"{}", status=500), vectors(used(BOUND)))
    async with booked(booked_settings(tmp_path, vendor.url, _budget(database, BOUND * INPUT_NANO))) as gateway:
        code = await _refusal(gateway.embed(TEXT))
        await gateway.embed(TEXT)

    assert code is grpc.StatusCode.UNAVAILABLE
    assert [(row.state, row.cost_nano) for row in await _rows(database)] == [
        ("released", 0),
        ("settled", BOUND * INPUT_NANO),
    ]


@pytest.mark.parametrize("metadata", [{"x-provider-api-key": "sk-own"}, {}], ids=["the caller's key", "ours"])
async def test_the_caller_s_own_key_pays(tmp_path: Path, vendor: Vendor, metadata: dict[str, str]) -> None:
    """It costs the gateway nothing, and needs no budget; without it the same call is refused."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    yaml = "providers: {openai: {key_source: hybrid}}\n"
    async with booked(booked_settings(tmp_path, vendor.url, _budget(database, 1), yaml)) as gateway:
        if not metadata:
            assert await _refusal(gateway.embed(TEXT)) is grpc.StatusCode.RESOURCE_EXHAUSTED
            return
        await gateway.embed(TEXT, metadata=metadata)
    (row,) = await _rows(database)

    assert vendor.received[0].headers["Authorization"] == "Bearer sk-own"
    assert (row.payer, row.prompt_tokens, row.cost_nano) == ("client", 9, 0)


async def test_a_vendor_that_does_not_count_is_charged_at_the_bound(tmp_path: Path, vendor: Vendor) -> None:
    """Nobody else could tell how many tokens it read."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    vendor.script(vectors(None))
    async with booked(booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database})) as gateway:
        await gateway.embed(TEXT)
    (row,) = await _rows(database)

    assert (row.usage_source, row.prompt_tokens, row.cost_nano) == ("gateway", BOUND, BOUND * INPUT_NANO)


async def test_a_caller_who_leaves_pays_the_bound(tmp_path: Path, vendor: Vendor) -> None:
    """The vendor may have made the vectors, and bills them."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    vendor.script(vectors(used(9), wait_for=asyncio.Event()))
    async with booked(booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database})) as gateway:
        call = asyncio.ensure_future(gateway.embed(TEXT))
        await vendor.arrived.wait()
        call.cancel()
        await asyncio.wait([call])
        await vendor.caller_gone.wait()
    (row,) = await _rows(database)

    assert (row.state, row.usage_source, row.outcome) == ("settled", "bound", "CANCELLED")
    assert row.cost_nano == BOUND * INPUT_NANO


async def test_embeddings_count_against_tokens_a_minute(tmp_path: Path, vendor: Vendor) -> None:
    """What they used, not what was reserved for them."""
    database = f"sqlite:///{tmp_path}/gateway.db"
    settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database})
    async with booked(settings) as gateway, open_stored(settings.storage) as stored:
        _, secret = await stored.keys.create("few", limits=LimitSpec(tokens_per_minute=9 + BOUND, strategy="sliding"))
        await gateway.embed(TEXT, secret.reveal())
        await gateway.embed(TEXT, secret.reveal())
        code = await _refusal(gateway.embed(TEXT, secret.reveal()))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(vendor.received) == 2
