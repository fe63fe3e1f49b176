"""Cerebras's answers, whole and streamed, in OpenAI's words."""

from typing import Any

import pytest

from gateway.errors import ProviderError, ProviderOverloaded, ProviderRateLimited, ProviderRejected
from gateway.providers.base import Provider
from tests.support.cerebras_vendor import HEAD, TIME_INFO, USAGE, answer, delta, stream
from tests.support.provider_calls import blocks_of, chat_call, chunks_in, chunks_of, completion_of
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Stream, sse

CALL = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
MORE = {"id": "call_2", "type": "function", "function": {"name": "get_date", "arguments": "{}"}}


async def test_nulls_are_filled_and_own_fields_kept(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """OpenAI's always-present keys are there; `reasoning` has the shared name; `time_info` stays."""
    cerebras_vendor.script_json(answer({"content": "hello", "reasoning": "hm"}))
    completion = await completion_of(cerebras, chat_call())

    assert completion == {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello", "refusal": None, "reasoning_content": "hm"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
        "time_info": TIME_INFO,
    }


async def test_tool_calls_have_null_content(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """`content` is there, as null."""
    cerebras_vendor.script_json(answer({"tool_calls": [CALL]}, "tool_calls"))
    message = (await completion_of(cerebras, chat_call()))["choices"][0]["message"]

    assert message == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]}


async def test_usage_with_nulls_counts_as_zero(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """Its schema allows null for every count."""
    usage = {"prompt_tokens": 5, "completion_tokens": None, "total_tokens": None, "completion_tokens_details": None}
    cerebras_vendor.script_json(answer({"content": ""}, usage=usage))
    completion = await cerebras.complete(chat_call())

    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (5, 0)


async def test_a_stream_ends_with_usage_of_its_own(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """The last chunk is split: finish reason and times, then usage with no choices."""
    cerebras_vendor.script(Stream([sse(*stream({"reasoning": "hm"}, {"content": "hel"}, {"content": "lo"}))]))
    chunks = await chunks_of(cerebras, chat_call(stream=True))

    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "hm"},
        {"content": "hel"},
        {"content": "lo"},
        {},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 5 + ["stop"]
    assert "usage" not in chunks[-2]
    assert chunks[-2]["time_info"] == TIME_INFO
    assert chunks[-1] == {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}


async def test_a_repeated_role_is_sent_once(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """SDKs join deltas: a second role would read `assistantassistant`."""
    cerebras_vendor.script(Stream([sse(*stream({"role": "assistant", "content": "a"}))]))
    chunks = await chunks_of(cerebras, chat_call(stream=True))

    assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks[:-1]] == ["assistant", None, None, None]


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param([{"tool_calls": [CALL]}, {"tool_calls": [MORE]}], id="one a chunk"),
        pytest.param([{"tool_calls": [CALL, MORE]}], id="both in one"),
        pytest.param([{"tool_calls": [{**CALL, "index": 0}]}, {"tool_calls": [{**MORE, "index": 1}]}], id="numbered"),
    ],
)
async def test_tool_calls_get_indexes(
    cerebras_vendor: StrictVendor, cerebras: Provider, deltas: list[dict[str, Any]]
) -> None:
    """OpenAI's SDKs need `index`, which Cerebras may leave out."""
    cerebras_vendor.script(Stream([sse(*stream(*deltas, finish_reason="tool_calls"))]))
    chunks = await chunks_of(cerebras, chat_call(stream=True))

    calls = [
        call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or ()
    ]
    assert calls == [{**CALL, "index": 0}, {**MORE, "index": 1}]


async def test_choices_are_told_apart(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """Each of several choices has its own role and its own indexes."""

    def chunk(index: int, fields: dict[str, Any]) -> dict[str, Any]:
        return {**HEAD, "object": "chat.completion.chunk", "choices": [{"index": index, "delta": fields}]}

    cerebras_vendor.script(
        Stream([sse(chunk(0, {"tool_calls": [CALL]}), chunk(1, {"tool_calls": [MORE]}), *stream()[-1:])])
    )
    chunks = await chunks_of(cerebras, chat_call(stream=True, n=2))

    assert [chunk["choices"][0]["delta"]["role"] for chunk in chunks[:2]] == ["assistant", "assistant"]
    assert [chunk["choices"][0]["delta"]["tool_calls"][0]["index"] for chunk in chunks[:2]] == [0, 0]


async def test_an_error_within_a_stream_keeps_its_status(cerebras_vendor: StrictVendor, cerebras: Provider) -> None:
    """What came before it arrives in OpenAI's words; `status_code` picks the row."""
    error = {"error": {"message": "queue is full", "code": "queue_exceeded"}, "status_code": 503}
    cerebras_vendor.script(Stream([sse(delta({"role": "assistant"}), error, done=False)]))
    blocks = []
    with pytest.raises(ProviderOverloaded):  # what came before counts too
        async for block in cerebras.stream(chat_call(stream=True)):
            blocks.append(block)  # noqa: PERF401  # a comprehension would lose the blocks with the error

    assert chunks_in(blocks)[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}


async def test_a_chunk_that_is_no_json_is_the_provider_s_error(
    cerebras_vendor: StrictVendor, cerebras: Provider
) -> None:
    """Not ours."""
    cerebras_vendor.script(Stream([b"data: {oops\n\n"]))

    with pytest.raises(ProviderError, match="not JSON"):
        await blocks_of(cerebras, chat_call(stream=True))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        pytest.param(400, "wrong_api_format", ProviderRejected, id="400"),
        pytest.param(401, "wrong_api_key", ProviderError, id="401"),
        pytest.param(402, "payment_required", ProviderError, id="402"),
        pytest.param(404, "model_not_found", ProviderRejected, id="404"),
        pytest.param(422, "unprocessable", ProviderRejected, id="422"),
        pytest.param(429, "token_quota_exceeded", ProviderRateLimited, id="429"),
        pytest.param(503, "queue_exceeded", ProviderOverloaded, id="503"),
    ],
)
async def test_flat_errors_are_read(
    cerebras_vendor: StrictVendor, cerebras: Provider, status: int, code: str, expected: type[Exception]
) -> None:
    """Cerebras's errors have no `error` around them; the caller's keep their text and code."""
    flat = {"message": "what went wrong", "type": "some_error", "param": "model", "code": code}
    cerebras_vendor.script_json(flat, status=status)
    with pytest.raises(expected) as caught:
        await cerebras.complete(chat_call())

    if expected in {ProviderRejected, ProviderRateLimited}:
        assert (caught.value.message, caught.value.code) == ("what went wrong", code)  # type: ignore[attr-defined]
