"""Ollama's vectors, in OpenAI's words."""

import base64
import json
import struct
from typing import Any

import pytest

from gateway.errors import InvalidRequest, ProviderError, ProviderRejected
from gateway.providers.base import Provider
from gateway.wire.completion import Usage
from tests.support.provider_calls import embedding_call, running_provider
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Answer

VECTORS = [[0.25, -0.5], [1.0, 0.0]]


def script(vendor: StrictVendor, vectors: list[list[float]] = VECTORS, **fields: Any) -> None:
    vendor.script_json({"model": "llama3.2", "embeddings": vectors, "prompt_eval_count": 4, **fields})


async def test_texts_become_vectors(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """One vector for each text, with the tokens that Ollama counted."""
    script(ollama_vendor)
    answer = await ollama.embed(embedding_call(input=["a", "b"]))

    assert json.loads(answer.body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 0.0]},
        ],
        "model": "llama3.2",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    assert answer.usage == Usage(prompt_tokens=4, total_tokens=4)


async def test_a_long_text_is_not_cut_silently(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """`truncate` is false: Ollama refuses a text that does not fit, as OpenAI does."""
    script(ollama_vendor, VECTORS[:1])
    await ollama.embed(embedding_call(input="a", dimensions=2))

    assert ollama_vendor.received[0].path == "/api/embed"
    assert ollama_vendor.received[0].body == {"model": "llama3.2", "input": ["a"], "truncate": False, "dimensions": 2}


async def test_ollama_s_own_fields_can_be_forwarded(ollama_vendor: StrictVendor) -> None:
    """With `unknown_fields: forward` they travel on, even against what the gateway would say."""
    script(ollama_vendor, VECTORS[:1])
    async with running_provider("ollama", ollama_vendor.url, unknown_fields="forward") as provider:
        await provider.embed(embedding_call(input="a", truncate=True, keep_alive="1m"))

    assert ollama_vendor.received[0].body == {
        "model": "llama3.2",
        "input": ["a"],
        "truncate": True,
        "keep_alive": "1m",
    }


async def test_base64_is_made_here(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """OpenAI's SDKs ask for little-endian 32-bit floats in base64, which Ollama does not make."""
    script(ollama_vendor, VECTORS[:1])
    answer = await ollama.embed(embedding_call(input="a", encoding_format="base64"))

    packed = base64.b64decode(json.loads(answer.body)["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == (0.25, -0.5)


@pytest.mark.parametrize("tokens", [pytest.param([1, 2], id="one"), pytest.param([[1, 2], [3]], id="several")])
async def test_tokens_are_refused(ollama: Provider, tokens: list[Any]) -> None:
    """Ollama takes texts only."""
    with pytest.raises(InvalidRequest) as caught:
        await ollama.embed(embedding_call(input=tokens))

    assert (caught.value.param, caught.value.code) == ("input", "invalid_type")


async def test_the_user_is_refused_or_dropped(ollama: Provider, ollama_vendor: StrictVendor) -> None:
    """`user` is a parameter that Ollama does not have."""
    with pytest.raises(InvalidRequest, match="'user'"):
        await ollama.embed(embedding_call(input="a", user="u-1"))
    script(ollama_vendor, VECTORS[:1])
    async with running_provider("ollama", ollama_vendor.url, unsupported_parameters="drop") as provider:
        assert (await provider.embed(embedding_call(input="a", user="u-1"))).usage is not None


async def test_uncounted_tokens_are_unknown(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """The body says 0, as its format demands a number; the pipeline is told that it is not known."""
    script(ollama_vendor, VECTORS[:1], prompt_eval_count=None)
    answer = await ollama.embed(embedding_call(input="a"))

    assert answer.usage is None
    assert json.loads(answer.body)["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>oops</html>", id="HTML"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"embeddings": []}', id="too few"),
        pytest.param(b'{"embeddings": [["0.5"]]}', id="numbers as strings"),
        pytest.param(b'{"error": "out of memory"}', id="an error inside 200"),
    ],
)
async def test_a_broken_answer_is_the_provider_s_error(
    ollama_vendor: StrictVendor, ollama: Provider, body: bytes
) -> None:
    """Nothing that is no list of vectors passes for one."""
    ollama_vendor.script(Answer(body))

    with pytest.raises(ProviderError):
        await ollama.embed(embedding_call(input="a"))


async def test_an_unknown_model_is_not_found(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Ollama's 404 keeps its text and gets OpenAI's code."""
    ollama_vendor.script_json({"error": "model 'llama3.2' not found"}, status=404)
    with pytest.raises(ProviderRejected, match=r"model 'llama3\.2' not found") as caught:
        await ollama.embed(embedding_call(input="a"))

    assert (caught.value.http_status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")
