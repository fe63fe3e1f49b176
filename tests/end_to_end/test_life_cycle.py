"""Start, reload, crash and stop, as an operator sees them: the whole gateway in processes of its own."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.gateway_process import GatewayProcess, chat, running_gateway, stream

pytestmark = pytest.mark.timeout(240)
SLOW = "providers:\n  custom: {kind: custom, models: [echo], chunk_delay_s: 0.1}\n"
WORDS = " ".join(["word"] * 30)


def session(connections: int = 0) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections), timeout=aiohttp.ClientTimeout(total=120)
    )


def is_whole(payloads: list[str]) -> bool:
    texts = [json.loads(payload)["choices"] for payload in payloads[:-1]]
    text = "".join(choice["delta"].get("content") or "" for choices in texts for choice in choices)
    return payloads[-1] == "[DONE]" and text == WORDS


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_lets_two_hundred_streams_finish(tmp_path: Path, workers: int) -> None:
    """SIGTERM in the middle of 200 streams: none is cut, new calls are refused, the gateway exits with 0."""
    async with running_gateway(tmp_path, "--workers", str(workers), yaml=SLOW) as gateway, session() as http:
        first = asyncio.Semaphore(0)
        streams = [asyncio.create_task(stream(http, gateway.url, WORDS, first.release)) for _ in range(200)]
        for _ in streams:
            await first.acquire()

        gateway.signal(signal.SIGTERM)
        await gateway.until_event("draining", workers)
        assert await _first_refusal(gateway) == (503, "1")
        results = await asyncio.gather(*streams, return_exceptions=True)

        cut = [result for result in results if isinstance(result, BaseException) or not is_whole(result)]
        assert cut == []
        assert await gateway.exit_code() == 0
        assert sum(event["event"] == "stopped" for event in gateway.events) == workers


async def _first_refusal(gateway: GatewayProcess) -> tuple[int, str | None]:
    """Return status and `Retry-After` of the first call that is not answered."""
    async with asyncio.timeout(30):
        while True:
            async with session() as http, chat(http, gateway.url, "") as response:
                if response.status != 200:
                    return response.status, response.headers.get("retry-after")


async def test_a_stream_that_outlasts_the_grace_ends_with_a_visible_error(tmp_path: Path) -> None:
    """HTTP has no status at a stream's end: the last event is the error, and `[DONE]` does not come."""
    async with (
        running_gateway(tmp_path, yaml=SLOW, environment={"SHUTDOWN_GRACE_S": "2"}) as gateway,
        session() as http,
    ):
        started = asyncio.Event()
        task = asyncio.create_task(stream(http, gateway.url, " ".join(["word"] * 200), started.set))
        await started.wait()
        gateway.signal(signal.SIGTERM)
        payloads = await task

        assert json.loads(payloads[-1])["error"]["code"] == "server_is_overloaded"
        assert "[DONE]" not in payloads
        assert await gateway.exit_code() == 0


async def test_a_health_watch_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A load balancer that watches learns NOT_SERVING, and the gateway does not wait for it to hang up."""
    async with running_gateway(tmp_path) as gateway:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            seen = [(await watch.read()).status]
            gateway.signal(signal.SIGTERM)
            seen.append((await watch.read()).status)

            assert await gateway.exit_code() == 0  # which is awaited for less than the grace
        statuses = health_pb2.HealthCheckResponse
        assert seen == [statuses.SERVING, statuses.NOT_SERVING]


@pytest.mark.parametrize("workers", [1, 2])
async def test_replacing_the_workers_cuts_no_stream_and_refuses_no_call(tmp_path: Path, workers: int) -> None:
    """SIGUSR2: new processes take over one by one, while streams run to their end and short calls go on.

    Nor does a load balancer hear that the gateway goes down, which it does not.
    """
    delay = {"SHUTDOWN_DELAY_S": "3"}
    async with (
        running_gateway(tmp_path, "--workers", str(workers), yaml=SLOW, environment=delay) as gateway,
        session() as http,
    ):
        old = set(gateway.worker_pids())
        first, over = asyncio.Semaphore(0), asyncio.Event()
        streams = [asyncio.create_task(stream(http, gateway.url, WORDS, first.release)) for _ in range(40)]
        for _ in streams:
            await first.acquire()
        callers = [asyncio.create_task(_call_until(over, http, gateway)) for _ in range(4)]
        callers.append(asyncio.create_task(_look_until(over, http, gateway)))

        gateway.signal(signal.SIGUSR2)
        await gateway.until_event("worker replaced", workers)
        over.set()
        answers = [status for caller in callers for status in await caller]

        assert all(is_whole(payloads) for payloads in await asyncio.gather(*streams))
        assert set(answers) == {200}
        assert len(answers) > len(callers)
        assert old.isdisjoint(gateway.worker_pids())


async def _call_until(over: asyncio.Event, http: aiohttp.ClientSession, gateway: GatewayProcess) -> list[int]:
    statuses = []
    while not over.is_set():
        async with chat(http, gateway.url, "hello") as response:
            await response.read()
            statuses.append(response.status)
    return statuses


async def _look_until(over: asyncio.Event, http: aiohttp.ClientSession, gateway: GatewayProcess) -> list[int]:
    statuses = []
    while not over.is_set():
        async with http.get(gateway.url + "/readyz") as response:
            statuses.append(response.status)
    return statuses


async def test_a_crashed_worker_is_replaced_while_the_other_serves(tmp_path: Path) -> None:
    """SIGKILL to one of two workers: calls go on, and soon there are two again, after a pause that grows."""
    async with running_gateway(tmp_path, "--workers", "2") as gateway, session() as http:
        for crash in (1, 2):
            os.kill(gateway.worker_pids()[-1], signal.SIGKILL)  # the newest
            await gateway.until_event("worker ended by itself", crash)
            for _ in range(10):
                async with chat(http, gateway.url, "still there?") as response:
                    assert response.status == 200
            await gateway.until_event("worker serves again", crash)

        assert len(gateway.worker_pids()) == 2
        crashes = [event for event in gateway.events if event["event"] == "worker ended by itself"]
        assert {event["how"] for event in crashes} == {"was killed by SIGKILL"}
        assert crashes[0]["restart_in_s"] < crashes[1]["restart_in_s"]


async def _get(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(url, headers={"authorization": "Bearer sk-test-0123456789"}) as response:
        body: dict[str, Any] = await response.json()
        return body


async def _model_ids(http: aiohttp.ClientSession, gateway: GatewayProcess) -> set[str]:
    return {model["id"] for model in (await _get(http, gateway.url + "/v1/models"))["data"]}


@pytest.fixture(scope="module")
async def reloaded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """A gateway that is told new settings again and again."""
    async with running_gateway(tmp_path_factory.mktemp("reloaded"), yaml=SLOW) as gateway:
        yield gateway


def count(gateway: GatewayProcess, name: str) -> int:
    return sum(event["event"] == name for event in gateway.events)


@pytest.mark.parametrize("how", ["signal", "file-change"])
async def test_new_settings_are_put_in_force_without_touching_calls(reloaded: GatewayProcess, how: str) -> None:
    """A changed file: new models answer, `/version` and metrics name the new settings, a running stream goes on."""
    gateway, reloads = reloaded, count(reloaded, "settings reloaded")
    async with session() as http:
        before = await _get(http, gateway.url + "/version")
        started = asyncio.Event()
        running = asyncio.create_task(stream(http, gateway.url, WORDS, started.set))
        await started.wait()

        gateway.config.write_text(SLOW.replace("[echo]", f"[echo, by-{how}]"))
        if how == "signal":
            gateway.signal(signal.SIGHUP)
        await gateway.until_event("settings reloaded", reloads + 1)

        after = await _get(http, gateway.url + "/version")
        assert after["config_version"] != before["config_version"]
        assert after["config_load_time"] > before["config_load_time"]
        assert f"custom/by-{how}" in await _model_ids(http, gateway)
        async with http.get(gateway.metrics_url) as response:
            page = await response.text()
        assert f'llmgateway_config_info{{worker="0",version="{after["config_version"]}"}} 1.0' in page
        done = re.search(r'llmgateway_config_reloads_total{worker="0",result="ok"} (\d+)', page)
        assert done is not None
        assert int(done[1]) > reloads
        assert is_whole(await running)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("providers: [", id="not YAML"),
        pytest.param("time: {request_s: soon}", id="wrong type"),
        pytest.param("nonsense: 1", id="unknown section"),
    ],
)
async def test_wrong_settings_leave_the_old_ones_in_force(reloaded: GatewayProcess, text: str) -> None:
    """The log names what is wrong; models, version and calls stay as they were."""
    kept = "settings kept: the new ones are wrong"
    gateway, refusals = reloaded, count(reloaded, kept)
    async with session() as http:
        before = await _get(http, gateway.url + "/version"), await _model_ids(http, gateway)
        gateway.config.write_text(text)
        gateway.signal(signal.SIGHUP)
        await gateway.until_event(kept, refusals + 1)

        assert (await _get(http, gateway.url + "/version"), await _model_ids(http, gateway)) == before
        reasons = [event["reason"] for event in gateway.events if event["event"] == kept]
        assert str(gateway.config) in reasons[-1]


async def test_settings_that_need_a_restart_are_named(reloaded: GatewayProcess) -> None:
    """A new grace is not half taken: it waits, and the log says so; the rest is put in force."""
    gateway, reloads = reloaded, count(reloaded, "settings reloaded")
    gateway.config.write_text("service: {shutdown_grace_s: 5}\ntime: {request_s: 30}\n")
    gateway.signal(signal.SIGHUP)
    await gateway.until_event("settings reloaded", reloads + 1)

    (*_, event) = (event for event in gateway.events if event["event"] == "settings reloaded")
    assert event["waiting_for_restart"] == ["service.shutdown_grace_s"]


async def test_workers_without_envoy_share_one_port(tmp_path: Path) -> None:
    """`serve --workers`: native calls reach GRPC_PORT, each worker has its socket, and one page has all metrics."""
    sockets = tmp_path / "sockets"
    arguments = ("--workers", "2", "--sockets", str(sockets))
    async with running_gateway(tmp_path, *arguments, command="serve") as gateway, session() as http:
        for address in (
            f"127.0.0.1:{gateway.grpc_port}",
            f"unix:{sockets}/worker-0.sock",
            f"unix:{sockets}/worker-1.sock",
        ):
            async with grpc.aio.insecure_channel(address) as channel:
                stub: Any = health_pb2_grpc.HealthStub(channel)
                assert (await stub.Check(health_pb2.HealthCheckRequest())).status == 1
        async with http.get(gateway.metrics_url) as response:
            page = await response.text()

    for worker in "01":
        assert f'llmgateway_in_flight{{worker="{worker}"}}' in page
        assert f'llmgateway_worker_restarts_total{{worker="{worker}"}} 0.0' in page
    assert page.count("# TYPE llmgateway_in_flight gauge") == 1
