"""The list of models and names that lead to them, through every way in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import openai
import pytest
from google.protobuf import json_format
from yarl import URL

from llmgateway.v1.chat_service_pb2 import CreateChatCompletionRequest
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from llmgateway.v1.model_service_pb2 import GetModelRequest, ListModelsRequest
from llmgateway.v1.model_service_pb2_grpc import ModelServiceStub
from tests.support.stack import AUTH, KEY, Stack, running_stack
from tests.support.vendor import Answer, Vendor, completion, running_vendor

HEADERS = {"authorization": f"Bearer {KEY}"}
YAML = """
providers:
  local:
    kind: openai
    base_url: {url}/local/v1
    models: [qwen]
    catalog: openai
  gone:
    kind: openai
    base_url: http://127.0.0.1:9/v1
    models: [lost]
aliases:
  fast: [openai/gpt-4o-mini, custom/echo]
  exact: [openai/gpt-4o-mini]
  absent: [cerebras-eu/gpt-oss-120b, custom/echo]
models:
  openai/ours/tuned-1:
    context_window: 1000
    capabilities: [chat, tools]
    prices: {{input: 1_000_000_000, output: 2_000_000_000}}
  openai/gpt-4o-mini:
    max_output_tokens: 99
"""
LISTED = {
    "object": "list",
    "data": [
        {"id": "gpt-4o-mini", "object": "model", "created": 1721172741, "owned_by": "system"},
        {"id": "org/with/slashes", "object": "model", "created": 5, "owned_by": "org", "context_length": 4096},
    ],
}


@pytest.fixture(scope="module")
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor that lists two models on both of its addresses, and answers chats alike."""
    async with running_vendor() as running:
        running.script_json(LISTED)
        yield running


@pytest.fixture(scope="module")
async def stack(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway with two living providers, the built-in one and a dead one. The lists are read before the tests."""
    environment = {"OPENAI_API_KEY": "sk-vendor", "OPENAI_BASE_URL": vendor.url + "/v1", "AI_GATEWAY_MAX_RETRIES": "0"}
    async with running_stack(tmp_path_factory.mktemp("models"), environment, YAML.format(url=vendor.url)) as running:
        async with running.openai() as client:
            await client.models.list()
        yield running


async def get(stack: Stack, path: str) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.get(stack.url + path, allow_redirects=False) as response,
    ):
        return response.status, await response.json()


async def get_raw(stack: Stack, path: str) -> tuple[int, dict[str, Any]]:
    """GET a path exactly as it is written, with its percent signs."""
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.get(URL(stack.url + path, encoded=True)) as response,
    ):
        return response.status, await response.json()


async def test_the_list_joins_configuration_vendors_and_aliases(stack: Stack) -> None:
    """In the order of the ids, each once; a dead provider's configured models are there too."""
    status, body = await get(stack, "/v1/models")

    assert status == 200
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == [
        "absent",
        "custom/echo",
        "custom/embed",
        "exact",
        "fast",
        "gone/lost",
        "local/gpt-4o-mini",
        "local/org/with/slashes",
        "local/qwen",
        "openai/gpt-4o-mini",
        "openai/org/with/slashes",
        "openai/ours/tuned-1",
    ]


async def test_a_model_tells_what_is_known_of_it(stack: Stack) -> None:
    """Owner and date from the vendor, the size from the operator, prices from the shipped catalog."""
    _, model = await get(stack, "/v1/models/openai/gpt-4o-mini")

    assert model == {
        "id": "openai/gpt-4o-mini",
        "object": "model",
        "created": 1721172741,
        "owned_by": "system",
        "capabilities": ["chat"],
        "context_window": 128000,
        "max_output_tokens": 99,
        "prices": {
            "prompt_nano_usd_per_million": 150_000_000,
            "cached_prompt_nano_usd_per_million": 75_000_000,
            "completion_nano_usd_per_million": 600_000_000,
        },
        "aliases": ["gpt-4o-mini", "exact"],
        "shutdown_date": "2027-01-14",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("local/qwen", {"owned_by": "local", "aliases": ["qwen"]}, id="configured only"),
        pytest.param("local/org/with/slashes", {"owned_by": "org", "created": 5, "context_window": 4096}, id="listed"),
        pytest.param(
            "fast",
            {"owned_by": "gateway", "capabilities": ["chat"]},
            id="an alias of two has what both have",
        ),
        pytest.param("absent", {"owned_by": "gateway", "prices": {"prompt_nano_usd_per_million": 0}}, id="free"),
        pytest.param("ours/tuned-1", {"id": "openai/ours/tuned-1", "context_window": 1000}, id="bare, with a slash"),
        pytest.param("gone/anything", {"id": "gone/anything", "owned_by": "gone"}, id="of a provider without a list"),
    ],
)
async def test_models_are_found_by_their_names(stack: Stack, name: str, expected: dict[str, Any]) -> None:
    """Ids with slashes work raw and percent-encoded; all ways give the same fields."""
    status, raw = await get_raw(stack, "/v1/models/" + name)
    encoded_status, encoded = await get_raw(stack, "/v1/models/" + name.replace("/", "%2F"))

    assert status == encoded_status == 200
    assert raw == encoded
    for field, value in expected.items():
        assert (raw[field] | value if isinstance(value, dict) else value) == raw[field]


async def test_an_alias_of_two_promises_only_what_both_keep(stack: Stack) -> None:
    """No window or price that only one target has."""
    _, model = await get(stack, "/v1/models/fast")

    assert not model.keys() & {"context_window", "max_output_tokens", "prices"}


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1/models/gpt-4o-mini",
        "/provider/openai/v1/models/gpt-4o-mini",
        "/openai/v1/models/openai/gpt-4o-mini",
        "/v1/models/gpt-4o-mini",
    ],
)
async def test_a_path_can_name_the_provider(stack: Stack, path: str) -> None:
    """The model's own name is enough there."""
    status, model = await get(stack, path)

    assert (status, model["id"]) == (200, "openai/gpt-4o-mini")


@pytest.mark.parametrize("path", ["/openai/v1/models", "/provider/openai/v1/models"])
async def test_a_provider_s_own_list(stack: Stack, path: str) -> None:
    """Only its models, no aliases."""
    _, body = await get(stack, path)

    assert [model["id"] for model in body["data"]] == [
        "openai/gpt-4o-mini",
        "openai/org/with/slashes",
        "openai/ours/tuned-1",
    ]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("/v1/models/nope", "model_not_found", id="bare"),
        pytest.param("/v1/models/openai/nope", "model_not_found", id="of a provider that lists its models"),
        pytest.param("/v1/models/openai%2Fnope", "model_not_found", id="encoded"),
        pytest.param("/v1/models/nobody/m", "model_not_found", id="unknown provider in the name"),
        pytest.param("/nobody/v1/models/m", None, id="unknown provider in the path"),
        pytest.param("/nobody/v1/models", None, id="list of an unknown provider"),
    ],
)
async def test_what_does_not_exist_is_404(stack: Stack, path: str, code: str | None) -> None:
    """In OpenAI's error shape."""
    status, body = await get_raw(stack, path)

    assert status == 404
    assert (body["error"]["type"], body["error"]["code"]) == ("invalid_request_error", code)


async def test_both_edges_tell_the_same(stack: Stack) -> None:
    """Field by field, for every model; JSON's `object` is not a field of the contract."""
    _, body = await get(stack, "/v1/models")
    async with stack.channel(stack.envoy) as channel:
        stub = ModelServiceStub(channel)
        listed = await stub.ListModels(ListModelsRequest(), metadata=AUTH)
        one = await stub.GetModel(GetModelRequest(model="gpt-4o-mini"), metadata=AUTH)

    typed = [json_format.MessageToDict(model, preserving_proto_field_name=True) for model in listed.models]
    assert [as_numbers(model) for model in typed] == [
        {field: value for field, value in model.items() if field != "object" and value != 0} for model in body["data"]
    ]
    assert one.model == next(model for model in listed.models if model.id == "openai/gpt-4o-mini")


def as_numbers(node: Any) -> Any:
    """Undo protobuf's JSON form of 64-bit integers, which is text."""
    if isinstance(node, dict):
        return {name: as_numbers(value) if name != "shutdown_date" else value for name, value in node.items()}
    return int(node) if isinstance(node, str) and node.isdecimal() else node


async def test_the_typed_edge_says_not_found(stack: Stack) -> None:
    """NOT_FOUND for a model and for a provider."""
    async with stack.channel() as channel:
        stub = ModelServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as model:
            await stub.GetModel(GetModelRequest(model="nope"), metadata=AUTH)
        with pytest.raises(grpc.aio.AioRpcError) as provider:
            await stub.ListModels(ListModelsRequest(provider="nobody"), metadata=AUTH)

    assert model.value.code() == provider.value.code() == grpc.StatusCode.NOT_FOUND


async def test_the_sdk_pages_through_the_list(stack: Stack) -> None:
    """Extra fields stay out of its way and can be read."""
    async with stack.openai() as client:
        models = {model.id: model async for model in client.models.list()}
        one = await client.models.retrieve("openai/ours/tuned-1")

    assert (models["custom/echo"].owned_by, models["custom/echo"].created) == ("custom", 0)
    assert one.model_extra is not None
    assert one.model_extra["prices"]["completion_nano_usd_per_million"] == 2_000_000_000


ROUTES = {
    "provider and model": ("/v1", "openai/gpt-x", "/v1/chat/completions", "gpt-x"),
    "a model with slashes": ("/v1", "openai/org/with/slashes", "/v1/chat/completions", "org/with/slashes"),
    "bare, configured": ("/v1", "qwen", "/local/v1/chat/completions", "qwen"),
    "bare, configured, with a slash": ("/v1", "ours/tuned-1", "/v1/chat/completions", "ours/tuned-1"),
    "bare, of the shipped catalog": ("/v1", "gpt-4o-mini", "/v1/chat/completions", "gpt-4o-mini"),
    "an alias": ("/v1", "exact", "/v1/chat/completions", "gpt-4o-mini"),
    "prefixed path, bare name": ("/local/v1", "anything", "/local/v1/chat/completions", "anything"),
    "prefixed path, full name": ("/local/v1", "local/qwen", "/local/v1/chat/completions", "qwen"),
    "prefixed path wins": ("/local/v1", "gpt-4o-mini", "/local/v1/chat/completions", "gpt-4o-mini"),
    "prefixed path, a model with slashes": ("/local/v1", "org/m", "/local/v1/chat/completions", "org/m"),
    "long prefix": ("/provider/local/v1", "qwen", "/local/v1/chat/completions", "qwen"),
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES.keys())
async def test_a_name_leads_to_one_provider(stack: Stack, vendor: Vendor, route: tuple[str, str, str, str]) -> None:
    """The vendor that the name means gets its own name for the model."""
    base, model, path, sent = route
    vendor.received.clear()
    vendor.script_json(completion("hi"))
    try:
        async with stack.openai(base_url=stack.url + base) as client:
            await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])
    finally:
        vendor.script(Answer(b"{}", status=500))

    assert [(request.path, request.body["model"]) for request in vendor.received] == [(path, sent)]


@pytest.mark.parametrize("edge", ["json", "grpc"])
async def test_a_bare_unknown_model_is_told_what_exists(stack: Stack, edge: str) -> None:
    """The names that would work, and the form that reaches any model."""
    if edge == "json":
        async with stack.openai() as client:
            with pytest.raises(openai.NotFoundError) as caught:
                await client.chat.completions.create(model="gpt-99", messages=[{"role": "user", "content": "x"}])
        text = str(caught.value)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    else:
        request = CreateChatCompletionRequest()
        json_format.ParseDict({"chat": {"model": "gpt-99", "messages": [USER_TEXT]}}, request)
        async with stack.channel() as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await ChatServiceStub(channel).CreateChatCompletion(request, metadata=AUTH)
        assert failed.value.code() == grpc.StatusCode.NOT_FOUND
        text = failed.value.details() or ""
    assert "custom/echo" in text
    assert "fast" in text
    assert "PROVIDER/MODEL" in text


USER_TEXT = {"role": "ROLE_USER", "content": [{"text": "x"}]}


async def test_an_alias_answers_though_a_target_is_not_enabled(stack: Stack) -> None:
    """One configuration can name providers that have no key here."""
    async with stack.openai() as client:
        answer = await client.chat.completions.create(model="absent", messages=[{"role": "user", "content": "still"}])

    assert answer.choices[0].message.content == "still"


async def test_a_provider_that_is_down_does_not_slow_the_list(tmp_path: Path) -> None:
    """A vendor that never answers costs the first reader two seconds at most, and later ones nothing."""
    async with running_vendor() as slow:
        slow.script(Answer(b"", wait_for=asyncio.Event()))
        environment = {"OPENAI_API_KEY": "sk-vendor", "OPENAI_BASE_URL": slow.url + "/v1"}
        async with running_stack(tmp_path, environment) as stack, stack.openai(timeout=5) as client:
            await client.models.list()
            for _ in range(20):
                await asyncio.wait_for(client.models.list(), 1)

    assert len(slow.received) == 1
