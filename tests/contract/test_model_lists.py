"""One list of models from all vendors' lists, each in its own wire format."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import json_format

from llmgateway.v1.model_service_pb2 import ListModelsRequest
from llmgateway.v1.model_service_pb2_grpc import ModelServiceStub
from tests.contract.conftest import Corpus, running_corpus
from tests.support import ollama_vendor
from tests.support.stack import AUTH

LISTS: dict[str, Any] = {
    "openai": {
        "object": "list",
        "data": [{"id": "gpt-4o-mini", "object": "model", "created": 1721172741, "owned_by": "system"}],
    },
    "cerebras": {
        "object": "list",
        "data": [{"id": "gpt-oss-120b", "object": "model", "created": 0, "owned_by": "Cerebras"}],
    },
    "ollama": ollama_vendor.tags("llama3.2:latest"),
    "gemini": {
        "models": [
            {
                "name": "models/gemini-3-flash-preview",
                "version": "3",
                "displayName": "Gemini 3 Flash",
                "inputTokenLimit": 1048576,
                "outputTokenLimit": 65536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }
        ]
    },
}


@pytest.fixture(scope="module")
async def listed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Corpus]:
    """A gateway of its own, whose vendors answer every request with their list."""
    async with running_corpus(tmp_path_factory.mktemp("lists")) as running:
        for name, body in LISTS.items():
            running.vendors[name].script_json(body)
        yield running


async def get(corpus: Corpus, path: str) -> tuple[int, Any]:
    async with corpus.http.get(path) as response:
        return response.status, await response.json()


async def test_all_vendors_models_are_one_list(listed: Corpus) -> None:
    """By the name to use in requests, in order."""
    _, body = await get(listed, "/v1/models")

    assert [model["id"] for model in body["data"]] == [
        "cerebras/gpt-oss-120b",
        "custom/echo",
        "custom/embed",
        "gemini/gemini-3-flash-preview",
        "ollama/llama3.2:latest",
        "openai/gpt-4o-mini",
    ]


@pytest.mark.parametrize(
    ("name", "window", "prompt_price"),
    [
        pytest.param("openai/gpt-4o-mini", 128_000, 150_000_000, id="openai"),
        pytest.param("cerebras/gpt-oss-120b", 131_000, 350_000_000, id="cerebras"),
        pytest.param("gemini/gemini-3-flash-preview", 1_048_576, 500_000_000, id="gemini"),
        pytest.param("ollama/llama3.2:latest", None, 0, id="ollama"),
        pytest.param("ollama/llama3.2", None, 0, id="ollama, without its tag"),
        pytest.param("custom/echo", None, 0, id="built-in"),
    ],
)
async def test_each_has_its_window_and_price(listed: Corpus, name: str, window: int | None, prompt_price: int) -> None:
    """From the vendor's list or from the shipped catalog."""
    status, model = await get(listed, f"/v1/models/{name}")

    assert status == 200
    assert model.get("context_window") == window
    assert model["prices"]["prompt_nano_usd_per_million"] == prompt_price


async def test_stubs_get_the_same_list(listed: Corpus) -> None:
    """Field by field what matters to a chooser of models."""
    _, body = await get(listed, "/v1/models")
    answer = await ModelServiceStub(listed.channel).ListModels(ListModelsRequest(), metadata=AUTH)

    typed = [json_format.MessageToDict(model, preserving_proto_field_name=True) for model in answer.models]
    for name in ("id", "owned_by", "capabilities"):
        assert [model.get(name) for model in typed] == [model.get(name) for model in body["data"]]
