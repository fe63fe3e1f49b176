"""Errors through Envoy: exact for HTTP callers, honest for native gRPC callers, whoever made them."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from yarl import URL

from gateway import errors
from llmgateway.v1 import openai_service_pb2 as openai_pb
from llmgateway.v1 import openai_service_pb2_grpc as openai_grpc
from tests.support.envoy import MAX_BODY_BYTES, running_envoy, settings_for
from tests.support.scripted_gateway import (
    CHAT,
    ScriptedGateway,
    assert_no_leftovers,
    echoing,
    failing_with,
    openai_body,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = [
    leaf
    for family in errors.GatewayError.__subclasses__()
    for leaf in (family.__subclasses__() or [family])
    if leaf is not errors.ProviderRejected
]


async def assert_openai_error(answer: aiohttp.ClientResponse, status: int, code: str | None) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert_no_leftovers(answer.headers)
    error: dict[str, Any] = json.loads(await answer.read())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    return error


@pytest.mark.parametrize("method_and_path", ["POST " + CHAT, "POST /v1/embeddings", "GET /readyz"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_an_error_row_reaches_an_http_caller_exactly(
    gateway: ScriptedGateway, http: aiohttp.ClientSession, row: type[errors.GatewayError], method_and_path: str
) -> None:
    """Status, body bytes and headers are the gateway's own, for streaming, unary and typed RPCs."""
    error = row('bad "thing" ☃', param="messages[0].content")
    failing_with(gateway, error, {"retry-after": "7", "www-authenticate": "Bearer"})
    method, path = method_and_path.split()
    async with http.request(method, path, data=b"{}" if method == "POST" else None) as answer:
        assert answer.status == row.http_status
        assert await answer.read() == openai_body(error)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-request-id"]
        assert_no_leftovers(answer.headers)


async def test_a_long_error_text_arrives_whole(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """The longest message that the gateway lets pass arrives, also when every character is escaped."""
    error = errors.InvalidRequest("é" * errors.MAX_MESSAGE_BYTES)
    failing_with(gateway, error)
    async with http.post(CHAT, data=b"{}") as answer:
        assert await answer.read() == openai_body(error)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_a_native_grpc_caller_gets_status_and_details(
    gateway: ScriptedGateway, stub: "openai_grpc.OpenAIServiceAsyncStub", row: type[errors.GatewayError]
) -> None:
    """For stubs the same errors are honest statuses with details, without what is meant for HTTP."""
    failing_with(gateway, row("bad ☃"))
    forged = (("x-envoy-original-path", "/forged"),)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Embeddings(openai_pb.OpenAIServiceEmbeddingsRequest(), metadata=forged)
    assert (raised.value.code(), raised.value.details()) == (row.grpc_code, "bad ☃")
    info = ErrorInfo()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it has the methods that are used
    assert status.details[0].Unpack(info)
    assert info.reason == row.reason
    assert not {"x-http-status", "x-error-body"} & {key for key, _ in raised.value.trailing_metadata()}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, None),
        ("POST", "/v1/nothing", 404, None),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/provider/acme/v1/models/some/model", 405, "method_not_allowed"),
        ("POST", "/readyz", 405, "method_not_allowed"),
    ],
)
async def test_an_unknown_route_gets_a_json_error(
    http: aiohttp.ClientSession, method: str, path: str, status: int, code: str | None
) -> None:
    """No route is 404, a wrong method on a known one 405, without asking the gateway."""
    async with http.request(method, path) as answer:
        await assert_openai_error(answer, status, code)
        assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_path_that_envoy_cannot_read_is_400(http: aiohttp.ClientSession, method: str) -> None:
    """With OpenAI's body; to HEAD without any, or its connection could not be used again."""
    url = URL(f"{str(http._base_url).rstrip('/')}/%00", encoded=True)
    for _ in range(2):
        async with http.request(method, url) as answer:
            body = await answer.read()
            assert answer.status == 400
        assert (b'"invalid_request_error"' in body) == (method == "GET")
        assert (body == b"") == (method == "HEAD")


async def test_a_body_over_the_limit_is_refused(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """A body over the limit is 413 and the message names the limit."""
    echoing(gateway)
    async with http.post(CHAT, data=b"x" * (MAX_BODY_BYTES + 1)) as answer:
        error = await assert_openai_error(answer, 413, "request_too_large")
    assert str(MAX_BODY_BYTES) in error["message"]


async def test_headers_over_the_limit_are_refused(http: aiohttp.ClientSession) -> None:
    """Headers over the limit are 431."""
    async with http.get("/readyz", headers={"x-large": "x" * 40_000}) as answer:
        await assert_openai_error(answer, 431, "request_too_large")


async def test_a_gateway_that_is_down_is_503(http: aiohttp.ClientSession) -> None:
    """Nobody listens on the socket: 503 with a hint to retry and no word about addresses."""
    async with http.post(CHAT, data=b"{}") as answer:
        error = await assert_openai_error(answer, 503, "server_is_overloaded")
        assert answer.headers["retry-after"] == "1"
    assert "sock" not in error["message"]


async def test_an_error_of_grpc_itself_has_a_body(gateway: ScriptedGateway, http: aiohttp.ClientSession) -> None:
    """A status that the error table did not make still becomes an OpenAI error, without its text."""

    async def unary(request: object, context: Any) -> Any:
        await context.abort(grpc.StatusCode.INTERNAL, "secret")

    gateway.unary = unary
    async with http.get("/v1/models") as answer:
        error = await assert_openai_error(answer, 500, None)
    assert "secret" not in error["message"]


async def test_a_call_that_a_stopping_server_cancels_is_503(
    gateway: ScriptedGateway, http: aiohttp.ClientSession
) -> None:
    """gRPC says CANCELLED then, which is 499 and stops SDKs from trying again."""

    async def unary(request: object, context: Any) -> Any:
        await context.abort(grpc.StatusCode.CANCELLED, "")

    gateway.unary = unary
    async with http.get("/v1/models") as answer:
        await assert_openai_error(answer, 503, "server_is_overloaded")
        assert answer.headers["retry-after"] == "1"


async def test_a_cut_stream_does_not_end_cleanly(directory: Path, http: aiohttp.ClientSession) -> None:
    """A gateway that dies in the middle of a stream leaves a broken HTTP answer, not a short one."""
    command = (sys.executable, "-m", "tests.support.scripted_gateway", str(directory / "gateway.sock"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    dying = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        async with await answered(http, dying) as answer:
            assert await answer.content.readline() == b"data: {}\n"
            dying.kill()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
    finally:
        if dying.returncode is None:
            dying.kill()
        await dying.wait()


async def answered(http: aiohttp.ClientSession, gateway: asyncio.subprocess.Process) -> aiohttp.ClientResponse:
    """Calls until the starting gateway answers."""
    async with asyncio.timeout(20):
        while gateway.returncode is None:
            answer = await http.post(CHAT, data=b"{}")
            if answer.status == 200:
                return answer
            answer.release()
            await asyncio.sleep(0.05)
    raise AssertionError("the gateway ended")


async def test_a_slow_request_is_408(directory: Path, gateway: ScriptedGateway) -> None:
    """A request whose body does not arrive in time is refused; it does not hold a connection for ever."""
    settings = replace(settings_for(directory), request_read_timeout_s=0.2)
    async with running_envoy(settings, directory) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 10\r\n\r\n".encode())
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "timeout"


async def test_a_silent_gateway_is_504(directory: Path, gateway: ScriptedGateway) -> None:
    """A gateway that says nothing for longer than the idle limit is given up with 504."""

    async def unary(request: object, context: object) -> HttpBody:
        await asyncio.Event().wait()
        return HttpBody()

    gateway.unary = unary
    settings = replace(settings_for(directory), stream_idle_timeout_s=0.2)
    async with (
        running_envoy(settings, directory) as url,
        aiohttp.ClientSession(url) as http,
        http.get("/v1/models") as answer,
    ):
        await assert_openai_error(answer, 504, "timeout")
