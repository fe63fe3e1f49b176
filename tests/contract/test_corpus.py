"""Every case, with every provider that has the feature, whole and streamed, on both edges."""

import json
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from llmgateway.v1.chat_service_pb2 import CreateChatCompletionRequest, StreamChatCompletionRequest
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.contract import typed
from tests.contract.case import Answer, Case, Refused, Sends
from tests.contract.cases.all_cases import CASES
from tests.contract.conftest import Corpus
from tests.contract.streams import joined, strict
from tests.contract.vendors.all_kinds import KINDS
from tests.contract.vendors.kind import Kind
from tests.support.stack import AUTH
from tests.support.vendor import Answer as VendorAnswer

CHAT = "/v1/chat/completions"
RUNS, REFUSALS = (
    [(case, kind) for case in CASES for kind in KINDS.values() if isinstance(case.column(kind.name), column)]
    for column in (Sends, Refused)
)


def named(run: Case | Kind) -> str:
    return run.id if isinstance(run, Case) else run.name


def answer_of(case: Case, kind: Kind) -> Answer:
    if kind.name == "custom":
        assert case.custom is not None
        return case.custom
    return case.answer


def check_received(corpus: Corpus, case: Case, kind: Kind, *, streaming: bool) -> None:
    """Compare what the vendor got, field by field: first by way of JSON, then by way of the stub."""
    if kind.name == "custom":
        return
    column = case.column(kind.name)
    assert isinstance(column, Sends)
    by_json, by_stub = corpus.vendors[kind.name].received
    expected = kind.received(case.body, column, streaming=streaming)
    assert by_json.path == by_stub.path == kind.path(streaming=streaming)
    assert by_json.body == expected
    assert typed.canonical(by_stub.body) == typed.canonical(expected)
    assert schemas(by_json.body) == schemas(by_stub.body) == schemas(expected)


SCHEMA_FIELDS = {"schema", "parameters", "format", "responseJsonSchema", "parametersJsonSchema"}


def schemas(node: Any) -> list[str]:
    """Return every JSON schema of a request as text: the order of its keys decides in which order models answer."""
    if isinstance(node, list):
        return [text for item in node for text in schemas(item)]
    if not isinstance(node, dict):
        return []
    here = [json.dumps(value) for name, value in node.items() if name in SCHEMA_FIELDS]
    return here + [text for name, value in node.items() if name not in SCHEMA_FIELDS for text in schemas(value)]


@pytest.mark.parametrize(("case", "kind"), RUNS, ids=named)
async def test_a_whole_answer(corpus: Corpus, case: Case, kind: Kind) -> None:
    """The vendor gets what its documentation asks for, and both edges give the same fields."""
    answer = answer_of(case, kind)
    vendor = corpus.vendors[kind.name]
    vendor.received.clear()
    vendor.script(VendorAnswer(json.dumps(kind.whole(answer), ensure_ascii=False).encode()))
    body = {**case.body, "model": f"{kind.name}/{kind.model}"}

    async with corpus.http.post(CHAT, json=body) as response:
        assert (response.status, response.content_type) == (200, "application/json"), await response.text()
        by_json = await response.json()
    by_stub = await ChatServiceStub(corpus.channel).CreateChatCompletion(
        CreateChatCompletionRequest(chat=typed.chat_request(body)), metadata=AUTH
    )

    check_received(corpus, case, kind, streaming=False)
    expected = kind.expected(answer)
    assert by_json == expected
    assert typed.pruned(typed.completion_json(by_stub.completion)) == typed.pruned(expected)


@pytest.mark.parametrize(("case", "kind"), RUNS, ids=named)
async def test_a_stream(corpus: Corpus, case: Case, kind: Kind) -> None:
    """Its chunks, joined as the SDKs join them, make the same answer on both edges."""
    answer = answer_of(case, kind)
    if answer.usage is None:
        answer = replace(answer, usage=(5, 2))
    vendor = corpus.vendors[kind.name]
    vendor.received.clear()
    vendor.script(kind.stream(answer))
    body = {**case.body, "model": f"{kind.name}/{kind.model}"}

    options = {"stream": True, "stream_options": {"include_usage": True}}
    async with corpus.http.post(CHAT, json={**body, **options}) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream"), await response.text()
        chunks = events(await response.read())
    stream = ChatServiceStub(corpus.channel).StreamChatCompletion(
        StreamChatCompletionRequest(chat=typed.chat_request(body), include_usage=True), metadata=AUTH
    )
    messages = [typed.chunk_json(answer.chunk) async for answer in stream]

    check_received(corpus, case, kind, streaming=True)
    strict(chunks)
    expected = typed.pruned(kind.expected(answer))
    assert typed.pruned(joined(chunks)) == expected
    assert typed.pruned(joined(messages)) == expected


def events(body: bytes) -> list[dict[str, Any]]:
    """Return the JSON of each event; the last event is `[DONE]`, and there is nothing but `data:` lines."""
    *lines, last, rest = body.decode().split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("case", "kind"), REFUSALS, ids=named)
async def test_what_a_provider_cannot_do_is_said(corpus: Corpus, case: Case, kind: Kind, *, streaming: bool) -> None:
    """422 that names the parameter, and the provider that does not have it, before the vendor is asked."""
    column = case.column(kind.name)
    assert isinstance(column, Refused)
    vendor = corpus.vendors[kind.name]
    vendor.received.clear()
    vendor.script(VendorAnswer(b"", status=500))
    body = {**case.body, "model": f"{kind.name}/{kind.model}"}

    async with corpus.http.post(CHAT, json={**body, "stream": streaming}) as response:
        status, error = response.status, (await response.json())["error"]
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call_stub(corpus, body, streaming=streaming)

    assert (status, error["code"], error["param"]) == (422, column.code, column.param)
    if column.code == "unsupported_parameter":
        assert kind.name in error["message"].lower()
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, error["message"])
    assert reason(failed.value) == "INVALID_REQUEST"
    assert vendor.received == []


async def call_stub(corpus: Corpus, body: dict[str, Any], *, streaming: bool) -> None:
    """Make the same call by stub, and read its answer."""
    stub = ChatServiceStub(corpus.channel)
    chat = typed.chat_request(body)
    if not streaming:
        await stub.CreateChatCompletion(CreateChatCompletionRequest(chat=chat), metadata=AUTH)
        return
    async for _ in stub.StreamChatCompletion(StreamChatCompletionRequest(chat=chat), metadata=AUTH):
        pass


def reason(error: grpc.aio.AioRpcError) -> str:
    """Return the machine-readable reason of a failed call."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # takes the aio error too
    assert status is not None
    for detail in status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    raise AssertionError("no ErrorInfo")


def test_the_corpus_is_large_and_its_ids_are_unique() -> None:
    """At least 200 cases; every provider has cases."""
    ids = [case.id for case in CASES]
    assert len(ids) >= 200
    assert len(set(ids)) == len(ids)
    assert {kind.name for _, kind in RUNS} == KINDS.keys()
