"""A call that outlasts a worker's grace: ended once, told clearly, never run again, paid once."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from gateway.storage.database import open_database
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.grpc_chat import request
from tests.support.ledger_records import rows
from tests.support.stack import AUTH, private_state
from tests.support.vendor import Answer, Vendor, completion

pytestmark = pytest.mark.timeout(180)
LIMIT_S = 45
GRACE_S = 2
BODY = {"model": "openai/gpt-test", "messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 50}


@pytest.fixture
async def draining(vendor: Vendor, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """Two workers whose calls get two seconds to end, before a vendor that is in no hurry."""
    vendor.script(Answer(json.dumps(completion()).encode(), wait_for=asyncio.Event()))
    environment = {
        "OPENAI_API_KEY": "sk-vendor",
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "SHUTDOWN_GRACE_S": str(GRACE_S),
    }
    async with running_gateway(tmp_path, "--workers", "2", environment=environment) as gateway:
        yield gateway


async def by_json(gateway: GatewayProcess) -> tuple[int, str | None, str]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http,
        http.post(gateway.url + "/v1/chat/completions", json=BODY, headers=dict(AUTH)) as answer,
    ):
        return answer.status, answer.headers.get("retry-after"), (await answer.json())["error"]["code"]


async def by_stub(gateway: GatewayProcess) -> tuple[grpc.StatusCode, str]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        stub: Any = ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(request("openai/gpt-test"), metadata=AUTH, timeout=LIMIT_S)
        return caught.value.code(), dict(caught.value.trailing_metadata() or ())["retry-after"]


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        pytest.param(by_json, (503, "1", "server_is_overloaded"), id="JSON"),
        pytest.param(by_stub, (grpc.StatusCode.UNAVAILABLE, "1"), id="stub"),
    ],
)
@pytest.mark.parametrize("replaced", [False, True], ids=["", "while workers are replaced"])
async def test_a_call_that_outlasts_the_grace_is_refused_once(
    draining: GatewayProcess, vendor: Vendor, tmp_path: Path, *, replaced: bool, ask: Any, answer: Any
) -> None:
    """Its caller may try again; Envoy does not by itself, so the vendor sees one call and the ledger has one, settled.

    The vendor may have generated all of it, so the caller pays the bound.
    """
    asking = asyncio.create_task(ask(draining))
    async with asyncio.timeout(LIMIT_S):
        await vendor.arrived.wait()
        if replaced:
            draining.signal(signal.SIGUSR2)
            await draining.until_event("handing over", 2)
        draining.signal(signal.SIGTERM)
        assert await asking == answer
    assert await draining.exit_code() == 0

    assert len(vendor.received) == 1
    async with open_database(private_state(tmp_path)["DATABASE_URL"]) as database:
        (call,) = (await rows(database)).values()
    assert (call.state, call.outcome, call.usage_source) == ("settled", "CANCELLED", "bound")


@pytest.mark.parametrize("crash", [False, True], ids=["", "and the new workers crash"])
async def test_a_call_outlasts_the_grace_when_its_worker_is_replaced(
    draining: GatewayProcess, vendor: Vendor, *, crash: bool
) -> None:
    """It ends when it would have: another process is there for new calls, so there is no hurry."""
    answered = asyncio.Event()
    vendor.script(Answer(json.dumps(completion("hello")).encode(), wait_for=answered))
    old = set(draining.worker_pids())
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http,
        asyncio.timeout(LIMIT_S),
    ):
        asking = asyncio.create_task(whole_answer(http, draining))
        await vendor.arrived.wait()
        draining.signal(signal.SIGUSR2)
        await draining.until_event("handing over", 2)
        if crash:
            for new in set(draining.worker_pids()) - old:
                os.kill(new, signal.SIGKILL)
            await draining.until_event("worker serves again", 2)
        await asyncio.sleep(2 * GRACE_S)  # in which it would have been cut
        assert not asking.done()
        answered.set()

        assert await asking == (200, "hello")
    await draining.until_event("worker replaced", 2)
    assert old.isdisjoint(draining.worker_pids())


async def whole_answer(http: aiohttp.ClientSession, gateway: GatewayProcess) -> tuple[int, str]:
    async with http.post(gateway.url + "/v1/chat/completions", json=BODY, headers=dict(AUTH)) as answer:
        return answer.status, (await answer.json())["choices"][0]["message"]["content"]
