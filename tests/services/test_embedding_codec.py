"""Embeddings between the contract's messages and OpenAI's JSON."""

import base64
import json
import struct
from typing import Any

import pytest

from gateway.errors import InvalidRequest, ProviderError
from gateway.services.embedding_codec import embedding_request_body, embeddings_message
from llmgateway.v1.embedding_service_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from tests.support.contract_fields import declared, used

TEXTS: dict[str, Any] = {"texts": {"values": ["a", "b"]}}
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unset": ({}, {}),
    "texts": ({"model": "m", **TEXTS}, {"model": "m", "input": ["a", "b"]}),
    "no-texts": ({"model": "m", "texts": {}}, {"model": "m", "input": []}),
    "tokens": (
        {"model": "m", "token_arrays": {"values": [{"tokens": [1, 2]}, {"tokens": [3]}]}},
        {"model": "m", "input": [[1, 2], [3]]},
    ),
    "settings": (
        {"dimensions": 256, "user": "u", "extra_body_json": '{"truncate":true}'},
        {"dimensions": 256, "user": "u", "truncate": True},
    ),
    "dimensions-zero": ({"dimensions": 0}, {"dimensions": 0}),
}
VECTORS = [[0.5, -1.0, 0.0], [3.0, 2.0, 1.0]]


def packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def answer(*vectors: Any, **fields: Any) -> bytes:
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return json.dumps({"object": "list", "data": data, "model": "m"} | fields).encode()


@pytest.mark.parametrize(("fields", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_is_sent_as_json_callers_write_it(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Only what is set is sent, and vectors are asked for in base64."""
    body = embedding_request_body(CreateEmbeddingsRequest(**fields))
    assert json.loads(body) == expected | {"encoding_format": "base64"}


def test_the_requests_use_every_field() -> None:
    """A new field of the contract needs a case here."""
    cases = [CreateEmbeddingsRequest(**fields) for fields, _ in REQUESTS.values()]
    assert used(cases) == declared(CreateEmbeddingsRequest)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        pytest.param("{", "extra_body_json", id="malformed"),
        pytest.param('"a"', "extra_body_json", id="not-an-object"),
        pytest.param('{"input":"a"}', "extra_body_json.input", id="input"),
        pytest.param('{"encoding_format":"float"}', "extra_body_json.encoding_format", id="encoding_format"),
        pytest.param('{"user":"u"}', "extra_body_json.user", id="user"),
    ],
)
def test_extra_fields_that_do_not_fit_are_refused_by_name(text: str, param: str) -> None:
    """They may not replace what the request says elsewhere."""
    with pytest.raises(InvalidRequest) as caught:
        embedding_request_body(CreateEmbeddingsRequest(model="m", extra_body_json=text, **TEXTS))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param(VECTORS, id="numbers"),
        pytest.param([packed(vector) for vector in VECTORS], id="base64"),
        pytest.param([VECTORS[0], packed(VECTORS[1])], id="mixed"),
    ],
)
def test_vectors_are_read_in_both_encodings(vectors: list[Any]) -> None:
    """Base64 and numbers give the same message, with everything else of the answer."""
    message = embeddings_message(answer(*vectors, usage={"prompt_tokens": 2, "total_tokens": 2}, vendor={"a": 1}))
    assert message == CreateEmbeddingsResponse(
        data=[{"index": i, "embedding": vector} for i, vector in enumerate(VECTORS)],
        model="m",
        usage={"prompt_tokens": 2, "total_tokens": 2},
        extra_json='{"vendor":{"a": 1}}',
    )
    assert used([message]) == declared(CreateEmbeddingsResponse)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 1536, 5000])
def test_a_vector_may_have_any_length(length: int) -> None:
    """Short ones, common ones and those whose size takes three bytes to write."""
    vector = [float(i) for i in range(length)]
    message = embeddings_message(answer(packed(vector)))
    assert list(message.data[0].embedding) == vector


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    """A provider may answer in another order; the index tells."""
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    message = embeddings_message(answer(data=data))
    assert [(entry.index, list(entry.embedding)) for entry in message.data] == [(0, [0.0]), (1, [1.0])]


@pytest.mark.parametrize("usage", [{}, {"usage": None}], ids=["absent", "null"])
def test_usage_is_always_set(usage: dict[str, Any]) -> None:
    """A provider that does not count gives zeros."""
    message = embeddings_message(answer(**usage))
    assert message.HasField("usage")
    assert message.usage.total_tokens == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"SECRET", id="not-json"),
        pytest.param(b'{"error":{"message":"SECRET"}}', id="error"),
        pytest.param(answer(["SECRET"]), id="not-numbers"),
        pytest.param(answer("SECRET!"), id="not-base64"),
        pytest.param(answer("AAAA"), id="not-whole-floats"),
        pytest.param(answer(data=[{"index": 2**31, "embedding": []}]), id="index-too-large"),
        pytest.param(answer(data=[{"embedding": []}]), id="no-index"),
    ],
)
def test_an_answer_of_another_shape_is_the_provider_s_fault(body: bytes) -> None:
    """The error says so without quoting the answer."""
    with pytest.raises(ProviderError, match="broke OpenAI's wire format") as caught:
        embeddings_message(body)
    assert "SECRET" not in caught.value.message
