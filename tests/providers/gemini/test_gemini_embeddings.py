"""Embeddings and the list of models."""

import base64
import json
import struct
from typing import Any

import pytest

from gateway.errors import InvalidRequest, ProviderError, ProviderRejected
from gateway.providers.base import ListedModel
from tests.providers.gemini.driver import Driver
from tests.support.gemini import Gemini, error
from tests.support.vendor import Answer


def vectors(count: int, first: int = 0) -> dict[str, Any]:
    return {"embeddings": [{"values": [float(first + at), 0.5]} for at in range(count)]}


async def test_texts_are_one_batch(driver: Driver, google: Gemini) -> None:
    """In their order, with the dimensions asked for."""
    google.script_answers(vectors(2))
    embeddings = await driver.embed(input=["a", "b"], dimensions=2)

    assert google.received[-1].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert google.received[-1].body == {
        "requests": [
            {
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": text}]},
                "outputDimensionality": 2,
            }
            for text in ("a", "b")
        ]
    }
    assert json.loads(embeddings.body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.0, 0.5]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 0.5]},
        ],
        "model": "gemini-embedding-001",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }
    assert embeddings.usage is None


async def test_base64_is_made_here(driver: Driver, google: Gemini) -> None:
    """OpenAI's SDKs ask for it; Gemini does not have it."""
    google.script_answers(vectors(1, 3))
    body = json.loads((await driver.embed(encoding_format="base64")).body)

    assert struct.unpack("<2f", base64.b64decode(body["data"][0]["embedding"])) == (3.0, 0.5)


async def test_many_texts_are_several_batches(driver: Driver, google: Gemini) -> None:
    """Gemini takes 100 at once, OpenAI's callers may send 2048; tokens are added up where they are told."""
    google.script_answers(
        {**vectors(100), "usageMetadata": {"promptTokenCount": 100}},
        {**vectors(50, 100), "usageMetadata": {"promptTokenCount": 50}},
    )
    embeddings = await driver.embed(input=[f"t{at}" for at in range(150)])

    assert [len(one.body["requests"]) for one in google.received] == [100, 50]
    assert [one["embedding"][0] for one in json.loads(embeddings.body)["data"]] == [float(at) for at in range(150)]
    assert embeddings.usage is not None
    assert embeddings.usage.prompt_tokens == 150


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"input": [1, 2]}, "input", id="tokens"),
        pytest.param({"input": [[1], [2]]}, "input", id="token arrays"),
        pytest.param({"user": "u"}, "user", id="user"),
    ],
)
async def test_what_gemini_does_not_have_is_refused(driver: Driver, fields: Any, param: str) -> None:
    """By name, and nothing is sent."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.embed(**fields)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)
    assert driver.google.received == []


@pytest.mark.parametrize("fields", [{"google": {}}, {"taskType": "RETRIEVAL_QUERY"}], ids=["google", "taskType"])
async def test_unknown_fields_are_refused(driver: Driver, fields: Any) -> None:
    """Also the one that chat has."""
    with pytest.raises(InvalidRequest) as caught:
        await driver.embed(**fields)

    assert (caught.value.code, caught.value.param) == ("unknown_parameter", next(iter(fields)))


async def test_unknown_fields_travel_when_the_operator_says_so(driver: Driver, google: Gemini) -> None:
    """With each text, where Gemini wants them."""
    google.script_answers(vectors(2))
    await driver.embed(input=["a", "b"], taskType="RETRIEVAL_QUERY", settings={"unknown_fields": "forward"})

    assert [one["taskType"] for one in google.received[-1].body["requests"]] == ["RETRIEVAL_QUERY"] * 2


async def test_the_user_may_be_dropped_and_tokens_may_not(driver: Driver, google: Gemini) -> None:
    """Without its input a request has no meaning."""
    google.script_answers(vectors(1))
    await driver.embed(user="u", settings={"unsupported_parameters": "drop"})

    with pytest.raises(InvalidRequest):
        await driver.embed(input=[1], settings={"unsupported_parameters": "drop"})


@pytest.mark.parametrize(
    ("bad", "row"),
    [
        pytest.param(Answer(b"<html>"), ProviderError, id="HTML"),
        pytest.param(Answer(b""), ProviderError, id="empty body"),
        pytest.param(Answer(b'{"embeddings":[]}'), ProviderError, id="no vector"),
        pytest.param(Answer(b'{"embeddings":[{"values":[]}]}'), ProviderError, id="empty vector"),
        pytest.param(Answer(b'{"embeddings":[{"values":["1"]}]}'), ProviderError, id="numbers as strings"),
        pytest.param(Answer(json.dumps(vectors(2)).encode()), ProviderError, id="too many vectors"),
        pytest.param(
            Answer(json.dumps(error(400, "no", "INVALID_ARGUMENT")).encode()), ProviderRejected, id="200 with an error"
        ),
    ],
)
async def test_a_broken_answer_is_one_row(driver: Driver, google: Gemini, bad: Answer, row: type[Exception]) -> None:
    """A vector that is missing is never made up."""
    google.script(bad)

    with pytest.raises(row):
        await driver.embed()


async def test_models_are_listed_over_all_pages(driver: Driver, google: Gemini) -> None:
    """Those that chat or make embeddings, with their limits."""
    chat = {
        "name": "models/gemini-2.5-flash",
        "displayName": "Gemini 2.5 Flash",
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "thinking": True,
    }
    small = {"name": "models/gemma-3-27b-it", "supportedGenerationMethods": ["generateContent"]}
    embed = {
        "name": "models/gemini-embedding-001",
        "inputTokenLimit": 2048,
        "outputTokenLimit": 1,
        "supportedGenerationMethods": ["embedContent"],
    }
    other = {"name": "models/imagen", "supportedGenerationMethods": ["predict"]}
    google.script_answers({"models": [chat, small, other], "nextPageToken": "p2"}, {"models": [embed]})
    models = await driver.provider().models()

    assert models == [
        ListedModel(
            id="gemini-2.5-flash",
            owned_by="google",
            capabilities=("chat", "reasoning"),
            context_window=1048576,
            max_output_tokens=65536,
        ),
        ListedModel(id="gemma-3-27b-it", owned_by="google", capabilities=("chat",)),
        ListedModel(id="gemini-embedding-001", owned_by="google", capabilities=("embeddings",), context_window=2048),
    ]
    assert [one.path for one in google.received] == [
        "/v1beta/models?pageSize=1000",
        "/v1beta/models?pageSize=1000&pageToken=p2",
    ]


@pytest.mark.parametrize("bad", [b"<html>", b"", b'{"models":[{}]}', b'{"error":{"message":"x"}}'])
async def test_a_broken_list_is_an_error(driver: Driver, google: Gemini, bad: bytes) -> None:
    """The catalog keeps the last good one then."""
    google.script(Answer(bad))

    with pytest.raises(ProviderError):
        await driver.provider().models()
