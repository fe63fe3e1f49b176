"""What the metrics page says after calls."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from openai import APIStatusError, RateLimitError
from prometheus_client import CollectorRegistry

from gateway.telemetry.metrics import _MAX_MODELS, Metrics
from gateway.telemetry.page import joined
from gateway.telemetry.record import CallRecord
from gateway.wire.completion import CompletionTokensDetails, PromptTokensDetails, Usage
from tests.support.stack import Stack, running_stack
from tests.support.vendor import Stream, Vendor, chat_stream, completion, sse

CHAT = "/llmgateway.v1.OpenAIService/ChatCompletions"


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def samples(registry: CollectorRegistry) -> list[str]:
    return [sample.name for metric in registry.collect() for sample in metric.samples]


async def ask(stack: Stack, model: str = "openai/gpt-test", *, stream: bool = False) -> None:
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hello"}], stream=stream
        )
        if stream:
            async for _ in answer:  # type: ignore[union-attr]  # it is a stream when asked for one
                pass


@pytest.fixture
def environment(vendor: Vendor) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "sk-vendor-secret",
        "OPENAI_BASE_URL": vendor.url + "/v1",
        "AI_GATEWAY_MAX_RETRIES": "1",
    }


@pytest.fixture
def stack_of(
    vendor: Vendor, environment: dict[str, str], tmp_path: Path
) -> Callable[[str], AbstractAsyncContextManager[Stack]]:
    """Starts a gateway with settings in YAML, whose vendor answers."""
    vendor.script_json(completion())
    return lambda yaml: running_stack(tmp_path, environment, yaml)


async def test_an_answer_is_counted_with_its_tokens(
    vendor: Vendor, environment: dict[str, str], tmp_path: Path
) -> None:
    """One call, one attempt, tokens by kind, and an overhead that is less than the whole time."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    vendor.script_json(completion(usage=usage))
    async with running_stack(tmp_path, environment) as stack:
        await ask(stack)
        page = stack.registry

    assert value(page, "llmgateway_requests_total", method=CHAT, provider="openai", reason="OK") == 1
    assert value(page, "llmgateway_attempts_total", provider="openai", reason="OK") == 1
    counted = {
        kind: value(page, "llmgateway_tokens_total", provider="openai", model="gpt-test", kind=kind)
        for kind in ("prompt", "completion", "cached", "reasoning")
    }
    assert counted == {"prompt": 9, "completion": 4, "cached": 6, "reasoning": 3}
    overhead = value(page, "llmgateway_overhead_seconds_sum", method=CHAT)
    whole = value(page, "llmgateway_request_seconds_sum", method=CHAT, provider="openai")
    assert overhead is not None
    assert whole is not None
    assert 0 < overhead < whole
    assert value(page, "llmgateway_in_flight") == 0


async def test_what_calls_cost_is_counted_in_dollars(
    vendor: Vendor, environment: dict[str, str], tmp_path: Path
) -> None:
    """At the model's prices, 5 tokens in and 2 out; a call that failed costs nothing, nor does one without a price."""
    yaml = "models: {openai/priced: {prices: {input: 1000000000, output: 2000000000}}}"
    vendor.script_json(completion())
    async with running_stack(tmp_path, environment, yaml) as stack:
        await ask(stack, "openai/priced")
        await ask(stack, "openai/priced")
        await ask(stack, "custom/echo")
        vendor.script_json({"error": {"message": "no"}}, status=400)
        with pytest.raises(APIStatusError):
            await ask(stack, "openai/priced")
        page = stack.registry

    assert value(page, "llmgateway_cost_usd_total", provider="openai", model="priced") == pytest.approx(2 * 9e-6)
    assert value(page, "llmgateway_cost_usd_total", provider="custom", model="echo") is None


@pytest.mark.parametrize(
    ("limit", "labels", "refused"),
    [
        ("requests_per_minute: 1, strategy: sliding", {"metric": "requests", "window": "minute"}, 1),
        ("requests_per_day: 1", {"metric": "requests", "window": "day"}, 1),
        ("spend_per_month: '0.000001'", {"metric": "spend_usd", "window": "month"}, 2),
        ("concurrent: 9", {"metric": "concurrent", "window": ""}, None),
    ],
)
async def test_refusals_are_counted_by_the_limit_that_gave_them(
    stack_of: Callable[[str], AbstractAsyncContextManager[Stack]], limit: str, labels: dict[str, str], refused: int
) -> None:
    """Whose limit it is, but not which key's."""
    async with stack_of(f"limits: {{providers: {{openai: {{{limit}}}}}}}") as stack:
        for _ in range(2):
            with contextlib.suppress(RateLimitError):
                await ask(stack)
        page = stack.registry

    counted = value(page, "llmgateway_limit_refusals_total", scope="provider", **labels)
    assert counted == refused


async def test_a_vendor_s_rate_limit_is_none_of_ours(
    vendor: Vendor, environment: dict[str, str], tmp_path: Path
) -> None:
    """It is a reason of attempts and calls."""
    vendor.script_json({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "0"})
    async with running_stack(tmp_path, environment) as stack:
        with pytest.raises(RateLimitError):
            await ask(stack)
        page = stack.registry

    assert [name for name in samples(page) if name.startswith("llmgateway_limit_refusals")] == []
    assert value(page, "llmgateway_attempts_total", provider="openai", reason="PROVIDER_RATE_LIMITED") == 2


async def test_a_slow_provider_is_not_the_gateways_overhead(
    vendor: Vendor, environment: dict[str, str], tmp_path: Path
) -> None:
    """Waiting for the vendor's first packet counts for the call and its first token, not for the overhead."""
    go = asyncio.Event()
    vendor.script(Stream([go, sse(*chat_stream("hello"))]))
    async with running_stack(tmp_path, environment) as stack:
        call = asyncio.create_task(ask(stack, stream=True))
        await vendor.arrived.wait()
        asyncio.get_running_loop().call_later(0.3, go.set)
        await call
        page = stack.registry

    first = value(page, "llmgateway_first_token_seconds_sum", provider="openai")
    overhead = value(page, "llmgateway_overhead_seconds_sum", method=CHAT)
    assert first is not None
    assert overhead is not None
    assert first >= 0.3
    assert overhead < 0.1
    assert value(page, "llmgateway_token_gap_seconds_count", provider="openai") == 1


async def test_failed_attempts_are_counted(vendor: Vendor, environment: dict[str, str], tmp_path: Path) -> None:
    """Two attempts, one failed call."""
    vendor.script_json({"error": {"message": "broken"}}, status=500, headers={"retry-after": "0"})
    async with running_stack(tmp_path, environment) as stack:
        page = stack.registry
        with pytest.raises(APIStatusError):
            await ask(stack)

    assert value(page, "llmgateway_attempts_total", provider="openai", reason="PROVIDER_ERROR") == 2
    assert value(page, "llmgateway_requests_total", method=CHAT, provider="openai", reason="PROVIDER_ERROR") == 1


def test_models_share_a_label_beyond_a_number_of_them() -> None:
    """A provider that takes any model name cannot make the page grow without end."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    usage = Usage(
        prompt_tokens=1,
        completion_tokens=1,
        total_tokens=2,
        prompt_tokens_details=PromptTokensDetails(),
        completion_tokens_details=CompletionTokensDetails(),
    )
    for number in range(_MAX_MODELS + 50):
        record = CallRecord(provider="openai", model=f"model-{number}", attempts=1, usage=usage, cost_nano=10**9)
        metrics.observe(CHAT, "OK", 0.1, record)

    labels = {
        sample.labels["model"] for metric in registry.collect() for sample in metric.samples if "model" in sample.labels
    }
    assert len(labels) == _MAX_MODELS + 1
    assert value(registry, "llmgateway_tokens_total", provider="openai", model="other", kind="prompt") == 50
    assert value(registry, "llmgateway_cost_usd_total", provider="openai", model="other") == 50


def test_providers_that_are_no_longer_configured_leave_the_page() -> None:
    """After a reload, a removed provider is neither up nor down."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.configured("a", 1.0, ["openai", "custom"])
    metrics.provider_checked("openai", up=False)
    metrics.provider_checked("custom", up=True)
    metrics.configured("b", 2.0, ["custom"])

    assert value(registry, "llmgateway_provider_up", provider="openai") is None
    assert value(registry, "llmgateway_provider_up", provider="custom") == 1
    assert value(registry, "llmgateway_config_info", version="a") is None
    assert value(registry, "llmgateway_config_info", version="b") == 1


def test_pages_of_workers_are_one_page_with_each_family_once() -> None:
    """Help and type stand once, each sample says whose it is, and a family that one worker lacks is still there."""
    first = b'# HELP a_total Counts.\n# TYPE a_total counter\na_total 1.0\n# HELP b Is.\n# TYPE b gauge\nb{x="1"} 2.0\n'
    second = b"# HELP a_total Counts.\n# TYPE a_total counter\na_total 3.0\n"

    assert joined({"0": first, "1": second}).decode().splitlines() == [
        "# HELP a_total Counts.",
        "# TYPE a_total counter",
        'a_total{worker="0"} 1.0',
        'a_total{worker="1"} 3.0',
        "# HELP b Is.",
        "# TYPE b gauge",
        'b{worker="0",x="1"} 2.0',
    ]
