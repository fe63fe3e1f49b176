"""Deadlines, silence and callers who leave, with every vendor, on both edges."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from llmgateway.v1.chat_service_pb2 import StreamChatCompletionRequest
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.contract import typed
from tests.contract.case import HI, text
from tests.contract.conftest import Corpus, running_corpus
from tests.contract.test_corpus import CHAT, call_stub, reason
from tests.contract.vendors.all_kinds import KINDS
from tests.contract.vendors.kind import Kind
from tests.support.stack import AUTH
from tests.support.vendor import Answer, Stream

VENDORS = [pytest.param(kind, id=kind.name) for kind in KINDS.values() if kind.name != "custom"]
SOON_S = 0.25
"""How quickly the vendor must learn that the caller has left."""


@pytest.fixture(scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Corpus]:
    """A gateway that waits 0.3 s for a first token and for the next one."""
    limits = {"FIRST_TOKEN_TIMEOUT_S": "0.3", "STREAM_IDLE_TIMEOUT_S": "0.3"}
    async with running_corpus(tmp_path_factory.mktemp("hasty"), limits) as running:
        yield running


def body_for(kind: Kind) -> dict[str, Any]:
    return {"model": f"{kind.name}/{kind.model}", "messages": [HI]}


def silent_after_the_first_text(kind: Kind) -> Stream:
    stream = kind.stream(text("first half, second half"))
    packets = list(stream.packets)
    first = next(at for at, packet in enumerate(packets) if isinstance(packet, bytes) and b"first" in packet)
    return Stream([*packets[: first + 1], asyncio.Event()], content_type=stream.content_type)


def silent(kind: Kind) -> Stream:
    return Stream([asyncio.Event()], content_type=kind.stream(text("x")).content_type)


def forget(corpus: Corpus, kind: Kind) -> asyncio.Event:
    """Return the event that a vendor sets when its caller has left."""
    vendor = corpus.vendors[kind.name]
    vendor.caller_gone, vendor.arrived = asyncio.Event(), asyncio.Event()
    return vendor.caller_gone


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_json_caller_who_leaves_a_stream_frees_the_vendor(corpus: Corpus, kind: Kind) -> None:
    """The vendor's connection closes at once."""
    gone = forget(corpus, kind)
    corpus.vendors[kind.name].script(silent_after_the_first_text(kind))
    async with corpus.http.post(CHAT, json={**body_for(kind), "stream": True}) as response:
        await response.content.readany()
    left = time.monotonic()
    await asyncio.wait_for(gone.wait(), 5)

    assert time.monotonic() - left < SOON_S


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_stub_that_cancels_a_stream_frees_the_vendor(corpus: Corpus, kind: Kind) -> None:
    """The same by gRPC."""
    gone = forget(corpus, kind)
    corpus.vendors[kind.name].script(silent_after_the_first_text(kind))
    request = StreamChatCompletionRequest(chat=typed.chat_request(body_for(kind)))
    call = ChatServiceStub(corpus.channel).StreamChatCompletion(request, metadata=AUTH)
    await call.read()
    call.cancel()
    left = time.monotonic()
    await asyncio.wait_for(gone.wait(), 5)

    assert time.monotonic() - left < SOON_S


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param(kind, path, id=f"{kind.name}{path}")
        for kind in KINDS.values()
        for path in (CHAT, "/v1/embeddings")
        if kind.name != "custom" and (kind.name, path) != ("cerebras", "/v1/embeddings")
    ],
)
async def test_a_caller_who_leaves_before_the_answer_frees_the_vendor(corpus: Corpus, kind: Kind, path: str) -> None:
    """Whole answers and embeddings too."""
    gone = forget(corpus, kind)
    vendor = corpus.vendors[kind.name]
    vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    more = {"messages": [HI]} if path == CHAT else {"input": "x"}
    call = asyncio.ensure_future(
        corpus.http.post(path, json={"model": f"{kind.name}/{kind.model}", **more}).__aenter__()
    )
    await asyncio.wait_for(vendor.arrived.wait(), 5)
    call.cancel()
    left = time.monotonic()
    await asyncio.wait_for(gone.wait(), 5)

    assert time.monotonic() - left < SOON_S


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", VENDORS)
async def test_the_caller_s_deadline_ends_the_call(corpus: Corpus, kind: Kind, *, streaming: bool) -> None:
    """504 and DEADLINE_EXCEEDED; the vendor is freed."""
    gone = forget(corpus, kind)
    vendor = corpus.vendors[kind.name]
    vendor.script(silent(kind) if streaming else Answer(b"{}", wait_for=asyncio.Event()))
    body = {**body_for(kind), "stream": streaming}
    started = time.monotonic()
    async with corpus.http.post(CHAT, json=body, headers={"x-request-timeout-ms": "200"}) as response:
        status, error = response.status, (await response.json())["error"]
    took = time.monotonic() - started
    await asyncio.wait_for(gone.wait(), 5)

    assert (status, error["type"], error["code"]) == (504, "server_error", "timeout")
    assert 0.15 < took < 1.5


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_vendor_that_never_starts_is_given_up(hasty: Corpus, kind: Kind) -> None:
    """The limit for the first token: a 504 before anything was sent."""
    gone = forget(hasty, kind)
    hasty.vendors[kind.name].script(silent(kind))
    async with hasty.http.post(CHAT, json={**body_for(kind), "stream": True}) as response:
        status, error = response.status, (await response.json())["error"]
    await asyncio.wait_for(gone.wait(), 5)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call_stub(hasty, body_for(kind), streaming=True)

    assert (status, error["code"]) == (504, "timeout")
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason(failed.value) == "PROVIDER_TIMEOUT"


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_vendor_that_falls_silent_is_given_up(hasty: Corpus, kind: Kind) -> None:
    """The limit between tokens: an error in the stream, which does not end as success."""
    gone = forget(hasty, kind)
    hasty.vendors[kind.name].script(silent_after_the_first_text(kind))
    async with hasty.http.post(CHAT, json={**body_for(kind), "stream": True}) as response:
        raw = await response.read()
    await asyncio.wait_for(gone.wait(), 5)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call_stub(hasty, body_for(kind), streaming=True)

    assert b"first" in raw
    assert b'"code":"timeout"' in raw
    assert b"[DONE]" not in raw
    assert reason(failed.value) == "PROVIDER_TIMEOUT"
