"""The lines of requests that Envoy answers itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import aiohttp
import grpc
import pytest
from yarl import URL

from gateway import errors
from tests.support.envoy import MAX_BODY_BYTES, running_envoy, settings_for
from tests.support.scripted_gateway import CHAT, ScriptedGateway, failing_with, json_body, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT_S = 20
FIELDS = {"edge", "event", "http_status", "level", "request_id", "route", "status", "time", "total_ms"}
NOT_FOUND = "early_grpc_json_transcode_failure{NOT_FOUND}"
PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "POST"}


class Refused(NamedTuple):
    """A request, and what its line says of it."""

    method: str
    path: str
    status: int
    route: str
    reason: str
    size: int = 0
    headers: Mapping[str, str] = {}


REFUSED = {
    "no such path": Refused("GET", "/nowhere?key=hidden", 404, "/nowhere", NOT_FOUND),
    "long path": Refused("GET", "/" + "a" * 1000, 404, "/" + "a" * 199, NOT_FOUND),
    "too large": Refused("POST", CHAT, 413, CHAT, "direct_response", size=MAX_BODY_BYTES + 1),
    "preflight": Refused("OPTIONS", CHAT, 200, CHAT, "cors_response", headers=PREFLIGHT),
}


def log_of(directory: Path, url: str) -> Path:
    return directory / f"envoy-{URL(url).port}.log"


async def text_until(log: Path, marker: str) -> str:
    """Return what is in the log when `marker` is."""
    async with asyncio.timeout(LIMIT_S):
        while marker not in (text := _read(log)):  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.02)
    return text


def _read(log: Path) -> str:
    return log.read_text()


async def lines_so_far(log: Path, http: aiohttp.ClientSession, last: str) -> list[dict[str, Any]]:
    """Make one more refused request, with the id `last`, and return all lines before its own."""
    await refused(http, last)
    text = await text_until(log, f'"{last}"')
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["request_id"] != last]


async def refused(http: aiohttp.ClientSession, request_id: str) -> None:
    async with http.get("/no/such/path", headers={"x-request-id": request_id}) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("name", REFUSED)
async def test_what_envoy_answers_has_one_line(
    envoy: str, directory: Path, http: aiohttp.ClientSession, name: str
) -> None:
    """With the names of the workers' lines, and without the query."""
    case = REFUSED[name]
    headers = {"x-request-id": name, **case.headers}
    async with http.request(case.method, case.path, data=b"x" * case.size, headers=headers) as answer:
        assert answer.status == case.status
    lines = await lines_so_far(log_of(directory, envoy), http, f"after {name}")
    (line,) = [line for line in lines if line["request_id"] == name]

    assert set(line) == FIELDS
    assert (line["http_status"], line["route"], line["status"]) == (case.status, case.route, case.reason)
    assert (line["edge"], line["event"], line["level"]) == ("envoy", "request", "info")
    assert "hidden" not in str(lines)


async def test_a_request_that_cannot_be_read_has_a_line(
    envoy: str, directory: Path, http: aiohttp.ClientSession
) -> None:
    """Without an id or a path."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(envoy).port)
    writer.write(b"rubbish\r\n\r\n")
    async with asyncio.timeout(LIMIT_S):
        assert b" 400 " in await reader.readline()
    writer.close()
    lines = await lines_so_far(log_of(directory, envoy), http, "after the unread")

    assert {"id": None, "route": None, "status": "http1.codec_error", "http_status": 400} in [
        {"id": line["request_id"], **{name: line[name] for name in ("route", "status", "http_status")}}
        for line in lines
    ]


async def test_native_callers_have_a_line_too(envoy: str, directory: Path, http: aiohttp.ClientSession) -> None:
    """Their HTTP status is 200 whatever becomes of the call."""
    async with grpc.aio.insecure_channel(envoy.removeprefix("http://")) as channel:
        call: Any = channel.unary_unary("/llmgateway.v1.AdminService/ListKeys")
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"", metadata=(("x-request-id", "native"),), timeout=LIMIT_S)
    lines = await lines_so_far(log_of(directory, envoy), http, "after native")

    assert [line["route"] for line in lines if line["request_id"] == "native"] == [
        "/llmgateway.v1.AdminService/ListKeys"
    ]


async def test_what_a_worker_answers_has_none(
    envoy: str, directory: Path, gateway: ScriptedGateway, http: aiohttp.ClientSession
) -> None:
    """Well or with an error: it writes its own."""
    failing_with(gateway, errors.InternalError())

    async def well(request: object, context: object) -> Any:
        return json_body({})

    async with http.post(CHAT, json={}, headers={"x-request-id": "failed"}) as answer:
        assert answer.status == 500
    gateway.unary = well
    async with http.get("/v1/models", headers={"x-request-id": "well"}) as answer:
        assert answer.status == 200
    lines = await lines_so_far(log_of(directory, envoy), http, "after the worker's")

    assert not {"failed", "well"} & {line["request_id"] for line in lines}


@asynccontextmanager
async def logging(directory: Path, log_format: Literal["console", "none"]) -> AsyncIterator[tuple[str, Path]]:
    settings = replace(settings_for(directory), log_format=log_format)
    async with (
        serving(ScriptedGateway(), directory / "gateway.sock"),  # type: ignore[abstract]  # none of its RPCs is called
        running_envoy(settings, directory) as url,
    ):
        yield url, log_of(directory, url)


async def test_console_lines_are_for_people(tmp_path: Path) -> None:
    """The same facts, not as JSON."""
    async with logging(tmp_path, "console") as (url, log), aiohttp.ClientSession(url) as http:
        await refused(http, "id-1")
        (line,) = (await text_until(log, "total_ms=")).splitlines()

    assert "[info] request edge=envoy http_status=404 request_id=id-1 route=/no/such/path status=" in line


async def test_above_level_info_there_are_none(tmp_path: Path) -> None:
    """Not even when Envoy has written all that it had."""
    async with logging(tmp_path, "none") as (url, log), aiohttp.ClientSession(url) as http:
        await refused(http, "id-1")

    assert "id-1" not in log.read_text()
