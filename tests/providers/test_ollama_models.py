"""What models an Ollama says it has."""

import json
from typing import Any

import pytest

from gateway.errors import ProviderError
from gateway.providers.base import ListedModel, Provider
from tests.support.ollama_vendor import shown, tags
from tests.support.provider_calls import running_provider
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Answer


def answers(*bodies: Any) -> list[Answer]:
    return [Answer(json.dumps(body).encode()) for body in bodies]


async def test_models_are_listed_by_the_sdk(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Names with their tags, when each was changed, and what Ollama says of it, in the catalog's words."""
    ollama_vendor.script(
        *answers(
            tags("qwen3:0.6b", "all-minilm:latest"),
            shown("completion", "tools", "thinking", "insert", context_length=40960),
            shown("embedding", context_length=512),
        )
    )

    assert await ollama.models() == [
        ListedModel(
            id="qwen3:0.6b",
            created=1768248967,
            capabilities=("chat", "json_object", "json_schema", "logprobs", "tools", "reasoning"),
            context_window=40960,
        ),
        ListedModel(id="all-minilm:latest", created=1768248967, capabilities=("embeddings",), context_window=512),
    ]
    assert [request.path for request in ollama_vendor.received] == ["/api/tags", "/api/show", "/api/show"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(b'{"error": "gone"}', status=404), id="404"),
        pytest.param(Answer(b"<html>", content_type="text/html"), id="HTML"),
        pytest.param(Answer(b'{"model_info": {}}'), id="nothing said"),
        pytest.param(Answer(b'{"model_info": {"x.context_length": "long"}, "capabilities": null}'), id="nonsense"),
    ],
)
async def test_a_model_that_is_not_described_is_listed(
    ollama_vendor: StrictVendor, ollama: Provider, answer: Answer
) -> None:
    """By its name alone."""
    ollama_vendor.script(*answers(tags("llama3.2:latest")), answer)

    assert await ollama.models() == [ListedModel(id="llama3.2:latest", created=1768248967)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(b"<html>", content_type="text/html"), id="HTML"),
        pytest.param(Answer(b'{"models": "none"}'), id="wrong shape"),
        pytest.param(Answer(b"oops", status=500), id="500"),
        pytest.param(Answer(b"", status=302, headers={"location": "/elsewhere"}), id="redirect"),
    ],
)
async def test_a_list_that_is_none_is_the_provider_s_error(
    ollama_vendor: StrictVendor, ollama: Provider, answer: Answer
) -> None:
    """The SDK's own errors do not leave the provider."""
    ollama_vendor.script(answer)

    with pytest.raises(ProviderError):
        await ollama.models()


async def test_a_dead_ollama_lists_nothing() -> None:
    """A refused connection is the provider's error."""
    async with running_provider("ollama", "127.0.0.1:1") as provider:
        with pytest.raises(ProviderError):
            await provider.models()
