"""Every row of the error table on every wire, through the real interceptors and the real Envoy."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2 as details_pb
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from gateway import errors
from gateway.admission.keys import StaticKeys
from gateway.errors import GatewayError
from gateway.interceptors.chain import build_chain
from gateway.lifecycle import Lifecycle
from gateway.switch import HandlerTable, Switch
from gateway.telemetry.metrics import Metrics
from llmgateway.v1 import (
    chat_request_pb2,
    chat_service_pb2,
    chat_service_pb2_grpc,
    openai_service_pb2,
    openai_service_pb2_grpc,
)
from tests.support.envoy import running_envoy, settings_for
from tests.support.error_rows import ROWS, Row

TEXT = 'What went wrong, with ümläuts and a "quote".'
ROW_IDS = [row.name for row in ROWS]
BY_NAME = {row.name: row for row in ROWS}


def _raise(name: str) -> None:
    if name == "unknown":
        raise RuntimeError("a secret of the implementation")
    if name == "long":
        raise errors.QuotaExceeded("漢" * 9999, param="字" * 9999, code="碼" * 9999, type_="型" * 9999, retry_after=1)
    error = BY_NAME[name].error(TEXT, param="messages[0]")
    if error.retryable:
        error.retry_after = 1.2
    raise error


class _Refusing(chat_service_pb2_grpc.ChatServiceServicer, openai_service_pb2_grpc.OpenAIServiceServicer):
    """Ends each call with the error that its model names; after one message when `seed` or `n` asks for it."""

    async def CreateChatCompletion(
        self, request: chat_service_pb2.CreateChatCompletionRequest, context: Any
    ) -> chat_service_pb2.CreateChatCompletionResponse:
        _raise(request.chat.model)
        raise AssertionError

    async def StreamChatCompletion(
        self, request: chat_service_pb2.StreamChatCompletionRequest, context: Any
    ) -> AsyncIterator[chat_service_pb2.StreamChatCompletionResponse]:
        if request.include_usage:
            yield chat_service_pb2.StreamChatCompletionResponse()
        _raise(request.chat.model)

    async def ChatCompletions(
        self, request: openai_service_pb2.OpenAIServiceChatCompletionsRequest, context: Any
    ) -> AsyncIterator[HttpBody]:
        _raise(json.loads(request.body.data)["model"])
        yield HttpBody()

    async def Embeddings(self, request: openai_service_pb2.OpenAIServiceEmbeddingsRequest, context: Any) -> HttpBody:
        _raise(json.loads(request.body.data)["model"])
        raise AssertionError


@dataclass
class Refusing:
    """Where the refusing gateway listens, and its metrics."""

    url: str
    direct: str
    registry: CollectorRegistry

    def address(self, way: str) -> str:
        return self.url.removeprefix("http://") if way == "envoy" else self.direct


@pytest.fixture(scope="module")
async def refusing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Refusing]:
    """The real chain and the real Envoy around services that only fail."""
    directory = tmp_path_factory.mktemp("refusing")
    settings = settings_for(directory)
    registry = CollectorRegistry()
    chain = build_chain(StaticKeys((), required=False), Metrics(registry), Lifecycle(), None, time.monotonic)
    services: Any = _Refusing()  # type: ignore[abstract]  # only the refusing RPCs are called
    table: Any = HandlerTable()
    chat_service_pb2_grpc.add_ChatServiceServicer_to_server(services, table)
    openai_service_pb2_grpc.add_OpenAIServiceServicer_to_server(services, table)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Switch(chain.around(table.handlers)),))
    server.add_insecure_port(f"unix:{settings.upstreams[0]}")
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with running_envoy(settings, directory) as url:
            yield Refusing(url, f"127.0.0.1:{port}", registry)
    finally:
        await server.stop(None)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
@pytest.mark.parametrize("row", ROWS, ids=ROW_IDS)
async def test_a_json_caller_gets_status_body_and_headers(refusing: Refusing, row: Row, path: str) -> None:
    """Exact HTTP status, OpenAI's body with all four keys, Retry-After in whole seconds."""
    async with (
        aiohttp.ClientSession(refusing.url) as http,
        http.post(path, json={"model": row.name}, headers={"x-request-id": "case-1"}) as response,
    ):
        body = await response.json()

    assert response.status == row.http_status
    assert response.content_type == "application/json"
    assert body == {"error": {"message": TEXT, "type": row.type, "param": "messages[0]", "code": row.code}}
    assert response.headers["x-request-id"] == "case-1"
    expected_wait = "2" if row.retryable else None
    assert response.headers.get("retry-after") == expected_wait
    assert response.headers.get("www-authenticate") == ("Bearer" if row.http_status == 401 else None)
    assert not [name for name in response.headers if name.startswith(("grpc-", "x-error-body", "x-http-status"))]


@pytest.mark.parametrize("shape", ["unary", "stream", "stream after its first message"])
@pytest.mark.parametrize("way", ["envoy", "direct"])
@pytest.mark.parametrize("row", ROWS, ids=ROW_IDS)
async def test_a_grpc_caller_gets_status_and_details(refusing: Refusing, row: Row, way: str, shape: str) -> None:
    """Code, text, one ErrorInfo with reason and fault, the field, RetryInfo exactly where a retry helps."""
    async with grpc.aio.insecure_channel(refusing.address(way)) as channel:
        stub: Any = chat_service_pb2_grpc.ChatServiceStub(channel)
        chat = chat_request_pb2.ChatCompletionRequest(model=row.name)
        metadata = (("x-request-id", "case-1"),)
        if shape == "unary":
            call = stub.CreateChatCompletion(
                chat_service_pb2.CreateChatCompletionRequest(chat=chat), metadata=metadata, timeout=20
            )
        else:
            late = shape != "stream"
            call = stub.StreamChatCompletion(
                chat_service_pb2.StreamChatCompletionRequest(chat=chat, include_usage=late),
                metadata=metadata,
                timeout=20,
            )
            assert not late or await call.read() != grpc.aio.EOF
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call if shape == "unary" else call.read())
        status = await rpc_status.aio.from_call(call)

    assert caught.value.code() == row.status_code
    assert caught.value.details() == TEXT
    trailers = dict(caught.value.trailing_metadata() or ())
    assert not {"x-error-body", "x-http-status"} & trailers.keys()
    found = _unpacked(status)
    info = found["ErrorInfo"]
    assert (info.reason, info.domain) == (row.reason, "llmgateway")
    code = {"code": row.code} if row.code else {}
    assert dict(info.metadata) == {"fault": row.fault, "param": "messages[0]", **code}
    assert found["RequestInfo"].request_id == "case-1"
    assert found["BadRequest"].field_violations[0].field == "messages[0]"
    assert ("RetryInfo" in found) == row.retryable
    if row.retryable:
        assert found["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == 1.2
    assert ("QuotaFailure" in found) == (row.name in {"RateLimited", "QuotaExceeded"})


def _unpacked(status: Any) -> dict[str, Any]:
    found = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        found[name] = getattr(details_pb, name)()
        assert packed.Unpack(found[name])
    assert len(found) == len(status.details), "a kind of detail came twice"
    return found


@pytest.mark.parametrize("way", ["json", "envoy", "direct"])
async def test_an_unknown_exception_hides_its_text(
    refusing: Refusing, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """INTERNAL with the gateway's own words; the cause is for the log."""
    if way == "json":
        async with (
            aiohttp.ClientSession(refusing.url) as http,
            http.post("/v1/embeddings", json={"model": "unknown"}) as response,
        ):
            text = await response.text()
        assert response.status == 500
        assert json.loads(text)["error"]["type"] == "server_error"
    else:
        async with grpc.aio.insecure_channel(refusing.address(way)) as channel:
            stub: Any = chat_service_pb2_grpc.ChatServiceStub(channel)
            chat = chat_request_pb2.ChatCompletionRequest(model="unknown")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.CreateChatCompletion(chat_service_pb2.CreateChatCompletionRequest(chat=chat), timeout=20)
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        text = caught.value.details() or ""
    assert GatewayError.default_message in text
    assert "secret" not in text


@pytest.mark.parametrize("row", ROWS, ids=ROW_IDS)
async def test_every_error_is_counted_by_its_reason(refusing: Refusing, row: Row) -> None:
    """The metric's label is the reason, so that a graph and an error speak of the same thing."""
    labels = {"method": "/llmgateway.v1.OpenAIService/Embeddings", "reason": row.reason, "provider": ""}
    before = refusing.registry.get_sample_value("llmgateway_requests_total", labels) or 0
    async with (
        aiohttp.ClientSession(refusing.url) as http,
        http.post("/v1/embeddings", json={"model": row.name}) as response,
    ):
        await response.read()

    assert refusing.registry.get_sample_value("llmgateway_requests_total", labels) == before + 1


@pytest.mark.parametrize("way", ["json", "envoy", "direct"])
async def test_the_longest_error_arrives(refusing: Refusing, way: str) -> None:
    """All of it is cut so that every wire carries it: gRPC peers take 8 KiB of trailers, and drop more at random."""
    if way == "json":
        async with (
            aiohttp.ClientSession(refusing.url) as http,
            http.post("/v1/embeddings", json={"model": "long"}) as response,
        ):
            body = await response.json()
        assert response.status == 429
        assert body["error"]["message"].startswith("漢漢漢")
        return
    async with grpc.aio.insecure_channel(refusing.address(way)) as channel:
        stub: Any = chat_service_pb2_grpc.ChatServiceStub(channel)
        request = chat_service_pb2.CreateChatCompletionRequest(
            chat=chat_request_pb2.ChatCompletionRequest(model="long")
        )
        for _ in range(30):
            call = stub.CreateChatCompletion(request, timeout=20)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert (caught.value.details() or "").startswith("漢漢漢")
            trailers = caught.value.trailing_metadata() or ()
            assert sum(len(key) + len(value) + 32 for key, value in trailers) < 8000
