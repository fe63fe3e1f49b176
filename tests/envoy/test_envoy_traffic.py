"""Envoy in front of a gateway: requests, answers and streams on the one port."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.api.httpbody_pb2 import HttpBody
from yarl import URL

from gateway import errors
from llmgateway.v1 import openai_service_pb2 as openai_pb
from llmgateway.v1 import openai_service_pb2_grpc as openai_grpc
from llmgateway.v1 import system_service_pb2 as system_pb
from tests.support.envoy import MAX_BODY_BYTES, running_envoy, settings_for
from tests.support.scripted_gateway import (
    CHAT,
    ScriptedGateway,
    assert_no_leftovers,
    echoing,
    events,
    failing_with,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_native_grpc_stream_passes(
    gateway: ScriptedGateway, stub: "openai_grpc.OpenAIServiceAsyncStub"
) -> None:
    """Native calls and their answers go through the same port untouched."""

    async def chat(request: Any, context: object) -> AsyncIterator[HttpBody]:
        for event in events(request.provider, "[DONE]"):
            yield event

    gateway.chat = chat
    call = stub.ChatCompletions(openai_pb.OpenAIServiceChatCompletionsRequest(provider="acme"))
    assert [part async for part in call] == list(events("acme", "[DONE]"))
    assert "x-frame-options" not in {key for key, _ in await call.initial_metadata()}


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain; charset=utf-8"])
async def test_each_piece_of_a_stream_is_flushed(
    gateway: ScriptedGateway, http: aiohttp.ClientSession, content_type: str
) -> None:
    """A piece reaches the caller before the next one exists, with the type of the first one."""
    received = asyncio.Event()

    async def chat(request: object, context: Any) -> AsyncIterator[HttpBody]:
        await context.send_initial_metadata((("x-ratelimit-limit-requests", "60"),))
        yield HttpBody(content_type=content_type, data=b"first\n")
        await asyncio.wait_for(received.wait(), 10)
        yield HttpBody(data=b"last\n")

    gateway.chat = chat
    async with http.post(CHAT, data=b"{}") as answer:
        assert answer.headers["content-type"] == content_type
        assert answer.headers["x-ratelimit-limit-requests"] == "60"
        assert_no_leftovers(answer.headers)
        assert await answer.content.readline() == b"first\n"
        received.set()
        assert await answer.read() == b"last\n"


async def test_a_caller_that_leaves_cancels_the_call(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """The handler is cancelled when the HTTP connection is closed in the middle of a stream."""
    cancelled = asyncio.Event()

    async def chat(request: object, context: object) -> AsyncIterator[HttpBody]:
        try:
            yield next(iter(events("{}")))
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    gateway.chat = chat
    async with http.post(CHAT, data=b"{}") as answer:
        await answer.content.readline()
        answer.close()
    await asyncio.wait_for(cancelled.wait(), 2)


async def test_a_request_arrives_as_it_was_sent(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """Path, query, body and headers reach the RPC; unknown query parameters do no harm."""
    echoing(gateway)
    headers = {"authorization": "Bearer key", "x-stream-mode": "text"}
    path = "/provider/acme/v1/chat/completions?stream_mode=ndjson&api-version=1"
    async with http.post(path, data=b' {"a": 1}', headers=headers) as answer:
        seen = await answer.json()
    assert (seen["provider"], seen["stream_mode"], seen["body"]) == ("acme", "ndjson", ' {"a": 1}')
    assert seen["metadata"]["authorization"] == "Bearer key"
    assert seen["metadata"]["x-stream-mode"] == "text"
    assert seen["metadata"]["x-envoy-original-path"] == path


@pytest.mark.parametrize("path", ["/v1/models/acme/some-model", "/v1/models/acme%2Fsome-model"])
async def test_a_model_name_may_be_escaped(gateway: ScriptedGateway, http: aiohttp.ClientSession, path: str) -> None:
    """OpenAI's SDKs escape the slash of a model name, people do not."""
    echoing(gateway)
    async with http.get(URL(path, encoded=True)) as answer:
        assert (await answer.json())["model"] == "acme/some-model"


async def test_callers_cannot_steer_envoy(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """Envoy's control headers from outside are dropped, and what it says itself is true."""
    echoing(gateway)
    forged = {
        "x-envoy-original-path": "/forged",
        "x-envoy-retry-on": "5xx",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-external-address": "192.0.2.1",
    }
    async with http.post(CHAT, data=b"{}", headers=forged) as answer:
        metadata = (await answer.json())["metadata"]
    assert metadata["x-envoy-original-path"] == CHAT
    assert not set(forged) - {"x-envoy-original-path"} & set(metadata)


async def test_what_no_worker_reads_does_not_reach_it(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """Of what every client and Envoy itself send along; any other header stays."""
    echoing(gateway)
    unread = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": "test", "x-stainless-lang": "python"}
    async with http.post(CHAT, data=b"{}", headers={**unread, "x-mine": "here"}) as answer:
        metadata = (await answer.json())["metadata"]

    assert metadata["x-mine"] == "here"
    assert not {*unread, "x-forwarded-for", "x-forwarded-proto", "x-envoy-original-method"} & set(metadata)


@pytest.mark.parametrize("path", [CHAT, "/nowhere"])
async def test_the_request_id_is_kept(gateway: ScriptedGateway, http: aiohttp.ClientSession, path: str) -> None:
    """A caller's own request id comes back unchanged, also a UUID, also on Envoy's own replies."""
    echoing(gateway)
    mine = "5d1b8175-f2fb-4c4a-9d2e-000000000001"
    async with http.post(path, data=b"{}", headers={"x-request-id": mine}) as answer:
        assert answer.headers["x-request-id"] == mine


async def test_a_request_id_is_made(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """Without one from the caller, the id in the answer is the one that the gateway was told, and sorts by time."""
    echoing(gateway)
    async with http.post(CHAT, data=b"{}") as answer:
        made = answer.headers["x-request-id"]
        assert (await answer.json())["metadata"]["x-request-id"] == made
    assert re.fullmatch(r"[0-9]{13}-[0-9a-f-]{36}", made)


async def test_success_carries_nothing_of_grpc(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """A typed answer is JSON with the contract's field names and without gRPC's headers."""

    async def ready(request: object, context: object) -> system_pb.ReadyResponse:
        return system_pb.ReadyResponse(status="ok")

    gateway.ready = ready
    async with http.get("/readyz") as answer:
        assert await answer.json() == {"status": "ok"}
        assert_no_leftovers(answer.headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is the HTTP/2 client")
@pytest.mark.parametrize("failing", [False, True], ids=["success", "error"])
async def test_json_over_http2_works(gateway: ScriptedGateway, envoy: str, failing: bool) -> None:
    """A caller that speaks HTTP/2 without TLS gets the same answers, with no gRPC trailers after them."""
    echoing(gateway)
    if failing:
        failing_with(gateway, errors.InvalidRequest("no"))
    command = ["curl", "-sv", "--max-time", "10", "--http2-prior-knowledge", "-d", "{}", envoy + CHAT]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert f"< HTTP/2 {422 if failing else 200}" in done.stderr
    assert "grpc-" not in done.stderr
    assert json.loads(done.stdout)


def log_of_envoy(directory: Path) -> str:
    return "".join(log.read_text() for log in directory.glob("envoy-*.log"))


async def test_ordinary_calls_are_nothing_to_report(
    directory: Path, gateway: ScriptedGateway, http: aiohttp.ClientSession, stub: "openai_grpc.OpenAIServiceAsyncStub"
) -> None:
    """Envoy logs no word, whether a body has a length, has none, or there is none: no script fails unseen."""
    echoing(gateway)
    before = log_of_envoy(directory)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    for body in (b"{}", pieces()):
        async with http.post(CHAT, data=body) as answer:
            assert answer.status == 200
    async with http.get("/v1/models/acme/some-model") as answer:
        assert answer.status == 200
    assert [part async for part in stub.ChatCompletions(openai_pb.OpenAIServiceChatCompletionsRequest())]

    assert log_of_envoy(directory) == before


async def test_a_body_at_the_limit_passes(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """The body limit counts the caller's bytes, give or take the little that gRPC adds."""
    echoing(gateway)
    async with http.post(CHAT, data=b"x" * (MAX_BODY_BYTES - 64)) as answer:
        assert len((await answer.json())["body"]) == MAX_BODY_BYTES - 64


async def test_calls_are_spread_and_a_dead_worker_is_passed_over(directory: Path, gateway: ScriptedGateway) -> None:
    """With several workers, one that does not listen costs no caller an error."""
    echoing(gateway)
    sockets = (str(directory / "nobody.sock"), str(directory / "gateway.sock"))
    async with (
        running_envoy(replace(settings_for(directory), upstreams=sockets), directory) as url,
        aiohttp.ClientSession(url) as http,
    ):
        for _ in range(8):
            async with http.post(CHAT, data=b"{}") as answer:
                assert answer.status == 200


async def test_a_preflight_is_answered(http: aiohttp.ClientSession) -> None:
    """A page of an allowed origin may call; its errors are readable to it too."""
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-lang",
    }
    async with http.options(CHAT, headers=asked) as answer:
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-lang"
    async with http.get("/nowhere", headers={"origin": "https://app.example"}) as answer:
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_preflight_of_another_origin_allows_nothing(http: aiohttp.ClientSession) -> None:
    """A page of an origin that is not listed gets no permission."""
    asked = {"origin": "https://other.example", "access-control-request-method": "POST"}
    async with http.options(CHAT, headers=asked) as answer:
        assert "access-control-allow-origin" not in answer.headers
