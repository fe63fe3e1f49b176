"""Every way a vendor fails, with every vendor that can fail so, on both edges: one row of the error table."""

import json
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from gateway.errors import AllProvidersFailed, GatewayError, ProviderFault, ProviderRejected
from tests.contract.case import HI, Answer, text
from tests.contract.cases.failures import FAILURES, STATUSES, Failure
from tests.contract.conftest import Corpus
from tests.contract.test_corpus import CHAT, call_stub, events, reason
from tests.contract.vendors.all_kinds import KINDS
from tests.contract.vendors.kind import Kind
from tests.support.vendor import Answer as VendorAnswer
from tests.support.vendor import Stream

VENDORS = [kind for kind in KINDS.values() if kind.name != "custom"]
RUNS = [
    pytest.param(failure, kind, id=f"{failure.id}-{kind.name}")
    for failure in FAILURES
    for kind in VENDORS
    if kind.name in failure.bodies
]


def grpc_code(failure: Failure) -> grpc.StatusCode:
    if failure.row is ProviderRejected:
        return ProviderRejected.STATUSES[failure.http_status]
    return failure.row.grpc_code


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("failure", "kind"), RUNS)
async def test_a_failure_is_one_row(corpus: Corpus, failure: Failure, kind: Kind, *, streaming: bool) -> None:
    """Status, type, code, param and wait are the row's; the vendor's page, address and our key stay here."""
    vendor = corpus.vendors[kind.name]
    vendor.script(VendorAnswer(failure.body(kind.name), failure.status, headers=failure.headers))
    body = {"model": f"{kind.name}/{kind.model}", "messages": [HI]}

    async with corpus.http.post(CHAT, json={**body, "stream": streaming}) as response:
        status, headers, error = response.status, response.headers, (await response.json())["error"]
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call_stub(corpus, body, streaming=streaming)

    assert status == failure.http_status
    assert error.keys() == {"message", "type", "param", "code"}
    if failure.code:
        assert error["code"] == failure.code
    if failure.type:
        assert error["type"] == failure.type
    if failure.param:
        assert error["param"] == failure.param
    assert failure.message in error["message"]
    waits = failure.retry_after or ("1" if status == 503 else None)  # Envoy's own, for a 503 that says nothing
    assert headers.get("retry-after") == waits
    assert (failed.value.code(), failed.value.details()) == (grpc_code(failure), error["message"])
    assert reason(failed.value) == failure.row.reason
    assert retry_seconds(failed.value) == (None if failure.retry_after is None else int(failure.retry_after))
    for secret in ("<html>", "10.0.0.7", "127.0.0.1", "sk-secret"):
        assert secret not in error["message"]


def retry_seconds(error: grpc.aio.AioRpcError) -> int | None:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # takes the aio error too
    assert status is not None
    for detail in status.details:
        info = RetryInfo()
        if detail.Unpack(info):
            return int(info.retry_delay.seconds)
    return None


LONG: Answer = text("first half, second half")


def broken_streams(kind: Kind) -> dict[str, Stream]:
    """The vendor's stream, broken in every way after its first text has come."""
    whole = list(kind.stream(LONG).packets)
    media_type = kind.stream(LONG).content_type
    first = next(at for at, packet in enumerate(whole) if isinstance(packet, bytes) and b"first" in packet) + 1
    error: dict[str, bytes] = {
        "openai": b'data: {"error": {"message": "Sorry.", "type": "server_error", "param": null, "code": null}}\n\n',
        "cerebras": b'data: {"error": {"message": "Sorry.", "type": "server_error"}, "status_code": 500}\n\n',
        "ollama": b'{"error": "Sorry."}\n',
        "gemini": b'data: {"error": {"code": 500, "message": "Sorry.", "status": "INTERNAL"}}\r\n\r\n',
    }
    junk = {"ollama": b"<html>\n", "gemini": b"data: <html>\r\n\r\n"}.get(kind.name, b"data: <html>\n\n")
    start = whole[:first]
    broken = {
        "reset": Stream(start, end="reset", content_type=media_type),
        "clean end": Stream(start, content_type=media_type),
        "half an event": Stream([*start, b'data: {"id": "chat'], content_type=media_type),
        "error": Stream([*start, error[kind.name]], content_type=media_type),
    }
    if kind.name != "openai":  # its events travel unread; by stub, and in OpenAI's SDKs, such a one is an error
        broken["junk"] = Stream([*start, junk], content_type=media_type)
    return broken


BREAKS = [
    pytest.param(kind, name, id=f"{name}-{kind.name}".replace(" ", "-"))
    for kind in VENDORS
    for name in broken_streams(kind)
]


@pytest.mark.parametrize(("kind", "name"), BREAKS)
async def test_a_stream_that_breaks_never_ends_as_success(corpus: Corpus, kind: Kind, name: str) -> None:
    """What has come is delivered; then comes an error: in-band and without `[DONE]` in JSON, a status by stub."""
    vendor = corpus.vendors[kind.name]
    vendor.script(broken_streams(kind)[name])
    body = {"model": f"{kind.name}/{kind.model}", "messages": [HI]}

    async with corpus.http.post(CHAT, json={**body, "stream": True}) as response:
        raw = await response.read()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call_stub(corpus, body, streaming=True)

    assert response.status == 200
    *chunks, last = [json.loads(line.removeprefix("data: ")) for line in raw.decode().split("\n\n") if line]
    assert b"[DONE]" not in raw
    assert "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]).startswith(
        "first"
    )
    assert all(choice["finish_reason"] is None for chunk in chunks for choice in chunk["choices"])
    assert (last["error"]["type"], last["error"]["code"]) == ("server_error", "provider_error")
    assert "<html>" not in last["error"]["message"]
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert failed.value.details() == last["error"]["message"]
    assert reason(failed.value) == "PROVIDER_ERROR"


async def test_usage_is_shown_only_when_asked_for(corpus: Corpus) -> None:
    """The gateway asks every vendor for it, and hides it from callers who did not."""
    for kind in VENDORS:
        vendor = corpus.vendors[kind.name]
        vendor.script(kind.stream(LONG))
        body = {"model": f"{kind.name}/{kind.model}", "messages": [HI], "stream": True}
        async with corpus.http.post(CHAT, json=body) as response:
            chunks = events(await response.read())
        assert all(chunk["choices"] and not chunk.get("usage") for chunk in chunks)


def every_leaf(row: type[GatewayError]) -> set[type[GatewayError]]:
    below = {leaf for child in row.__subclasses__() for leaf in every_leaf(child)}
    return below or {row}


def test_every_row_that_a_vendor_causes_is_here() -> None:
    """No fault of a provider is left out; failing over is tested where it happens."""
    assert every_leaf(ProviderFault) - {AllProvidersFailed} <= {failure.row for failure in FAILURES}
    statuses: Any = {failure.http_status for failure in STATUSES if failure.row is ProviderRejected}
    assert statuses == set(ProviderRejected.STATUSES)
