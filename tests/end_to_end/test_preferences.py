"""Which models a key means by names: said by the key itself or by an operator, followed by its requests only."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest

from gateway.app import running
from llmgateway.v1 import preference_service_pb2 as pb
from llmgateway.v1.preference_service_pb2_grpc import PreferenceServiceStub
from tests.support.booked import connected
from tests.support.operated import Operated, Reply, operated, renamed, until
from tests.support.stack import KEY, running_stack
from tests.support.vendor import completion

PATH = "/api/v1/ai/preferences"
HELLO = [{"role": "user", "content": "hi"}]
ALIASES = "aliases: {fast: [custom/echo], cheap: [openai/priced]}\n"


@pytest.fixture(scope="module")
async def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module; tests take `gateway`."""
    async with operated(tmp_path_factory.mktemp("preferences"), yaml=ALIASES) as running:
        yield running


@pytest.fixture
def gateway(module_gateway: Operated) -> Operated:
    """A gateway whose vendor answers."""
    module_gateway.vendor.script_json(completion())
    return module_gateway


async def _set(gateway: Operated, key: str, name: str, model: str, **more: str) -> Reply:
    return await gateway.call("PUT", f"{PATH}/{name}", {"model": model, **more}, key=key)


async def _answers(gateway: Operated, key: str, model: str, path: str = "/v1/chat/completions") -> Any:
    """Return which provider answered, as the ledger has it, or the status of the error."""
    answer = await gateway.call("POST", path, {"model": model, "messages": HELLO}, key=key)
    if answer.status != 200:
        return answer.status
    query = {"request_id": answer.headers["x-request-id"]}
    (call,) = (await gateway.call("GET", "/admin/v1/usage", key=gateway.admin, query=query)).body["calls"]
    return f"{call['provider']}/{call['model']}"


async def test_a_name_means_what_its_key_says(gateway: Operated) -> None:
    """An alias, `auto` and a bare name; from the answer on, until it is forgotten, and for this key only."""
    _, key = await gateway.new_key()
    _, other = await gateway.new_key()
    stored = (await _set(gateway, key, "fast", "openai/mine")).body["preference"]
    await _set(gateway, key, "auto", "cheap")
    await _set(gateway, key, "gpt-4o:latest", "custom/echo")
    during = [await _answers(gateway, key, name) for name in ("fast", "auto", "gpt-4o:latest", "cheap")]
    others = [await _answers(gateway, other, name) for name in ("fast", "auto")]
    listed = (await gateway.call("GET", PATH, key=key)).body["preferences"]
    forgotten = await gateway.call("DELETE", f"{PATH}/fast", key=key)
    after = await _answers(gateway, key, "fast")

    assert during == ["openai/mine", "openai/priced", "custom/echo", "openai/priced"]
    assert others == ["custom/echo", 404]
    assert [(each["name"], each["model"]) for each in listed] == [
        ("auto", "cheap"),
        ("fast", "openai/mine"),
        ("gpt-4o:latest", "custom/echo"),
    ]
    assert stored in listed
    assert (forgotten.status, forgotten.body) == (200, {})
    assert after == "custom/echo"


async def test_a_preference_is_one_step(gateway: Operated) -> None:
    """What it stands for is what everyone means by that: no circle, no chain."""
    _, key = await gateway.new_key()
    await _set(gateway, key, "fast", "cheap")
    await _set(gateway, key, "cheap", "fast")

    assert [await _answers(gateway, key, name) for name in ("fast", "cheap")] == ["openai/priced", "custom/echo"]


async def test_a_whole_name_and_a_provider_s_path_mean_what_they_say(gateway: Operated) -> None:
    """A preference changes neither."""
    _, key = await gateway.new_key()
    await _set(gateway, key, "echo", "openai/mine")

    assert await _answers(gateway, key, "custom/echo") == "custom/echo"
    assert await _answers(gateway, key, "echo", "/custom/v1/chat/completions") == "custom/echo"
    assert await _answers(gateway, key, "echo") == "openai/mine"


async def test_estimates_and_embeddings_follow_too(gateway: Operated) -> None:
    """They name the model that a call would go to."""
    _, key = await gateway.new_key()
    await _set(gateway, key, "fast", "openai/mine")
    await _set(gateway, key, "vectors", "custom/embed")
    body = {"model": "fast", "messages": HELLO}
    estimate = (await gateway.call("POST", "/api/v1/ai/estimate", body, key=key)).body["estimates"][0]
    embedded = await gateway.call("POST", "/v1/embeddings", {"model": "vectors", "input": "hi"}, key=key)

    assert (estimate["provider"], estimate["model"]) == ("openai", "mine")
    assert embedded.status == 200


async def test_an_operator_says_it_for_others(gateway: Operated) -> None:
    """By the key's id, by stub as well; a key without the admin right may not, whatever it asks."""
    key_id, key = await gateway.new_key()
    set_by_http = await _set(gateway, gateway.admin, "fast", "openai/theirs", key_id=key_id)
    metadata = (("x-api-key", gateway.admin),)
    async with gateway.stack.channel() as channel:
        stub = PreferenceServiceStub(channel)
        listed = await stub.ListModelPreferences(pb.ListModelPreferencesRequest(key_id=key_id), metadata=metadata)
        answered = await _answers(gateway, key, "fast")
        await stub.DeleteModelPreference(pb.DeleteModelPreferenceRequest(key_id=key_id, name="fast"), metadata=metadata)
    refused = [
        await _set(gateway, KEY, "fast", "custom/echo", key_id=key_id),
        await gateway.call("GET", PATH, query={"key_id": key_id}),
        await gateway.call("DELETE", f"{PATH}/fast", query={"key_id": key_id}),
    ]

    assert set_by_http.status == 200
    assert [(each.name, each.model) for each in listed.preferences] == [("fast", "openai/theirs")]
    assert answered == "openai/theirs"
    assert [(reply.status, reply.body["error"]["param"]) for reply in refused] == [(403, "key_id")] * 3
    assert await _answers(gateway, key, "fast") == "custom/echo"


async def test_a_configured_key_has_preferences_too(gateway: Operated) -> None:
    """One of ALLOWED_API_KEYS, which is not in the database."""
    await _set(gateway, KEY, "mine", "custom/echo")

    assert await _answers(gateway, KEY, "mine") == "custom/echo"


async def test_a_key_prefers_only_what_it_may_use(gateway: Operated) -> None:
    """403 at once, and again by the call if its right or the alias changes later."""
    key_id, key = await gateway.new_key(models=["custom/*"])
    refused = await _set(gateway, key, "fast", "openai/mine")
    by_operator = await _set(gateway, gateway.admin, "fast", "openai/mine", key_id=key_id)
    allowed = await _set(gateway, key, "auto", "fast")

    assert [(reply.status, reply.body["error"]["param"]) for reply in (refused, by_operator)] == [(403, "model")] * 2
    assert allowed.status == 200


@pytest.mark.parametrize(
    ("name", "body", "status", "param"),
    [
        pytest.param("openai%2Fx", {"model": "custom/echo"}, 422, "name", id="a whole name"),
        pytest.param("n" * 201, {"model": "custom/echo"}, 422, "name", id="long name"),
        pytest.param("fast", {}, 422, "model", id="no model"),
        pytest.param("fast", {"model": "nowhere"}, 404, "model", id="unknown model"),
        pytest.param("fast", {"model": "custom/echo", "key_id": "key_none"}, 404, "key_id", id="unknown key"),
    ],
)
async def test_a_wrong_preference_is_refused_by_field(
    gateway: Operated, name: str, body: object, status: int, param: str
) -> None:
    """422 or 404 with `param`."""
    reply = await gateway.call("PUT", f"{PATH}/{name}", body, key=gateway.admin)

    assert (reply.status, reply.body["error"]["param"]) == (status, param)


async def test_what_is_not_preferred_cannot_be_forgotten(gateway: Operated) -> None:
    """404 that names the field."""
    reply = await gateway.call("DELETE", f"{PATH}/nothing")

    assert (reply.status, reply.body["error"]["param"]) == (404, "name")


async def test_preferences_have_an_end(gateway: Operated) -> None:
    """A key can have a hundred; those it has can still be changed."""
    _, key = await gateway.new_key()
    replies = [await _set(gateway, key, f"name-{number}", "custom/echo") for number in range(101)]
    changed = await _set(gateway, key, "name-7", "cheap")

    assert [reply.status for reply in replies] == [200] * 100 + [422]
    assert replies[-1].body["error"]["param"] == "name"
    assert changed.status == 200


async def test_without_keys_there_are_no_preferences(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where everyone may call, nobody may say what all others mean."""
    environment = {"REQUIRE_AUTH": "false", "ALLOWED_API_KEYS": ""}
    folder = tmp_path_factory.mktemp("open")
    async with (
        running_stack(folder, environment) as stack,
        aiohttp.ClientSession(stack.url) as http,
        http.put(f"{PATH}/fast", json={"model": "custom/echo"}) as answer,
    ):
        assert answer.status == 403


async def test_another_process_follows(gateway: Operated) -> None:
    """A name means there what was said here, a little later."""
    _, key = await gateway.new_key()
    async with (
        running(gateway.stack.settings, addresses=("127.0.0.1:0",)) as app,
        connected(f"127.0.0.1:{app.grpc_port}") as other,
    ):

        async def knows() -> bool:
            return await other.outcome(HELLO, key, model="mine") is grpc.StatusCode.OK

        assert await other.outcome(HELLO, key, model="mine") is grpc.StatusCode.NOT_FOUND
        await _set(gateway, key, "mine", "custom/echo")
        await until(knows)


async def test_calls_go_on_while_the_table_is_away(gateway: Operated) -> None:
    """Preferences are in memory: known ones hold, while to read or change them is 503."""
    _, key = await gateway.new_key()
    await _set(gateway, key, "fast", "openai/mine")
    async with gateway.database() as database, renamed(database, "model_preferences"), asyncio.timeout(20):
        replies = [await gateway.call("GET", PATH, key=key), await _set(gateway, key, "auto", "custom/echo")]
        during = await _answers(gateway, key, "fast")

    assert [reply.status for reply in replies] == [503, 503]
    assert during == "openai/mine"
