"""Embeddings through every way in, from the built-in provider and from an OpenAI-shaped vendor."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import grpc
import openai
import pytest

from llmgateway.v1.embedding_service_pb2 import CreateEmbeddingsRequest
from llmgateway.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from tests.support.stack import AUTH, Stack, running_stack
from tests.support.vendor import Answer, Vendor, running_vendor


def unpacked(text: str) -> list[float]:
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def vendor_answer(*vectors: Any) -> dict[str, Any]:
    """An answer as OpenAI sends it, with a field that nobody here knows."""
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage, "region": "eu"}


async def test_the_sdk_gets_vectors_and_usage(stack: Stack) -> None:
    """The SDK asks for base64 when the caller does not choose, and hands out numbers."""
    async with stack.openai() as client:
        answer = await client.embeddings.create(model="custom/embed", input=["hello wide world", "other"])

    first, second = (item.embedding for item in answer.data)
    assert [item.index for item in answer.data] == [0, 1]
    assert len(first) == len(second) == 256
    assert sum(number * number for number in first) == pytest.approx(1)
    assert first != second
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 4


async def test_numbers_and_base64_are_the_same_vector_on_both_edges(stack: Stack) -> None:
    """Three encodings, one vector, to the last bit."""
    async with stack.openai() as client:
        numbers = await client.embeddings.create(model="embed", input="x", dimensions=8, encoding_format="float")
        text = await client.embeddings.with_raw_response.create(
            model="embed", input="x", dimensions=8, encoding_format="base64"
        )
    async with stack.channel() as channel:
        typed = await EmbeddingServiceStub(channel).CreateEmbeddings(
            CreateEmbeddingsRequest(model="embed", texts={"values": ["x"]}, dimensions=8), metadata=AUTH
        )

    vector = numbers.data[0].embedding
    assert len(vector) == 8
    assert unpacked(json.loads(text.content)["data"][0]["embedding"]) == vector
    assert list(typed.data[0].embedding) == vector
    assert typed.usage.prompt_tokens == 1


async def test_tokens_are_an_input_too(stack: Stack) -> None:
    """A token array gives the vector of its text: `[15339]` is one input, `[[15339]]` as well."""
    async with stack.openai() as client:
        text = await client.embeddings.create(model="custom/embed", input='"#$', encoding_format="float")
        one = await client.embeddings.create(model="custom/embed", input=[1, 2, 3], encoding_format="float")
        many = await client.embeddings.create(model="custom/embed", input=[[1, 2, 3], [4]], encoding_format="float")

    assert one.data[0].embedding == many.data[0].embedding == text.data[0].embedding
    assert len(many.data) == 2
    assert many.usage.prompt_tokens == 4


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        pytest.param({"input": "x"}, "model", "missing_required_parameter", id="no model"),
        pytest.param({"model": "embed"}, "input", "missing_required_parameter", id="no input"),
        pytest.param({"model": "embed", "input": []}, "input", "invalid_value", id="no inputs"),
        pytest.param({"model": "embed", "input": ""}, "input", "invalid_value", id="empty text"),
        pytest.param({"model": "embed", "input": ["a", ""]}, "input[1]", "invalid_value", id="empty text in a list"),
        pytest.param({"model": "embed", "input": ["a", 1]}, "input", "invalid_type", id="texts and tokens"),
        pytest.param({"model": "embed", "input": [[]]}, "input[0]", "invalid_value", id="no tokens"),
        pytest.param({"model": "embed", "input": [[2**31]]}, "input[0][0]", "invalid_value", id="huge token"),
        pytest.param({"model": "embed", "input": [2**30]}, "input", "invalid_value", id="unknown token"),
        pytest.param({"model": "embed", "input": ["a"] * 2049}, "input", "invalid_value", id="too many inputs"),
        pytest.param({"model": "embed", "input": {"a": 1}}, "input", "invalid_type", id="an object"),
        pytest.param(
            {"model": "embed", "input": "x", "dimensions": 0}, "dimensions", "invalid_value", id="dimensions 0"
        ),
        pytest.param(
            {"model": "embed", "input": "x", "dimensions": 5000}, "dimensions", "invalid_value", id="too long"
        ),
        pytest.param(
            {"model": "embed", "input": "x", "encoding_format": "hex"},
            "encoding_format",
            "invalid_value",
            id="encoding",
        ),
        pytest.param({"model": "embed", "input": "x", "foo": 1}, "foo", "unknown_parameter", id="unknown field"),
    ],
)
async def test_a_wrong_request_names_its_field(stack: Stack, body: dict[str, Any], param: str, code: str) -> None:
    """422 with `param` and `code`, before any provider is asked."""
    async with stack.openai() as client:
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.post("/embeddings", body=body, cast_to=object)

    assert (caught.value.param, caught.value.code) == (param, code)


async def test_a_chat_model_makes_no_vectors(stack: Stack) -> None:
    """404, and the message names the model that does."""
    async with stack.openai() as client:
        with pytest.raises(openai.NotFoundError, match="embed"):
            await client.embeddings.create(model="custom/echo", input="x")


async def test_a_vendor_s_bytes_pass_unchanged(stack: Stack, vendor: Vendor) -> None:
    """The vendor gets the caller's body with its own model name; its answer comes back byte for byte."""
    vendor.script_json(vendor_answer([0.25, -1], [1, 2]))
    async with stack.openai() as client:
        answer = await client.embeddings.with_raw_response.create(
            model="openai/text-embedding-3-small", input=["a", "b"], encoding_format="float", user="u"
        )

    assert json.loads(answer.content) == vendor_answer([0.25, -1], [1, 2])
    received = vendor.received[0]
    assert received.path == "/v1/embeddings"
    assert received.headers["Authorization"] == "Bearer sk-vendor-secret"
    assert received.body == {
        "model": "text-embedding-3-small",
        "input": ["a", "b"],
        "encoding_format": "float",
        "user": "u",
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>busy</html>", id="html"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"data": null}', id="no data"),
        pytest.param(json.dumps(vendor_answer([1.0])).encode(), id="a vector short"),
        pytest.param(b'{"error": {"message": "sorry"}}', id="an error with status 200"),
    ],
)
async def test_a_broken_vendor_answer_is_a_provider_error(stack: Stack, vendor: Vendor, body: bytes) -> None:
    """502, and nothing of the page that the vendor sent."""
    vendor.script(Answer(body))
    async with stack.openai() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.embeddings.create(model="openai/m", input=["a", "b"])

    assert (caught.value.status_code, caught.value.code) == (502, "provider_error")
    assert "html" not in str(caught.value)


async def test_a_second_provider_answers_when_the_first_fails(tmp_path: Path) -> None:
    """An alias lists its targets in order; the typed edge fails over as well."""
    async with running_vendor() as vendor:
        vendor.script_json({"error": {"message": "down", "type": "server_error"}}, status=500)
        environment = {
            "OPENAI_API_KEY": "sk-vendor",
            "OPENAI_BASE_URL": vendor.url + "/v1",
            "AI_GATEWAY_MAX_RETRIES": "0",
        }
        yaml = "aliases: {vectors: [openai/text-embedding-3-small, custom/embed]}"
        async with running_stack(tmp_path, environment, yaml) as stack:
            async with stack.openai() as client:
                answer = await client.embeddings.create(model="vectors", input="x")
            async with stack.channel() as channel:
                typed = await EmbeddingServiceStub(channel).CreateEmbeddings(
                    CreateEmbeddingsRequest(model="vectors", texts={"values": ["x"]}), metadata=AUTH
                )

    assert len(vendor.received) == 2
    assert answer.model == typed.model == "embed"
    assert list(typed.data[0].embedding) == answer.data[0].embedding


async def test_the_typed_edge_names_the_field_too(stack: Stack) -> None:
    """INVALID_ARGUMENT for a request without input."""
    async with stack.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EmbeddingServiceStub(channel).CreateEmbeddings(CreateEmbeddingsRequest(model="embed"), metadata=AUTH)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "input" in (caught.value.details() or "")
