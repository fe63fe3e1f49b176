"""What callers see of their use: usage, limits and estimates, on both edges, and beside each answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format

from llmgateway.v1.chat_service_pb2 import CreateChatCompletionRequest, StreamChatCompletionRequest
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from llmgateway.v1.usage_service_pb2 import EstimateCostRequest, GetQuotaRequest, GetUsageRequest
from llmgateway.v1.usage_service_pb2_grpc import UsageServiceStub
from tests.support.ledger_records import rows
from tests.support.operated import CHAT, Operated, operated
from tests.support.vendor import Stream, chat_stream, completion, sse

TYPED_CHAT = {
    "model": "openai/priced",
    "messages": [{"role": "ROLE_USER", "content": [{"text": "hi"}]}],
    "max_completion_tokens": 5,
}
COST = 5 * 1000 + 2 * 2000
"""What the vendor's usual answer costs, in nano-dollars."""
ANY_MINUTE = {"strategy": "sliding"}
"""Counts a minute in a way that a test may begin at 11:59:59."""


@pytest.fixture(scope="module")
async def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module; tests take `gateway`."""
    async with operated(tmp_path_factory.mktemp("usage")) as running:
        yield running


@pytest.fixture
def gateway(module_gateway: Operated) -> Operated:
    """A gateway whose vendor answers with 5 + 2 tokens."""
    module_gateway.vendor.script_json(completion())
    module_gateway.vendor.received.clear()
    return module_gateway


def as_caller(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),)


def bearer(secret: str) -> dict[str, str]:
    return dict(as_caller(secret))


async def test_a_caller_sees_its_own_usage_at_once(gateway: Operated) -> None:
    """By day, with totals, the same by stub and by JSON; nobody else's calls are in it."""
    _, secret = await gateway.new_key()
    for key in (secret, secret, gateway.admin):
        assert (await gateway.call("POST", "/v1/chat/completions", CHAT, key=key)).status == 200

    by_json = await gateway.call("GET", "/api/v1/ai/usage", key=secret)
    async with gateway.stack.channel() as channel:
        by_stub = await UsageServiceStub(channel).GetUsage(GetUsageRequest(), metadata=as_caller(secret))

    assert json_format.MessageToDict(by_stub, preserving_proto_field_name=True) == by_json.body
    assert len(by_stub.groups) == 1
    totals = by_stub.totals
    assert (totals.requests, totals.failed_requests, totals.prompt_tokens, totals.completion_tokens) == (2, 0, 10, 4)
    assert (totals.cost_nano_usd, totals.cost_usd) == (2 * COST, "0.000018")
    assert by_json.body["totals"]["failed_requests"] == "0"


async def test_usage_is_grouped_and_filtered(gateway: Operated) -> None:
    """By any of the dimensions; a failed call is counted apart and costs nothing."""
    key_id, secret = await gateway.new_key(project_id="team")
    await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    await gateway.call("POST", "/v1/chat/completions", CHAT | {"model": "custom/echo"}, key=secret)
    gateway.vendor.script_json({"error": {"message": "down"}}, status=500)
    assert (await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)).status == 502

    path = "/api/v1/ai/usage?group_by=model&group_by=project&group_by=provider&group_by=key"
    every = (await gateway.call("GET", path, key=secret)).body
    filtered = (await gateway.call("GET", path + "&provider=custom", key=secret)).body
    elsewhere = (await gateway.call("GET", path + "&project_id=other", key=secret)).body

    groups = [
        (group["key_id"], group["project_id"], group["provider"], group["model"], group["totals"]["requests"])
        for group in every["groups"]
    ]
    assert groups == [(key_id, "team", "custom", "echo", "1"), (key_id, "team", "openai", "priced", "1")]
    assert [group["totals"]["failed_requests"] for group in every["groups"]] == ["0", "1"]
    assert every["totals"]["cost_nano_usd"] == str(COST)
    assert filtered["groups"] == every["groups"][:1]
    assert "groups" not in elsewhere


async def test_an_operator_sees_others_and_a_caller_does_not(gateway: Operated) -> None:
    """Another key's usage and limits need the admin right; `-` means all keys."""
    key_id, secret = await gateway.new_key(limits={"requests_per_day": 7, "requests_per_minute": 3, **ANY_MINUTE})
    _, other = await gateway.new_key()
    await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    paths = [f"/api/v1/ai/{what}?key_id={key_id}" for what in ("usage", "quota", "ratelimit")]

    refused = [await gateway.call("GET", path, key=other) for path in [*paths, "/api/v1/ai/usage?key_id=-"]]
    seen = [(await gateway.call("GET", path, key=gateway.admin)).body for path in paths]
    every = (await gateway.call("GET", "/api/v1/ai/usage?key_id=-&group_by=key", key=gateway.admin)).body
    unknown = await gateway.call("GET", "/api/v1/ai/quota?key_id=key_none", key=gateway.admin)

    assert [reply.status for reply in refused] == [403, 403, 403, 403]
    assert seen[0]["totals"]["requests"] == "1"
    assert [(limit["metric"], limit["window"], limit["used"]) for limit in seen[1]["limits"]] == [
        ("requests", "day", "1")
    ]
    assert [(limit["window"], limit["limit"], limit["remaining"]) for limit in seen[2]["limits"]] == [
        ("minute", "3", "2")
    ]
    assert key_id in {group["key_id"] for group in every["groups"]}
    assert unknown.status == 404


@pytest.mark.parametrize(
    ("query", "param"),
    [
        pytest.param("start_day=yesterday", "start_day", id="no day"),
        pytest.param("end_day=2026-02-30", "end_day", id="no such day"),
        pytest.param("start_day=2026-02-02&end_day=2026-02-01", "start_day", id="start after end"),
        pytest.param("start_day=2020-01-01&end_day=2026-02-01", "start_day", id="too long"),
        pytest.param("group_by=colour", "group_by", id="unknown group"),
    ],
)
async def test_a_wrong_question_names_its_field(gateway: Operated, query: str, param: str) -> None:
    """422 with `param`."""
    reply = await gateway.call("GET", f"/api/v1/ai/usage?{query}")

    assert (reply.status, reply.body["error"]["param"]) == (422, param)


async def test_quota_and_rate_limit_tell_what_is_left(gateway: Operated) -> None:
    """Each limit of the key and its project once, money as nano-dollars; by stub as well."""
    await gateway.call(
        "PUT", "/admin/v1/projects/crew/limits", {"spend_nano_usd_per_month": "2000000000"}, key=gateway.admin
    )
    key_id, secret = await gateway.new_key(
        project_id="crew",
        limits={
            "tokens_per_minute": 1000,
            "requests_per_month": 50,
            "spend_nano_usd_per_month": "1000000000",
            **ANY_MINUTE,
        },
    )
    await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)

    rates = (await gateway.call("GET", "/api/v1/ai/ratelimit", key=secret)).body["limits"]
    async with gateway.stack.channel() as channel:
        quota = await UsageServiceStub(channel).GetQuota(GetQuotaRequest(), metadata=as_caller(secret))

    assert [(limit["scope_id"], limit["metric"], limit["used"], limit["remaining"]) for limit in rates] == [
        (key_id, "tokens", "14", "986")
    ]
    assert {(limit.scope, limit.metric, limit.window, limit.used, limit.remaining) for limit in quota.limits} == {
        ("key", "requests", "month", 2, 48),
        ("key", "spend_nano", "month", 2 * COST, 10**9 - 2 * COST),
        ("project", "spend_nano", "month", 2 * COST, 2 * 10**9 - 2 * COST),
    }
    assert all(limit.HasField("reset_time") for limit in quota.limits)


async def test_an_estimate_is_what_is_reserved_and_at_most_charged(gateway: Operated) -> None:
    """The same by stub and by JSON, without asking a provider; a call that uses all of it is charged just that."""
    _, secret = await gateway.new_key()
    by_json = (await gateway.call("POST", "/api/v1/ai/estimate", CHAT, key=secret)).body
    typed = EstimateCostRequest()
    json_format.ParseDict({"chat": TYPED_CHAT}, typed)
    async with gateway.stack.channel() as channel:
        by_stub = await UsageServiceStub(channel).EstimateCost(typed, metadata=as_caller(secret))
    assert gateway.vendor.received == []
    (estimate,) = by_json["estimates"]
    prompt, most = int(estimate["prompt_tokens"]), int(estimate["max_completion_tokens"])
    gateway.vendor.script_json(
        completion(usage={"prompt_tokens": prompt, "completion_tokens": most, "total_tokens": prompt + most})
    )
    answer = await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    usage = (await gateway.call("GET", "/api/v1/ai/usage", key=secret)).body
    async with gateway.database() as database:
        row = max((await rows(database)).values(), key=lambda call: (call.started_at, call.id))

    assert (estimate["provider"], estimate["model"], most) == ("openai", "priced", 5)
    assert by_stub.estimates[0].max_completion_tokens == most
    assert int(estimate["max_cost_nano_usd"]) == prompt * 1000 + most * 2000 == row.reserved_nano == row.cost_nano
    assert usage["totals"]["cost_nano_usd"] == estimate["max_cost_nano_usd"]
    assert answer.headers["x-cost-usd"] == estimate["max_cost_usd"]


async def test_an_embeddings_request_has_an_estimate(gateway: Operated) -> None:
    """A request with `input` is for embeddings: there is no answer to pay for."""
    body = {"model": "openai/priced", "input": ["one", "two"]}
    (estimate,) = (await gateway.call("POST", "/api/v1/ai/estimate", body)).body["estimates"]

    assert estimate["max_completion_tokens"] == "0"
    assert (
        estimate["max_cost_nano_usd"] == estimate["prompt_cost_nano_usd"] == str(int(estimate["prompt_tokens"]) * 1000)
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"{", 400, "invalid_json", id="no JSON"),
        pytest.param(
            b'{"messages": [{"role": "user", "content": "hi"}]}', 422, "missing_required_parameter", id="no model"
        ),
        pytest.param(json.dumps(CHAT | {"model": "none/x"}).encode(), 404, "model_not_found", id="unknown model"),
        pytest.param(json.dumps(CHAT | {"model": "custom/echo"}).encode(), 403, "permission_denied", id="out of scope"),
    ],
)
async def test_an_estimate_fails_as_the_call_would(gateway: Operated, body: bytes, status: int, code: str) -> None:
    """The request is checked as if it were sent."""
    _, secret = await gateway.new_key(providers=["openai"])
    async with gateway.http.post("/api/v1/ai/estimate", data=body, headers=bearer(secret)) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["code"]) == (status, code)


async def test_an_empty_estimate_is_refused(gateway: Operated) -> None:
    """INVALID_ARGUMENT for a request without a request."""
    async with gateway.stack.channel() as channel:
        stub = UsageServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await stub.EstimateCost(EstimateCostRequest(), metadata=as_caller(gateway.admin))
        with pytest.raises(grpc.aio.AioRpcError) as empty:
            await stub.EstimateCost(EstimateCostRequest(body=HttpBody()), metadata=as_caller(gateway.admin))

    assert missing.value.code() == empty.value.code() == grpc.StatusCode.INVALID_ARGUMENT


LIMITS = {"requests_per_minute": 10, "tokens_per_minute": 1000, **ANY_MINUTE}
LIMIT_HEADERS = {
    f"x-ratelimit-{what}-{metric}" for what in ("limit", "remaining", "reset") for metric in ("requests", "tokens")
}


def told(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in dict(headers).items() if name.lower() in LIMIT_HEADERS}


async def test_answers_carry_limits_and_cost(gateway: Operated) -> None:
    """As HTTP headers of a whole answer; a stream's headers come before its cost is known."""
    _, secret = await gateway.new_key(limits=LIMITS)
    whole = await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    first, *rest = chat_stream("a", "b")
    seen = asyncio.Event()
    gateway.vendor.script(Stream([sse(first, done=False), seen, sse(*rest)]))
    async with gateway.http.post(
        "/v1/chat/completions", json=CHAT | {"stream": True}, headers=bearer(secret)
    ) as stream:
        seen.set()
        body = await stream.text()
    vectors = await gateway.call("POST", "/v1/embeddings", {"model": "custom/embed", "input": "x"}, key=secret)

    assert told(whole.headers).keys() == LIMIT_HEADERS
    assert whole.headers["x-ratelimit-limit-requests"] == "10"
    assert whole.headers["x-ratelimit-remaining-requests"] == "9"
    assert whole.headers["x-cost-usd"] == "0.000009"
    assert (whole.headers["x-prompt-tokens"], whole.headers["x-completion-tokens"]) == ("5", "2")
    assert stream.headers["x-ratelimit-remaining-requests"] == "8"
    assert "x-cost-usd" not in stream.headers
    assert body.endswith("data: [DONE]\n\n")
    assert (vectors.headers["x-ratelimit-remaining-requests"], vectors.headers["x-cost-usd"]) == ("7", "0.00")


async def test_typed_answers_carry_limits_and_cost(gateway: Operated) -> None:
    """As trailing metadata beside the request id, of streams too."""
    _, secret = await gateway.new_key(limits=LIMITS)
    whole, parts = CreateChatCompletionRequest(), StreamChatCompletionRequest()
    json_format.ParseDict({"chat": TYPED_CHAT}, whole)
    json_format.ParseDict({"chat": TYPED_CHAT}, parts)
    async with gateway.stack.channel() as channel:
        stub = ChatServiceStub(channel)
        unary = stub.CreateChatCompletion(whole, metadata=as_caller(secret))
        await unary
        gateway.vendor.script(Stream([sse(*chat_stream("a", "b"))]))
        stream = stub.StreamChatCompletion(parts, metadata=as_caller(secret))
        assert [part async for part in stream]
        for call in (unary, stream):
            trailers = dict(await call.trailing_metadata())
            assert told(trailers).keys() == LIMIT_HEADERS
            assert (trailers["x-cost-usd"], trailers["x-prompt-tokens"]) == ("0.000009", "5")
            assert trailers["x-completion-tokens"] == "2"
            assert trailers["x-request-id"]


async def test_a_key_without_limits_has_no_limit_headers(gateway: Operated) -> None:
    """Nothing is said about limits that do not exist, nor about cost where nothing was called."""
    _, secret = await gateway.new_key()
    answer = await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    listed = await gateway.call("GET", "/v1/models", key=secret)

    assert told(answer.headers) == {}
    assert "x-cost-usd" in answer.headers
    assert "x-cost-usd" not in listed.headers


async def test_a_refusal_tells_the_limit_it_met(gateway: Operated) -> None:
    """429 with `x-ratelimit-*` and `Retry-After`, on both edges; an error is never hidden behind headers sent early."""
    _, secret = await gateway.new_key(limits={"requests_per_minute": 1, **ANY_MINUTE})
    await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    refused = await gateway.call("POST", "/v1/chat/completions", CHAT | {"stream": True}, key=secret)
    request = CreateChatCompletionRequest()
    json_format.ParseDict({"chat": TYPED_CHAT}, request)
    async with gateway.stack.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ChatServiceStub(channel).CreateChatCompletion(request, metadata=as_caller(secret))

    assert refused.status == 429
    assert refused.headers["x-ratelimit-limit-requests"] == "1"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert dict(caught.value.trailing_metadata() or ())["x-ratelimit-remaining-requests"] == "0"


async def test_a_provider_s_error_keeps_its_status(gateway: Operated) -> None:
    """A call that was let in, with limits to tell, still fails with its own status."""
    _, secret = await gateway.new_key(limits=LIMITS)
    gateway.vendor.script_json({"error": {"message": "down"}}, status=500)
    whole = await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    streamed = await gateway.call("POST", "/v1/chat/completions", CHAT | {"stream": True}, key=secret)

    assert [reply.status for reply in (whole, streamed)] == [502, 502]
    assert streamed.body["error"]["code"] == "provider_error"
