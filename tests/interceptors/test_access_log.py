"""One log line a call: what stands in it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import structlog

from gateway.telemetry.prompts import MAX_BYTES
from llmgateway.v1 import chat_service_pb2 as pb
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.grpc_chat import request
from tests.support.operated import CHAT, Operated, operated
from tests.support.stack import running_stack
from tests.support.vendor import Stream, Vendor, chat_stream, completion, sse

PATH = "/v1/chat/completions"
RPC = "/llmgateway.v1.OpenAIService/ChatCompletions"
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
COST = 9 * 1000 + 4 * 2000
"""In nano-dollars; cached tokens of this model cost as much as others."""


@pytest.fixture(scope="module")
async def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module; tests take `gateway`."""
    async with operated(tmp_path_factory.mktemp("lines")) as running:
        yield running


@pytest.fixture
def gateway(module_gateway: Operated) -> Operated:
    """A gateway whose vendor answers with every kind of token."""
    module_gateway.vendor.script_json(completion(usage=USAGE))
    return module_gateway


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


async def line_of(lines: list[Any], request_id: str) -> dict[str, Any]:
    """Return the one line of a call; it is written when the call has ended, which is after its last byte."""
    async with asyncio.timeout(5):
        while True:
            found = [line for line in lines if line["event"] == "request" and line["request_id"] == request_id]
            if found:
                (line,) = found
                return dict(line)
            await asyncio.sleep(0.01)


async def call(gateway: Operated, request_id: str, path: str = PATH, *, key: str, **fields: Any) -> int:
    headers = {"authorization": f"Bearer {key}", "x-request-id": request_id}
    async with gateway.http.post(path, json=CHAT | fields, headers=headers) as answer:
        await answer.read()
        return answer.status


async def test_a_line_tells_who_called_what_and_what_it_cost(gateway: Operated, lines: list[Any]) -> None:
    """Every field, with its unit in its name; the key is named and not shown."""
    key_id, secret = await gateway.new_key(project_id="team")
    assert await call(gateway, "all-fields", key=secret) == 200
    line = await line_of(lines, "all-fields")

    assert 0 < line.pop("total_ms") < 60_000
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": "all-fields",
        "trace_id": None,
        "key_id": key_id,
        "project_id": "team",
        "route": PATH,
        "rpc": RPC,
        "edge": "http",
        "status": "OK",
        "http_status": 200,
        "provider": "openai",
        "model": "priced",
        "attempts": 1,
        "prompt_tokens": 9,
        "cached_tokens": 6,
        "completion_tokens": 4,
        "reasoning_tokens": 3,
        "cost_nano_usd": COST,
        "first_token_ms": None,
    }
    assert secret not in json.dumps(lines, default=str)


async def test_other_lines_about_a_call_have_its_id(gateway: Operated, lines: list[Any]) -> None:
    """Each its own call's."""
    _, secret = await gateway.new_key()
    for request_id in ("first", "second"):
        gateway.vendor.script_json(completion(usage=USAGE))
        assert await call(gateway, request_id, key=secret, model=f"openai/{request_id}") == 200

    warnings = [line for line in lines if line["event"] == "price not known, default charged"]
    assert [(line["model"], line["request_id"]) for line in warnings] == [("first", "first"), ("second", "second")]


async def test_a_stream_s_line_has_its_first_token_and_cost(gateway: Operated, lines: list[Any]) -> None:
    """Also where the caller did not ask for the usage."""
    gateway.vendor.script(Stream([sse(*chat_stream("hello"))]))
    _, secret = await gateway.new_key()
    assert await call(gateway, "stream", key=secret, stream=True) == 200
    line = await line_of(lines, "stream")

    assert 0 < line["first_token_ms"] <= line["total_ms"]
    assert (line["cost_nano_usd"], line["project_id"]) == (5 * 1000 + 2 * 2000, None)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (PATH + "?stream_mode=", PATH),
        ("/openai/v1/chat/completions", "/{provider}/v1/chat/completions"),
        ("/provider/openai/v1/chat/completions?x=1", "/provider/{provider}/v1/chat/completions"),
    ],
)
async def test_a_route_is_the_contract_s_template(gateway: Operated, lines: list[Any], path: str, route: str) -> None:
    """So that lines can be counted by it, whatever stands in paths and queries."""
    _, secret = await gateway.new_key()
    request_id = f"route-{len(path)}"
    model = "priced" if "/openai/" in path else "openai/priced"
    assert await call(gateway, request_id, path, key=secret, model=model) == 200

    assert (await line_of(lines, request_id))["route"] == route


async def test_a_line_of_a_grpc_call_has_its_rpc_as_route(gateway: Operated, lines: list[Any]) -> None:
    """Its HTTP status is the one that the same outcome has over HTTP."""
    _, secret = await gateway.new_key()
    rpc = "/llmgateway.v1.ChatService/CreateChatCompletion"

    async def ask(request_id: str, model: str) -> dict[str, Any]:
        metadata = (("authorization", f"Bearer {secret}"), ("x-request-id", request_id))
        asked = pb.CreateChatCompletionRequest(chat=request(model).chat)
        async with gateway.stack.channel() as channel:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await ChatServiceStub(channel).CreateChatCompletion(asked, metadata=metadata)
        return await line_of(lines, request_id)

    good, bad = await ask("typed", "openai/priced"), await ask("typed-bad", "nobody/nothing")
    shown = ("route", "rpc", "edge", "status", "http_status", "cost_nano_usd")

    assert [good[name] for name in shown] == [rpc, rpc, "grpc", "OK", 200, COST]
    assert [bad[name] for name in shown] == [rpc, rpc, "grpc", "MODEL_NOT_FOUND", 404, None]


async def test_a_refused_call_has_a_line_too(gateway: Operated, lines: list[Any]) -> None:
    """Without a caller; what it would have cost is nothing."""
    assert await call(gateway, "refused", key="sk-wrong") == 401
    line = await line_of(lines, "refused")

    assert (line["status"], line["http_status"], line["key_id"]) == ("UNAUTHENTICATED", 401, "anonymous")
    assert (line["attempts"], line["provider"], line["cost_nano_usd"], line["prompt_tokens"]) == (0, None, None, None)
    assert line["message"]


@pytest.mark.parametrize("allowed", [False, True], ids=["by default", "TRACE_PROMPTS"])
async def test_prompts_are_in_the_line_only_if_allowed(
    vendor: Vendor, tmp_path: Path, lines: list[Any], allowed: bool
) -> None:
    """A long one is cut; an answer is in no line."""
    vendor.script_json(completion("canary-answer"))
    settings = {"OPENAI_API_KEY": "sk-vendor-secret", "OPENAI_BASE_URL": vendor.url + "/v1"}
    more = {"TRACE_PROMPTS": "true"} if allowed else {}
    async with running_stack(tmp_path, {**settings, **more}) as stack, stack.openai() as client:
        for text in ("canary-prompt", "canary-long" + "x" * MAX_BYTES):
            await client.chat.completions.create(
                model="openai/m",
                messages=[{"role": "user", "content": text}],
                extra_headers={"x-request-id": text[:12]},
            )
    short, long = await line_of(lines, "canary-promp"), await line_of(lines, "canary-longx")

    if allowed:
        assert json.loads(short["request_body"])["messages"][0]["content"] == "canary-prompt"
        assert len(long["request_body"]) == MAX_BYTES
        assert "canary-answer" not in json.dumps(lines, default=str)
    else:
        assert "request_body" not in short
        assert '"canary-' not in json.dumps([line | {"request_id": ""} for line in lines], default=str)
