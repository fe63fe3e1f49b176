"""Providers that operators add, change and disable while the gateway runs; and the reload that they can ask for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

from gateway.app import running
from gateway.config import ConfigError, Settings, load
from llmgateway.v1 import admin_provider_pb2 as pb
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.support.booked import connected
from tests.support.operated import Operated, Reply, operated, until
from tests.support.stack import KEY
from tests.support.vendor import Vendor, completion, running_vendor

PROVIDERS = "/admin/v1/providers"
HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
async def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module; tests take `gateway`."""
    async with operated(tmp_path_factory.mktemp("providers")) as running:
        yield running


@pytest.fixture
async def gateway(module_gateway: Operated) -> AsyncIterator[Operated]:
    """A gateway whose vendor answers, and afterwards nothing is stored of its providers."""
    module_gateway.vendor.script_json(completion())
    yield module_gateway
    for each in await _providers(module_gateway):
        if each["source"] != "configuration":
            await _admin(module_gateway, "DELETE", each["name"])


@pytest.fixture
async def second() -> AsyncIterator[Vendor]:
    """Another vendor."""
    async with running_vendor() as vendor:
        vendor.script_json(completion())
        yield vendor


async def _admin(gateway: Operated, method: str, name: str, body: object = None) -> Reply:
    return await gateway.call(method, f"{PROVIDERS}/{name}", body, key=gateway.admin)


async def _providers(gateway: Operated) -> list[dict[str, Any]]:
    providers: list[dict[str, Any]] = (await gateway.call("GET", PROVIDERS, key=gateway.admin)).body["providers"]
    return providers


async def _ask(gateway: Operated, model: str) -> int:
    return (await gateway.call("POST", "/v1/chat/completions", {"model": model, "messages": HELLO})).status


async def test_a_provider_is_added_disabled_and_forgotten(gateway: Operated, second: Vendor) -> None:
    """Each change is in force when its answer arrives: for calls, bare names and the list of models."""
    given = {"kind": "openai", "base_url": second.url + "/v1", "models": ["second-model"]}
    before = await _ask(gateway, "added/second-model")
    added = (await _admin(gateway, "PUT", "added", given)).body["provider"]
    answers = [await _ask(gateway, model) for model in ("added/second-model", "second-model", "added/any")]
    models = (await gateway.call("GET", "/v1/models")).body["data"]
    disabled = (await _admin(gateway, "PUT", "added", {**given, "disabled": True})).body["provider"]
    while_disabled = await _ask(gateway, "added/second-model")
    await _admin(gateway, "PUT", "added", given)
    again = await _ask(gateway, "added/second-model")
    await _admin(gateway, "DELETE", "added")
    after = await _ask(gateway, "added/second-model")

    assert (added["name"], added["source"], added["settings"]["base_url"]) == ("added", "stored", second.url + "/v1")
    assert added["settings"]["key_source"] == "gateway"
    assert answers == [200, 200, 200]
    assert [each.body["model"] for each in second.received[:2]] == ["second-model", "second-model"]
    assert "added/second-model" in {model["id"] for model in models}
    assert disabled["settings"]["disabled"] is True
    assert [before, while_disabled, again, after] == [404, 404, 200, 404]


async def test_a_configured_provider_is_changed_field_by_field(gateway: Operated) -> None:
    """What is not said stays as configured, its key too; forgotten, it is as before."""
    original = next(each for each in await _providers(gateway) if each["name"] == "openai")
    changed = (await _admin(gateway, "PUT", "openai", {"models": ["by-bare-name"]})).body["provider"]
    gateway.vendor.received.clear()
    answered = await _ask(gateway, "by-bare-name")
    await _admin(gateway, "DELETE", "openai")
    after = next(each for each in await _providers(gateway) if each["name"] == "openai")

    assert changed["source"] == "both"
    assert changed["settings"] == {**original["settings"], "models": ["by-bare-name"]}
    assert answered == 200
    assert gateway.vendor.received[0].headers["Authorization"] == "Bearer sk-vendor"
    assert after == original
    assert await _ask(gateway, "by-bare-name") == 404


async def test_no_key_follows_a_provider_to_another_address(gateway: Operated, second: Vendor) -> None:
    """An operator may point a provider elsewhere, and gets to see neither its configured nor its stored key by that."""
    await _admin(gateway, "PUT", "openai", {"base_url": second.url + "/v1"})
    await _ask(gateway, "openai/any")
    await gateway.call("PUT", "/admin/v1/provider-keys/openai", {"key": "sk-new"}, key=gateway.admin)
    await _ask(gateway, "openai/any")
    await _admin(gateway, "PUT", "openai", {"base_url": second.url + "/v1", "models": ["x"]})
    await _ask(gateway, "openai/any")
    await _admin(gateway, "PUT", "openai", {"base_url": second.url + "/moved"})
    await _ask(gateway, "openai/any")
    stored = (await gateway.call("GET", "/admin/v1/provider-keys", key=gateway.admin)).body

    sent = [each.headers.get("Authorization") for each in second.received]
    assert sent == [None, "Bearer sk-new", "Bearer sk-new", None]
    assert stored == {}


@pytest.mark.parametrize(
    ("name", "body", "status", "param"),
    [
        pytest.param("new", {}, 422, "kind", id="no kind"),
        pytest.param("new", {"kind": "openai"}, 422, "base_url", id="no address"),
        pytest.param("new", {"kind": "telepathy", "base_url": "http://127.0.0.1"}, 422, "kind", id="unknown kind"),
        pytest.param("new", {"kind": "openai", "base_url": "file:///etc/passwd"}, 422, "base_url", id="no HTTP"),
        pytest.param("new", {"kind": "openai", "base_url": "http://u:p@127.0.0.1"}, 422, "base_url", id="a password"),
        pytest.param("new", {"kind": "openai", "base_url": "http://127.0.0.1:99999"}, 422, "base_url", id="no port"),
        pytest.param("new", {"kind": "openai", "base_url": "http://127.0.0.1/?a=b"}, 422, "base_url", id="a query"),
        pytest.param("openai", {"key_source": "somebody"}, 422, "key_source", id="unknown key source"),
        pytest.param("openai", {"max_output_tokens": 0}, 422, "max_output_tokens", id="no output"),
        pytest.param("openai", {"models": [""]}, 422, "models", id="empty model"),
        pytest.param("openai", {"models": ["m"] * 1001}, 422, "models", id="too many models"),
        pytest.param("Big", {"kind": "custom"}, 422, "name", id="wrong name"),
    ],
)
async def test_a_wrong_provider_is_refused_by_field(
    gateway: Operated, name: str, body: object, status: int, param: str
) -> None:
    """422 that names the field; nothing is stored."""
    before = await _providers(gateway)
    reply = await _admin(gateway, "PUT", name, body)

    assert (reply.status, reply.body["error"]["param"]) == (status, param)
    assert await _providers(gateway) == before


async def test_what_is_not_stored_cannot_be_forgotten(gateway: Operated) -> None:
    """404, also for a provider of the configuration."""
    replies = [await _admin(gateway, "DELETE", name) for name in ("nobody", "openai")]

    assert [(reply.status, reply.body["error"]["param"]) for reply in replies] == [(404, "name"), (404, "name")]


async def test_providers_are_set_by_stub_too(gateway: Operated, second: Vendor) -> None:
    """The same service without Envoy; unset fields show what is in force."""
    metadata = (("x-api-key", gateway.admin),)
    async with gateway.stack.channel() as channel:
        stub = AdminServiceStub(channel)
        given = pb.StoredProvider(kind="openai", base_url=second.url, max_output_tokens=7)
        stored = (
            await stub.SetProvider(pb.SetProviderRequest(name="stub", provider=given), metadata=metadata)
        ).provider
        listed = (await stub.ListProviders(pb.ListProvidersRequest(), metadata=metadata)).providers
        with pytest.raises(grpc.aio.AioRpcError) as wrong:
            await stub.SetProvider(pb.SetProviderRequest(name="other"), metadata=metadata)
        await stub.DeleteProvider(pb.DeleteProviderRequest(name="stub"), metadata=metadata)

    assert wrong.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (stored.settings.max_output_tokens, stored.settings.stream_usage) == (7, True)
    assert stored in listed


async def test_another_process_follows(gateway: Operated, second: Vendor) -> None:
    """It answers for a provider that was added elsewhere, and with the key that was stored elsewhere."""
    async with (
        running(gateway.stack.settings, addresses=("127.0.0.1:0",)) as app,
        connected(f"127.0.0.1:{app.grpc_port}") as other,
    ):

        async def answers() -> bool:
            return await other.outcome(HELLO, model="far/m") is grpc.StatusCode.OK

        async def answers_with_key() -> bool:
            return await answers() and second.received[-1].headers.get("Authorization") == "Bearer sk-far"

        async def is_gone() -> bool:
            return await other.outcome(HELLO, model="far/m") is grpc.StatusCode.NOT_FOUND

        assert await is_gone()
        await _admin(gateway, "PUT", "far", {"kind": "openai", "base_url": second.url + "/v1"})
        await until(answers)
        await gateway.call("PUT", "/admin/v1/provider-keys/far", {"key": "sk-far"}, key=gateway.admin)
        await until(answers_with_key)
        await _admin(gateway, "DELETE", "far")
        await until(is_gone)


async def test_a_start_with_a_stored_provider_that_fits_no_more_says_which(gateway: Operated) -> None:
    """The row named a configured provider, and the new configuration has none of this name."""
    await _admin(gateway, "PUT", "openai", {"models": ["m"]})
    settings = gateway.stack.settings
    without = msgspec.structs.replace(settings, providers={"custom": settings.providers["custom"]})
    with pytest.raises(ConfigError, match="stored provider 'openai': kind"):
        async with running(without, addresses=("127.0.0.1:0",)):
            pass


RELOAD = "/admin/v1/configuration:reload"


async def test_an_operator_reloads_the_configuration(gateway: Operated) -> None:
    """The answer names the version that is in force then."""
    config, text = gateway.stack.config, gateway.stack.config.read_text()
    before = (await gateway.call("GET", "/version")).body["config_version"]
    try:
        config.write_text(text + "aliases: {reloaded: [custom/echo]}\n")
        reloaded = await gateway.call("POST", RELOAD, {}, key=gateway.admin)
        version = (await gateway.call("GET", "/version")).body["config_version"]
        answered = await _ask(gateway, "reloaded")
    finally:
        config.write_text(text)
        restored = await gateway.call("POST", RELOAD, {}, key=gateway.admin)

    assert reloaded.body == {"config_version": version}
    assert version != before
    assert answered == 200
    assert restored.body == {"config_version": before}


async def test_another_process_reloads_too(gateway: Operated, tmp_path: Path) -> None:
    """Its own configuration, which may be another file; what is wrong with that one does not stop it here."""
    theirs = tmp_path / "theirs.yaml"
    settings = gateway.stack.settings
    theirs.write_text("aliases: {theirs: [custom/echo]}")

    def reloaded() -> Settings:
        return msgspec.structs.replace(settings, aliases=load({}, theirs).aliases)

    async with (
        running(settings, addresses=("127.0.0.1:0",), load=reloaded) as app,
        connected(f"127.0.0.1:{app.grpc_port}") as other,
    ):

        async def answers() -> bool:
            return await other.outcome(HELLO, model="theirs") is grpc.StatusCode.OK

        before = await answers()
        here = await gateway.call("POST", RELOAD, {}, key=gateway.admin)
        await until(answers)
        theirs.write_text("aliases: nonsense")
        again = await gateway.call("POST", RELOAD, {}, key=gateway.admin)

        assert [before, here.status, again.status, await answers()] == [False, 200, 200, True]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("time: {request_s: soon}", "time.request_s", id="wrong type"),
        pytest.param("aliases: [", "is not YAML", id="no YAML"),
    ],
)
async def test_a_wrong_configuration_is_refused_by_field(gateway: Operated, text: str, named: str) -> None:
    """422 with what is wrong, and the old settings stay."""
    config, right = gateway.stack.config, gateway.stack.config.read_text()
    before = (await gateway.call("GET", "/version")).body
    try:
        config.write_text(text)
        reply = await gateway.call("POST", RELOAD, {}, key=gateway.admin)
    finally:
        config.write_text(right)

    assert (reply.status, reply.body["error"]["code"]) == (422, "invalid_configuration")
    assert named in reply.body["error"]["message"]
    assert (await gateway.call("GET", "/version")).body == before
    assert KEY not in str(reply.body)
