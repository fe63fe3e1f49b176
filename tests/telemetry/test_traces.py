"""Traces as a collector receives them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from openai import APIStatusError

from llmgateway.v1.chat_service_pb2 import CreateChatCompletionRequest
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.collector import Collector, SpanSeen, running_collector
from tests.support.grpc_chat import request
from tests.support.operated import CHAT, operated
from tests.support.ports import free_port
from tests.support.stack import AUTH, Stack, running_stack
from tests.support.vendor import USAGE, Stream, Vendor, chat_stream, completion, sse

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HELLO: Any = [{"role": "user", "content": "canary-prompt"}]
SERVER = "llmgateway.v1.OpenAIService/ChatCompletions"


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with running_collector() as running:
        yield running


def environment(vendor: Vendor, endpoint: str, **more: str) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "sk-vendor-secret",
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "AI_GATEWAY_MAX_RETRIES": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        **more,
    }


async def ask(stack: Stack, **fields: Any) -> Any:
    async with stack.openai() as client:
        return await client.chat.completions.create(
            **{"model": "openai/gpt-test", "messages": HELLO, "temperature": 0.5, **fields},
            extra_headers={"traceparent": CALLER},
        )


def text_of(spans: list[SpanSeen]) -> str:
    return json.dumps([span.attributes for span in spans], default=str)


async def test_a_call_is_one_trace_from_the_caller_to_the_provider(
    vendor: Vendor, collector: Collector, tmp_path: Path
) -> None:
    """The caller's trace goes on: server span, attempt under it, and the provider is told the attempt's span."""
    vendor.script_json(completion())
    async with running_stack(tmp_path, environment(vendor, collector.url)) as stack:
        await ask(stack)
        server, attempt = await collector.wait_for(2)

    assert (server.name, server.kind) == (SERVER, 2)
    assert (server.trace_id, server.parent_id) == (CALLER[3:35], CALLER[36:52])
    assert (attempt.name, attempt.kind) == ("chat gpt-test", 3)
    assert (attempt.trace_id, attempt.parent_id) == (server.trace_id, server.span_id)
    assert vendor.received[0].headers["traceparent"] == f"00-{attempt.trace_id}-{attempt.span_id}-01"
    assert not server.error
    assert not attempt.error
    assert attempt.attributes["openinference.span.kind"] == "LLM"
    assert attempt.attributes["llm.model_name"] == "gpt-test"
    assert attempt.attributes["llm.provider"] == "openai"
    assert json.loads(attempt.attributes["llm.invocation_parameters"]) == {"temperature": 0.5}
    assert attempt.attributes["llm.token_count.prompt"] == 5
    assert attempt.attributes["llm.token_count.completion"] == 2
    assert attempt.attributes["llm.token_count.total"] == 7
    assert server.attributes["llmgateway.key_id"].startswith("key-")


async def test_each_attempt_has_a_span_and_a_failed_one_says_why(
    vendor: Vendor, collector: Collector, tmp_path: Path
) -> None:
    """A 503 and then an answer: two children, the first one an error."""
    vendor.script_json({"error": {"message": "busy"}}, status=503, headers={"retry-after": "0"})
    vendor.script(*vendor._script, Stream([sse(*chat_stream("hello"))]))
    async with running_stack(tmp_path, environment(vendor, collector.url)) as stack:
        stream = await ask(stack, stream=True)
        async for _ in stream:
            pass
        server, first, second = await collector.wait_for(3)

    assert [server.error, first.error, second.error] == [False, True, False]
    assert first.attributes["error.type"] == "PROVIDER_OVERLOADED"
    assert first.parent_id == second.parent_id == server.span_id
    assert server.attributes["llmgateway.attempts"] == 2
    assert second.attributes["llm.token_count.completion"] == USAGE["completion_tokens"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(400, (False, "PROVIDER_REJECTED"), id="caller"),
        pytest.param(500, (True, "PROVIDER_ERROR"), id="server"),
    ],
)
async def test_only_what_is_not_the_callers_fault_is_an_error_of_the_server(
    vendor: Vendor, collector: Collector, tmp_path: Path, status: int, expected: tuple[bool, str]
) -> None:
    """Both spans have the reason; a caller's mistake does not raise the server's error rate, nor is a prompt quoted."""
    vendor.script_json({"error": {"message": "canary-prompt is bad"}}, status=status)
    async with running_stack(tmp_path, environment(vendor, collector.url, AI_GATEWAY_MAX_RETRIES="0")) as stack:
        with pytest.raises(APIStatusError):
            await ask(stack)
        server, attempt = await collector.wait_for(2)

    assert (server.error, server.attributes["error.type"]) == expected
    assert (attempt.error, attempt.attributes["error.type"]) == (True, expected[1])
    assert "canary" not in text_of(collector.spans)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("allowed", [False, True], ids=["by default", "TRACE_PROMPTS"])
async def test_prompts_and_answers_are_there_only_if_allowed(
    vendor: Vendor, collector: Collector, tmp_path: Path, streaming: bool, allowed: bool
) -> None:
    """Neither text is on any span unless the operator says so."""
    if streaming:
        vendor.script(Stream([sse(*chat_stream("canary", "-answer"))]))
    else:
        vendor.script_json(completion("canary-answer"))
    more = {"TRACE_PROMPTS": "true"} if allowed else {}
    async with running_stack(tmp_path, environment(vendor, collector.url, **more)) as stack:
        answer = await ask(stack, stream=streaming)
        if streaming:
            async for _ in answer:
                pass
        _, attempt = await collector.wait_for(2)

    if allowed:
        assert attempt.attributes["llm.input_messages.0.message.role"] == "user"
        assert attempt.attributes["llm.input_messages.0.message.content"] == "canary-prompt"
        assert attempt.attributes["llm.output_messages.0.message.role"] == "assistant"
        assert attempt.attributes["llm.output_messages.0.message.content"] == "canary-answer"
    else:
        assert "canary" not in text_of(collector.spans)


@pytest.mark.parametrize("allowed", [False, True], ids=["by default", "TRACE_PROMPTS"])
@pytest.mark.parametrize("typed", [False, True], ids=["json", "stub"])
async def test_a_caller_tells_of_its_prompt_template(
    vendor: Vendor, collector: Collector, tmp_path: Path, allowed: bool, typed: bool
) -> None:
    """In the request's metadata. Its version is a label; template and variables are prompt, so they need leave."""
    vendor.script_json(completion())
    told = {
        "prompt_template": "Tell {who} of canary",
        "prompt_template_variables": '{"who": "canary"}',
        "prompt_template_version": "v7",
        "ticket": "canary-42",
    }
    more = {"TRACE_PROMPTS": "true"} if allowed else {}
    async with running_stack(tmp_path, environment(vendor, collector.url, **more)) as stack:
        if typed:
            chat = request("openai/gpt-test").chat
            chat.metadata.update(told)
            async with stack.channel() as channel:
                await ChatServiceStub(channel).CreateChatCompletion(
                    CreateChatCompletionRequest(chat=chat), metadata=AUTH
                )
        else:
            await ask(stack, metadata=told)
        _, attempt = await collector.wait_for(2)

    shown = {
        name.rpartition(".")[2]: value for name, value in attempt.attributes.items() if ".prompt_template." in name
    }
    template = {"template": told["prompt_template"], "variables": told["prompt_template_variables"]}
    assert shown == {"version": "v7", **(template if allowed else {})}
    assert allowed or "canary" not in text_of(collector.spans)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
async def test_spans_tell_whose_project_and_what_it_cost(collector: Collector, tmp_path: Path, streaming: bool) -> None:
    """The attempt in dollars, which is how Phoenix reads it; the call in nano-dollars, and by which route it came."""
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async with operated(tmp_path, tracing) as gateway:
        gateway.vendor.script(Stream([sse(*chat_stream("hello"))]))
        if not streaming:
            gateway.vendor.script_json(completion())
        _, secret = await gateway.new_key(project_id="team")
        body = CHAT | {"stream": streaming}
        assert (await gateway.call("POST", "/openai/v1/chat/completions", body, key=secret)).status == 200
        await collector.wait_for(3)
    made, server, attempt = (
        collector.one(name).attributes for name in ("llmgateway.v1.AdminService/CreateKey", SERVER, "chat priced")
    )

    assert "llmgateway.project_id" not in made
    assert server["llmgateway.project_id"] == attempt["llmgateway.project_id"] == "team"
    assert server["llmgateway.cost_nano_usd"] == 5 * 1000 + 2 * 2000
    assert attempt["llm.cost.total"] == pytest.approx(9e-6)
    assert server["http.route"] == "/{provider}/v1/chat/completions"


async def test_a_model_s_name_is_bounded_wherever_it_is_shown(
    vendor: Vendor, collector: Collector, tmp_path: Path
) -> None:
    """It is the caller's text: neither a line, nor a label, nor a span grows with it."""
    vendor.script_json(completion())
    with structlog.testing.capture_logs() as lines:
        async with running_stack(tmp_path, environment(vendor, collector.url)) as stack:
            await ask(stack, model="openai/" + "m" * 500)
            server, attempt = await collector.wait_for(2)
            labels = [
                sample.labels["model"]
                for metric in stack.registry.collect()
                for sample in metric.samples
                if "model" in sample.labels
            ]

    short = "m" * 200
    assert [line["model"] for line in lines if line["event"] == "request"] == [short]
    assert {*labels} == {short}
    assert (attempt.name, attempt.attributes["llm.model_name"]) == (f"chat {short}", short)
    assert server.attributes["llmgateway.model"] == short


@pytest.mark.parametrize("switch", ["false", "true"])
async def test_genai_names_are_behind_a_switch(
    vendor: Vendor, collector: Collector, tmp_path: Path, switch: str
) -> None:
    """OpenTelemetry's own names stand beside OpenInference's when asked for."""
    usage = USAGE | {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    vendor.script_json(completion(usage=usage))
    async with running_stack(tmp_path, environment(vendor, collector.url, TRACE_GENAI_NAMES=switch)) as stack:
        await ask(stack)
        _, attempt = await collector.wait_for(2)

    shown = {name: value for name, value in attempt.attributes.items() if name.startswith("gen_ai.")}
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-test",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 1,
    }
    assert shown == (expected if switch == "true" else {})


async def test_a_trace_that_is_not_sampled_is_still_passed_on(
    vendor: Vendor, collector: Collector, tmp_path: Path
) -> None:
    """Nothing is recorded, and the provider learns the same trace with the sampled flag off."""
    vendor.script_json(completion())
    unsampled = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    async with running_stack(tmp_path, environment(vendor, collector.url, **unsampled)) as stack:
        await ask(stack)

    sent = vendor.received[0].headers["traceparent"]
    assert (sent[3:35], sent[-2:]) == (CALLER[3:35], "00")
    assert collector.spans == []


async def test_without_an_endpoint_nothing_is_traced(vendor: Vendor, tmp_path: Path) -> None:
    """No span, no header to the provider."""
    vendor.script_json(completion())
    async with running_stack(tmp_path, environment(vendor, "")) as stack:
        await ask(stack)

    assert "traceparent" not in {name.lower() for name in vendor.received[0].headers}


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
async def test_a_dead_collector_costs_neither_errors_nor_time(vendor: Vendor, tmp_path: Path, hangs: bool) -> None:
    """Calls are answered as fast as ever, and the gateway stops within its few seconds."""
    vendor.script_json(completion())

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0) if hangs else None
    port = server.sockets[0].getsockname()[1] if server is not None else free_port()
    async with running_stack(tmp_path, environment(vendor, f"http://127.0.0.1:{port}")) as stack:
        for _ in range(50):
            async with asyncio.timeout(2):  # the sender itself gives up after three seconds, or five
                await ask(stack)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 10
    if server is not None:
        server.close()
