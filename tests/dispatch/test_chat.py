"""Retries, failover, deadlines and time-outs over real connections."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway import errors
from gateway.dispatch.ask import ChatAsk
from gateway.dispatch.chat import ChatDispatcher
from gateway.errors import GatewayError
from gateway.wire.sse import DONE
from tests.support.calls import ask_of, body_of, dispatcher_for
from tests.support.vendor import USAGE, Answer, Stream, Vendor, chat_stream, chunk, completion, running_vendor, sse

BUSY = Answer(b'{"error":{"message":"busy"}}', status=503, headers={"retry-after-ms": "1"})
GOOD = Answer(json.dumps(completion()).encode())
STREAMED = sse(*chat_stream("a"))


@pytest.fixture
async def second() -> AsyncIterator[Vendor]:
    """Another vendor to fail over to."""
    async with running_vendor() as running:
        yield running


async def run(chat: ChatDispatcher, ask: ChatAsk) -> bytes:
    """Return the whole answer, streamed or not as the body says."""
    if ask.request.stream:
        return b"".join([block async for block in chat.stream(ask)])
    return await chat.complete(ask)


async def failure(chat: ChatDispatcher, ask: ChatAsk) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await run(chat, ask)
    return caught.value


STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])


@STREAMING
async def test_a_busy_vendor_is_tried_again(vendor: Vendor, streaming: bool) -> None:
    """Two failures, then the answer; the record counts three attempts."""
    vendor.script(BUSY, BUSY, Stream([STREAMED]) if streaming else GOOD)
    async with dispatcher_for({"openai": vendor}, max_retries=2) as chat:
        ask = ask_of(body_of(stream=streaming))
        await run(chat, ask)

    assert len(vendor.received) == 3
    assert ask.record.attempts == 3
    assert ask.record.usage is not None
    assert ask.record.usage.completion_tokens == USAGE["completion_tokens"]


@STREAMING
async def test_retries_end(vendor: Vendor, streaming: bool) -> None:
    """The last error is the answer."""
    vendor.script(BUSY)
    async with dispatcher_for({"openai": vendor}, max_retries=2) as chat:
        error = await failure(chat, ask_of(body_of(stream=streaming)))

    assert type(error) is errors.ProviderOverloaded
    assert len(vendor.received) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
async def test_the_vendor_s_verdict_is_not_asked_for_again(vendor: Vendor, status: int) -> None:
    """What a retry cannot mend is answered at once."""
    vendor.script(Answer(b'{"error":{"message":"no"}}', status=status))
    async with dispatcher_for({"openai": vendor}, max_retries=2) as chat:
        await failure(chat, ask_of(body_of()))

    assert len(vendor.received) == 1


async def test_retry_after_is_waited_for(vendor: Vendor) -> None:
    """Not before the vendor said."""
    vendor.script(Answer(b"{}", status=429, headers={"retry-after-ms": "120"}), GOOD)
    async with dispatcher_for({"openai": vendor}) as chat:
        started = time.monotonic()
        await run(chat, ask_of(body_of()))

    assert time.monotonic() - started >= 0.12


@STREAMING
async def test_a_wait_past_the_deadline_is_not_begun(vendor: Vendor, streaming: bool) -> None:
    """The caller learns at once, with the vendor's own error and its Retry-After."""
    vendor.script(Answer(b"{}", status=429, headers={"retry-after": "3600"}))
    async with dispatcher_for({"openai": vendor}) as chat:
        started = time.monotonic()
        error = await failure(chat, ask_of(body_of(stream=streaming), timeout=30))

    assert type(error) is errors.ProviderRateLimited
    assert error.retry_after == 3600
    assert time.monotonic() - started < 5


@STREAMING
async def test_the_caller_s_deadline_ends_a_slow_call(vendor: Vendor, streaming: bool) -> None:
    """504, and the vendor's connection is closed."""
    vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    async with dispatcher_for({"openai": vendor}) as chat:
        error = await failure(chat, ask_of(body_of(stream=streaming), timeout=0.1))
        async with asyncio.timeout(5):
            await vendor.caller_gone.wait()

    assert type(error) is errors.DeadlineExceeded
    assert len(vendor.received) == 1


@STREAMING
async def test_the_configured_limit_stands_in_for_a_deadline(vendor: Vendor, streaming: bool) -> None:
    """`REQUEST_TIMEOUT_S`: the whole answer, or a stream's first chunk."""
    vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    async with dispatcher_for({"openai": vendor}, request_s=0.1) as chat:
        error = await failure(chat, ask_of(body_of(stream=streaming)))

    assert type(error) is errors.DeadlineExceeded


async def test_a_vendor_silent_before_its_first_chunk_is_tried_again(vendor: Vendor) -> None:
    """`FIRST_TOKEN_TIMEOUT_S` counts for each attempt."""
    vendor.script(Stream([asyncio.Event()]), Stream([STREAMED]))
    async with dispatcher_for({"openai": vendor}, first_token_s=0.1, max_retries=1) as chat:
        answer = await run(chat, ask_of(body_of(stream=True)))

    assert answer.endswith(DONE)
    assert len(vendor.received) == 2


async def test_a_vendor_always_silent_is_a_timeout(vendor: Vendor) -> None:
    """Its fault, not the deadline's."""
    vendor.script(Stream([asyncio.Event()]))
    async with dispatcher_for({"openai": vendor}, first_token_s=0.05, max_retries=0) as chat:
        error = await failure(chat, ask_of(body_of(stream=True)))

    assert type(error) is errors.ProviderTimeout


async def collect(chat: ChatDispatcher, ask: ChatAsk) -> tuple[bytes, GatewayError]:
    got = b""
    with pytest.raises(GatewayError) as caught:
        async for block in chat.stream(ask):
            got += block
    return got, caught.value


FIRST = sse(chunk({"content": "a"}), done=False)


@pytest.mark.parametrize(
    ("limits", "timeout", "kind"),
    [
        pytest.param({"stream_idle_s": 0.1}, None, errors.ProviderTimeout, id="silence"),
        pytest.param({"stream_s": 0.2}, None, errors.DeadlineExceeded, id="the whole stream"),
        pytest.param({}, 0.3, errors.DeadlineExceeded, id="the caller's deadline"),
    ],
)
async def test_time_ends_a_stream_after_its_first_chunk(
    vendor: Vendor, limits: dict[str, Any], timeout: float | None, kind: type[GatewayError]
) -> None:
    """What came is passed on, then the error; nothing is tried again."""
    vendor.script(Stream([FIRST, asyncio.Event()]))
    async with dispatcher_for({"openai": vendor}, max_retries=5, **limits) as chat:
        got, error = await collect(chat, ask_of(body_of(stream=True), timeout=timeout))
        async with asyncio.timeout(5):
            await vendor.caller_gone.wait()

    assert (got, type(error)) == (FIRST, kind)
    assert len(vendor.received) == 1


async def test_nothing_is_tried_again_after_the_first_chunk(vendor: Vendor, second: Vendor) -> None:
    """Neither there nor elsewhere: the caller has seen a part."""
    vendor.script(Stream([FIRST], end="reset"))
    second.script(Stream([STREAMED]))
    aliases = {"fast": ["openai/a", "other/b"]}
    async with dispatcher_for({"openai": vendor, "other": second}, aliases, max_retries=5) as chat:
        _, error = await collect(chat, ask_of(body_of(model="fast", stream=True)))

    assert type(error) is errors.ProviderError
    assert (len(vendor.received), len(second.received)) == (1, 0)


async def test_a_stream_that_breaks_before_its_first_chunk_is_tried_again(vendor: Vendor) -> None:
    """The caller has seen nothing yet."""
    vendor.script(Stream([b": hello\n\n"]), Stream([STREAMED]))
    async with dispatcher_for({"openai": vendor}, max_retries=1) as chat:
        answer = await run(chat, ask_of(body_of(stream=True)))

    assert answer.endswith(DONE)


@STREAMING
async def test_the_next_target_answers_for_a_failing_one(vendor: Vendor, second: Vendor, streaming: bool) -> None:
    """An alias's targets in order, each with its own model name."""
    vendor.script(BUSY)
    second.script(Stream([STREAMED]) if streaming else GOOD)
    aliases = {"fast": ["openai/a", "other/b"]}
    async with dispatcher_for({"openai": vendor, "other": second}, aliases, max_retries=1) as chat:
        ask = ask_of(body_of(model="fast", stream=streaming))
        await run(chat, ask)

    assert [request.body["model"] for request in vendor.received] == ["a", "a"]
    assert [request.body["model"] for request in second.received] == ["b"]
    assert (ask.record.provider, ask.record.model, ask.record.attempts) == ("other", "b", 3)


@STREAMING
async def test_when_every_target_fails_the_error_says_how(vendor: Vendor, second: Vendor, streaming: bool) -> None:
    """Each provider by name."""
    vendor.script(BUSY)
    second.script(Answer(b"{}", status=500))
    aliases = {"fast": ["openai/a", "other/b"]}
    async with dispatcher_for({"openai": vendor, "other": second}, aliases, max_retries=0) as chat:
        error = await failure(chat, ask_of(body_of(model="fast", stream=streaming)))

    assert type(error) is errors.AllProvidersFailed
    assert "openai: " in error.message
    assert "other: " in error.message


async def test_a_verdict_on_the_request_is_not_taken_elsewhere(vendor: Vendor, second: Vendor) -> None:
    """A request that one vendor calls wrong is wrong."""
    vendor.script(Answer(b'{"error":{"message":"no"}}', status=400))
    aliases = {"fast": ["openai/a", "other/b"]}
    async with dispatcher_for({"openai": vendor, "other": second}, aliases) as chat:
        error = await failure(chat, ask_of(body_of(model="fast")))

    assert type(error) is errors.ProviderRejected
    assert second.received == []


async def test_an_unknown_field_goes_only_to_targets_that_forward_it(vendor: Vendor, second: Vendor) -> None:
    """The others are passed over; without any the caller is told which field."""
    second.script(GOOD)
    aliases = {"fast": ["openai/a", "other/b"]}
    forward: dict[str, dict[str, Any]] = {"other": {"unknown_fields": "forward"}}
    async with dispatcher_for({"openai": vendor, "other": second}, aliases, forward) as chat:
        await run(chat, ask_of(body_of(model="fast", top_k=5)))
        error = await failure(chat, ask_of(body_of(model="openai/a", top_k=5)))

    assert vendor.received == []
    assert second.received[0].body["top_k"] == 5
    assert (type(error), error.param, error.code) == (errors.InvalidRequest, "top_k", "unknown_parameter")


@pytest.mark.parametrize("asked", [False, True])
async def test_the_usage_chunk_is_shown_only_when_asked_for(vendor: Vendor, asked: bool) -> None:
    """The gateway always reads it."""
    vendor.script(Stream([STREAMED]))
    async with dispatcher_for({"openai": vendor}) as chat:
        ask = ask_of(body_of(stream=True, **({"stream_options": {"include_usage": True}} if asked else {})))
        answer = await run(chat, ask)

    assert (b'"usage"' in answer) == asked
    assert answer.endswith(DONE)
    assert ask.record.usage is not None


async def test_a_stream_left_early_closes_the_vendor_s_connection(vendor: Vendor) -> None:
    """Closing the generator is enough."""
    vendor.script(Stream([FIRST, asyncio.Event()]))
    async with dispatcher_for({"openai": vendor}) as chat:
        stream = chat.stream(ask_of(body_of(stream=True)))
        await anext(stream)
        await stream.aclose()
        async with asyncio.timeout(5):
            await vendor.caller_gone.wait()
