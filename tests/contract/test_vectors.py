"""Embeddings of every provider that makes them, on both edges."""

import base64
import json
import struct
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from llmgateway.v1.embedding_service_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from llmgateway.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from tests.contract.case import Refused, Sends
from tests.contract.cases.vectors import CASES, VectorCase
from tests.contract.conftest import Corpus
from tests.support.stack import AUTH
from tests.support.vendor import Answer

MODELS = {
    "openai": "text-embedding-3-small",
    "ollama": "nomic-embed-text",
    "gemini": "gemini-embedding-001",
    "custom": "embed",
}
PATHS = {
    "openai": "/v1/embeddings",
    "ollama": "/api/embed",
    "gemini": "/v1beta/models/gemini-embedding-001:batchEmbedContents",
}
RUNS, REFUSALS = (
    [
        pytest.param(case, name, id=f"{case.id}-{name}")
        for case in CASES
        for name in PATHS
        if isinstance(case.column(name), column)
    ]
    for column in (Sends, Refused)
)


def packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def answered(case: VectorCase, provider: str, encoding: str | None) -> bytes:
    """The vendor's own answer; only OpenAI has encodings."""
    bodies: dict[str, Any] = {
        "openai": expected(case, "openai", encoding),
        "ollama": {"model": MODELS["ollama"], "embeddings": case.vectors, "prompt_eval_count": case.tokens},
        "gemini": {"embeddings": [{"values": vector} for vector in case.vectors]},
    }
    return json.dumps(bodies[provider]).encode()


def expected(case: VectorCase, provider: str, encoding: str | None) -> dict[str, Any]:
    encode = packed if encoding == "base64" else list
    tokens = 0 if provider == "gemini" else case.tokens  # Gemini tells no tokens
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(case.vectors)
        ],
        "model": MODELS[provider],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def sent(case: VectorCase, provider: str, sends: Sends, encoding: str | None) -> dict[str, Any]:
    """What the vendor has to get."""
    if provider == "openai":
        form = {} if encoding is None else {"encoding_format": encoding}
        return {**case.request, "model": MODELS["openai"], **form}
    return {**({"model": MODELS["ollama"], "truncate": False} if provider == "ollama" else {}), **sends.fields}


async def by_stub(corpus: Corpus, case: VectorCase, provider: str) -> CreateEmbeddingsResponse:
    fields = {name: value for name, value in case.request.items() if name not in {"input", "encoding_format"}}
    given = case.request["input"]
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    if isinstance(inputs[0], str):
        fields["texts"] = {"values": inputs}
    else:
        fields["token_arrays"] = {"values": [{"tokens": tokens} for tokens in inputs]}
    request = json_format.ParseDict({"model": f"{provider}/{MODELS[provider]}", **fields}, CreateEmbeddingsRequest())
    answer: CreateEmbeddingsResponse = await EmbeddingServiceStub(corpus.channel).CreateEmbeddings(
        request, metadata=AUTH
    )
    return answer


@pytest.mark.parametrize(("case", "provider"), RUNS)
async def test_vectors(corpus: Corpus, case: VectorCase, provider: str) -> None:
    """The vendor gets what it documents; both edges give the same vectors and tokens."""
    sends = case.column(provider)
    assert isinstance(sends, Sends)
    encoding = case.request.get("encoding_format")
    vendor = corpus.vendors[provider]
    vendor.received.clear()
    vendor.script(Answer(answered(case, provider, encoding)), Answer(answered(case, provider, "base64")))

    body = {"model": f"{provider}/{MODELS[provider]}", **case.request}
    async with corpus.http.post("/v1/embeddings", json=body) as response:
        assert response.status == 200, await response.text()
        by_json = await response.json()
    typed = await by_stub(corpus, case, provider)

    assert by_json == expected(case, provider, encoding)
    assert [list(vector.embedding) for vector in typed.data] == case.vectors
    assert [vector.index for vector in typed.data] == list(range(case.count))
    assert (typed.model, typed.usage.prompt_tokens) == (by_json["model"], by_json["usage"]["prompt_tokens"])
    first, second = vendor.received
    assert first.path == second.path == PATHS[provider]
    assert first.body == sent(case, provider, sends, encoding)
    assert one_input(second.body) == one_input(sent(case, provider, sends, "base64"))


def one_input(body: dict[str, Any]) -> dict[str, Any]:
    """The contract has lists only: a single input travels as a list of one."""
    given = body.get("input")
    alone = isinstance(given, str) or (isinstance(given, list) and isinstance(given[0], int))
    return {**body, "input": [given]} if alone else body


@pytest.mark.parametrize(("case", "provider"), REFUSALS)
async def test_what_a_provider_does_not_take_is_said(corpus: Corpus, case: VectorCase, provider: str) -> None:
    """422 with the parameter, and nothing reaches the vendor."""
    column = case.column(provider)
    assert isinstance(column, Refused)
    vendor = corpus.vendors[provider]
    vendor.received.clear()

    body = {"model": f"{provider}/{MODELS[provider]}", **case.request}
    async with corpus.http.post("/v1/embeddings", json=body) as response:
        status, error = response.status, (await response.json())["error"]
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await by_stub(corpus, case, provider)

    assert (status, error["param"], error["code"]) == (422, column.param, column.code)
    assert provider in error["message"].lower()
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, error["message"])
    assert vendor.received == []


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
async def test_the_built_in_provider_s_vectors(corpus: Corpus, case: VectorCase) -> None:
    """Both edges give the same vectors, of length 1, and the same tokens."""
    fields = {**case.request, "encoding_format": "float"}
    async with corpus.http.post("/v1/embeddings", json={"model": "custom/embed", **fields}) as response:
        assert response.status == 200, await response.text()
        by_json = await response.json()
    typed = await by_stub(corpus, case, "custom")

    vectors = [item["embedding"] for item in by_json["data"]]
    assert [list(vector.embedding) for vector in typed.data] == vectors
    assert [sum(number * number for number in vector) for vector in vectors] == pytest.approx([1] * case.count)
    assert typed.usage.total_tokens == by_json["usage"]["total_tokens"] > 0


async def test_a_vendor_without_embeddings_says_so(corpus: Corpus) -> None:
    """501, UNIMPLEMENTED; Cerebras has none."""
    async with corpus.http.post("/v1/embeddings", json={"model": "cerebras/gpt-oss-120b", "input": "x"}) as response:
        status, error = response.status, (await response.json())["error"]

    assert (status, error["code"]) == (501, "unsupported")
