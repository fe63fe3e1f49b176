"""Providers are checked in the background: what the health pages say follows a real vendor, up and down."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
import openai
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gateway.app import running
from gateway.config import HealthSettings, ProviderSettings, Settings, load
from gateway.errors import GatewayError
from gateway.health.history import CheckHistory
from gateway.health.provider_checks import ProviderChecks, ProviderHealth
from gateway.providers.custom import CustomProvider
from gateway.state import now_ms
from gateway.storage.database import open_database
from gateway.telemetry.metrics import Metrics
from llmgateway.v1 import system_service_pb2 as pb
from llmgateway.v1.system_service_pb2_grpc import SystemServiceStub
from tests.support.health import OFTEN, health_pages
from tests.support.ports import free_port
from tests.support.provider_calls import running_provider
from tests.support.stack import Stack, private_state, running_stack
from tests.support.vendor import Answer, Vendor, completion

MODELS = {"object": "list", "data": [{"id": "gpt-test", "object": "model", "created": 1, "owned_by": "us"}]}
KEY = "sk-canary-vendor"


def environment(vendor: Vendor, **more: str) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "AI_GATEWAY_MAX_RETRIES": "0",
        **OFTEN,
        **more,
    }


async def by_stub(stack: Stack, name: str, address: str | None = None) -> Any:
    """Return what a stub says of a provider."""
    async with stack.channel(address) as channel:
        stub: Any = SystemServiceStub(channel)
        answer = await stub.ListProviderHealth(pb.ListProviderHealthRequest(provider=name), timeout=20)
    return answer.providers[0]


async def test_a_provider_goes_down_and_comes_back(vendor: Vendor, tmp_path: Path) -> None:
    """Through Envoy and by stub, on the metrics page, and in one log line a change; without a key in any of them."""
    vendor.script_json(MODELS)
    with capture_logs() as log:
        async with running_stack(tmp_path, environment(vendor)) as stack, health_pages(stack.url) as pages:
            up = await pages.until_provider("openai", lambda found: found["state"] == "up")
            gauge = [stack.registry.get_sample_value("llmgateway_provider_up", {"provider": "openai"})]
            vendor.script(Answer(f"no, {KEY}".encode(), status=500))
            down = await pages.until_provider("openai", lambda found: found["state"] == "down")
            typed = await by_stub(stack, "openai"), await by_stub(stack, "openai", stack.envoy)
            gauge.append(stack.registry.get_sample_value("llmgateway_provider_up", {"provider": "openai"}))
            _, summary = await pages.get("/api/v1/ai/health")
            ready, health = await pages.get("/readyz"), await pages.get("/health")
            vendor.script_json(MODELS)
            back = await pages.until_provider("openai", lambda found: found["state"] == "up")
            gauge.append(stack.registry.get_sample_value("llmgateway_provider_up", {"provider": "openai"}))

    assert up["checks"]["total"] >= 1
    assert up["last_success_time"] == up["last_check_time"]
    assert down["reason"] == "PROVIDER_ERROR"
    assert down["last_success_time"] < down["last_check_time"]
    assert 0 < down["checks"]["error_rate"] < 1
    assert down["calls"] == {"total": 0, "failed": 0, "error_rate": 0}
    assert back["last_success_time"] > down["last_success_time"]
    assert "reason" not in back
    assert [(each.state, each.reason) for each in typed] == [("down", "PROVIDER_ERROR")] * 2
    assert gauge == [1, 0, 1]
    assert summary["status"] == "degraded"
    assert summary["providers"] == [{"provider": "custom", "state": "up"}, {"provider": "openai", "state": "down"}]
    assert (ready[0], health[1]["status"]) == (200, "degraded")
    assert health[1]["checks"][-1] == {"name": "providers", "status": "degraded", "detail": "openai: PROVIDER_ERROR"}
    changes = [
        (line["event"], line["was"], line["reason"])
        for line in log
        if line.get("provider") == "openai" and line["event"].startswith("provider ")
    ]
    assert changes == [
        ("provider up", "unknown", ""),
        ("provider down", "up", "PROVIDER_ERROR"),
        ("provider up", "down", ""),
    ]
    assert "canary" not in f"{log} {up} {down} {back} {summary} {health}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Answer(json.dumps(MODELS).encode()), "", id="a list"),
        pytest.param(Answer(b"{}", status=400), "", id="400"),
        pytest.param(Answer(b"{}", status=401), "PROVIDER_ERROR", id="our key refused"),
        pytest.param(Answer(b"{}", status=403), "", id="a key that may not list"),
        pytest.param(Answer(b"{}", status=404), "", id="no such list"),
        pytest.param(Answer(b"{}", status=429), "", id="rate limit"),
        pytest.param(Answer(b"{}", status=500), "PROVIDER_ERROR", id="500"),
        pytest.param(Answer(b"{}", status=503), "PROVIDER_OVERLOADED", id="503"),
        pytest.param(Answer(b"{}", status=504), "PROVIDER_TIMEOUT", id="504"),
        pytest.param(Answer(b"<html>", content_type="text/html"), "PROVIDER_ERROR", id="something else"),
        pytest.param(Answer(b"", wait_for=asyncio.Event()), "PROVIDER_TIMEOUT", id="silence"),
    ],
)
async def test_a_check_tells_what_is_wrong(vendor: Vendor, tmp_path: Path, answer: Answer, reason: str) -> None:
    """A provider that answers is up, whatever it says of the request; otherwise a closed reason says why not."""
    vendor.script(answer)
    async with running_stack(tmp_path, environment(vendor)) as stack, health_pages(stack.url) as pages:
        found = await pages.until_provider("openai", lambda found: found["state"] != "unknown")

    assert (found["state"], found.get("reason", "")) == ("down" if reason else "up", reason)
    assert vendor.received[0].path == "/v1/models"
    assert vendor.received[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_nobody_there_is_down(vendor: Vendor, tmp_path: Path) -> None:
    """A refused connection; with every provider down the gateway is down, and still ready."""
    url = f"http://127.0.0.1:{free_port()}/v1"
    yaml = "providers:\n  custom: {kind: openai, base_url: '" + url + "'}\n"
    settings = environment(vendor, OPENAI_BASE_URL=url)
    async with running_stack(tmp_path, settings, yaml) as stack, health_pages(stack.url) as pages:
        for name in ("openai", "custom"):
            found = await pages.until_provider(name, lambda found: found["state"] == "down")
            assert found["reason"] == "PROVIDER_ERROR"
            assert "last_success_time" not in found
        _, summary = await pages.get("/api/v1/ai/health")
        ready, _ = await pages.get("/readyz")

    assert (summary["status"], ready) == ("down", 200)


async def test_callers_own_keys_are_not_missed(vendor: Vendor, tmp_path: Path) -> None:
    """Where callers bring the key, a vendor that refuses a call without one is up."""
    vendor.script(Answer(b"{}", status=401))
    yaml = "providers:\n  theirs: {kind: openai, key_source: client, base_url: '" + vendor.url + "'}\n"
    async with running_stack(tmp_path, OFTEN, yaml) as stack, health_pages(stack.url) as pages:
        found = await pages.until_provider("theirs", lambda found: found["state"] != "unknown")

    assert found["state"] == "up"


async def test_real_calls_are_counted_beside_the_checks(vendor: Vendor, tmp_path: Path) -> None:
    """Each attempt; a caller's own mistake is no failure of the provider. Counted also where checks are turned off."""
    settings = environment(vendor, AI_GATEWAY_MAX_RETRIES="1", PROVIDER_CHECK_INTERVAL_S="0")
    async with running_stack(tmp_path, settings) as stack, stack.openai() as client, health_pages(stack.url) as pages:

        async def ask() -> None:
            await client.chat.completions.create(model="openai/m", messages=[{"role": "user", "content": "hi"}])

        vendor.script_json(completion())
        await ask()
        vendor.script_json({}, status=500, headers={"retry-after": "0"})
        with pytest.raises(openai.InternalServerError):
            await ask()
        vendor.script_json({}, status=400)
        with pytest.raises(openai.BadRequestError):
            await ask()
        found = await pages.provider("openai")

    assert found["calls"] == {"total": 4, "failed": 2, "error_rate": 0.5}
    assert found["state"] == "unknown"


async def test_asking_for_health_asks_no_provider(vendor: Vendor, tmp_path: Path) -> None:
    """So nobody without a key can make the gateway call a vendor; nor does anyone see an address or a key."""
    settings = environment(vendor, PROVIDER_CHECK_INTERVAL_S="0")
    async with running_stack(tmp_path, settings) as stack, health_pages(stack.url) as pages:
        seen = [
            await pages.get(path)
            for _ in range(5)
            for path in ("/health/providers", "/api/v1/ai/health", "/health", "/readyz")
        ]

    assert {status for status, _ in seen} == {200}
    assert vendor.received == []
    assert vendor.url not in str(seen)
    assert "canary" not in str(seen)


async def test_a_provider_that_does_not_exist_is_404(stack: Stack) -> None:
    """With the parameter's name."""
    async with health_pages(stack.url) as pages:
        status, page = await pages.get("/health/providers?provider=nope")

    assert (status, page["error"]["param"]) == (404, "provider")


async def test_slow_providers_hold_up_neither_the_start_nor_each_other(vendor: Vendor, tmp_path: Path) -> None:
    """Twenty silent vendors: calls are served at once, and one that answers is found up."""
    vendor.script(Answer(b"", wait_for=asyncio.Event()))
    rows = [f"  silent-{number}: {{kind: openai, base_url: '{vendor.url}'}}" for number in range(20)]
    yaml = "\n".join(["providers:", *rows])
    settings = {**OFTEN, "PROVIDER_CHECK_TIMEOUT_S": "0.2"}
    async with (
        running_stack(tmp_path, settings, yaml) as stack,
        stack.openai() as client,
        health_pages(stack.url) as pages,
    ):
        answer = await client.chat.completions.create(model="custom/echo", messages=[{"role": "user", "content": "hi"}])
        await pages.until_provider("custom", lambda found: found["state"] == "up")
        last = await pages.until_provider("silent-19", lambda found: found["state"] == "down")

    assert answer.choices[0].message.content == "hi"
    assert last["reason"] == "PROVIDER_TIMEOUT"


def settings_of(folder: Path, vendors: Mapping[str, str]) -> Settings:
    rows = [f"  {name}: {{kind: openai, base_url: '{url}', api_key: {KEY}}}" for name, url in vendors.items()]
    config = folder / "gateway.yaml"
    config.write_text("\n".join(["providers:", *rows]))
    return load({**private_state(folder), **OFTEN, "REQUIRE_AUTH": "false"}, config)


async def test_checks_follow_a_reload(vendor: Vendor, tmp_path: Path) -> None:
    """New providers are checked, removed ones no more; what is known of the others stays."""
    vendor.script_json(MODELS)
    first = settings_of(tmp_path, {"kept": vendor.url, "removed": vendor.url + "/removed"})
    second = settings_of(tmp_path, {"kept": vendor.url, "new": vendor.url + "/new"})
    async with (
        running(first, addresses=("127.0.0.1:0",)) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc_port}") as channel,
    ):
        stub: Any = SystemServiceStub(channel)

        async def known() -> dict[str, Any]:
            answer = await stub.ListProviderHealth(pb.ListProviderHealthRequest(), timeout=20)
            return {each.provider: each for each in answer.providers}

        async def until(fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            async with asyncio.timeout(20):
                while True:
                    if fits(found := await known()):
                        return found
                    await asyncio.sleep(0.02)

        before = await until(lambda found: all(each.state == "up" for each in found.values()))
        await app.reload(second)
        at_once = await known()
        await until(lambda found: bool(found["new"].checks.total >= 2))
        seen = len(vendor.received)
        await until(lambda found: bool(found["new"].checks.total >= 4))
        asked = {request.path for request in vendor.received[seen:]}

    assert set(before) == {"custom", "kept", "removed"}
    assert set(at_once) == {"custom", "kept", "new"}
    assert at_once["kept"].state == "up"
    assert at_once["kept"].checks.total >= before["kept"].checks.total
    assert asked == {"/models", "/new/models"}


@pytest.mark.parametrize(
    ("kind", "path", "answer", "header"),
    [
        pytest.param("openai", "/models", MODELS, "Authorization", id="openai"),
        pytest.param("cerebras", "/v1/models", MODELS, "Authorization", id="cerebras"),
        pytest.param("gemini", "/v1beta/models?pageSize=1", {"models": []}, "x-goog-api-key", id="gemini"),
        pytest.param("ollama", "/api/version", {"version": "0.13.0"}, "authorization", id="ollama"),
    ],
)
async def test_each_kind_has_a_cheap_check(vendor: Vendor, kind: str, path: str, answer: Any, header: str) -> None:
    """One request, with the configured key."""
    vendor.script_json(answer)
    async with running_provider(kind, vendor.url, api_key=KEY) as provider:
        await provider.check()

    assert [request.path for request in vendor.received] == [path]
    assert KEY in {name.lower(): value for name, value in vendor.received[0].headers.items()}[header.lower()]


@pytest.mark.parametrize("kind", ["openai", "cerebras", "gemini", "ollama"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Answer(b"<html>", content_type="text/html"), "PROVIDER_ERROR", id="something else"),
        pytest.param(Answer(b"{}", status=503), "PROVIDER_OVERLOADED", id="503"),
    ],
)
async def test_each_kind_s_check_can_fail(vendor: Vendor, kind: str, answer: Answer, reason: str) -> None:
    """By the error table's rows, as calls do."""
    vendor.script(answer)
    async with running_provider(kind, vendor.url) as provider:
        with pytest.raises(GatewayError) as caught:
            await provider.check()

    assert caught.value.reason == reason


class BrokenProvider(CustomProvider):
    """One whose check has a bug, the first two times."""

    asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.asked <= 2:
            raise ValueError(f"header with {KEY}")


async def test_a_check_with_a_bug_does_not_end_the_checks(tmp_path: Path) -> None:
    """It is a failure like others, and its text, which may quote a key, is not logged."""
    provider = BrokenProvider("broken")
    async with open_database(f"sqlite:///{tmp_path}/gateway.db") as database:
        history, metrics = CheckHistory(database, now_ms, 7), Metrics(CollectorRegistry())
        checks = ProviderChecks(
            metrics, history, clock=now_ms, new_id=lambda _now: str(provider.asked), owner="process"
        )
        seen: list[ProviderHealth] = []
        with capture_logs() as log:
            await checks.follow(
                {"broken": (provider, ProviderSettings(kind="custom"))}, HealthSettings(check_interval_s=0.01)
            )
            async with asyncio.timeout(20):
                while not seen or seen[-1].state != "up":
                    seen += checks.health()
                    await asyncio.sleep(0.001)
            await checks.aclose()

    assert {each.reason for each in seen if each.state == "down"} == {"INTERNAL"}
    assert [line["event"] for line in log].count("check of provider broke") == 2
    assert "canary" not in str(log)
