"""What a caller gets of a stream."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from gateway.errors import GatewayError, ProviderError, ProviderOverloaded
from gateway.wire.sse import DONE
from tests.providers.gemini.driver import Driver, chat_call, chunks
from tests.support.gemini import USAGE, Gemini, answer, call_part, candidate, error, sse
from tests.support.raw_vendor import idle
from tests.support.vendor import Answer, Stream

TEXTS = answer(candidate("Grü", finish=None)), answer(candidate("ße 🙂", finish=None)), answer(candidate("!"))


def deltas(stream: list[dict[str, Any]], index: int = 0) -> list[dict[str, Any]]:
    return [one["delta"] for chunk in stream for one in chunk["choices"] if one["index"] == index]


async def test_role_first_then_texts_the_finish_and_the_usage(driver: Driver, google: Gemini) -> None:
    """Chunks share id, time and model; the path asks for SSE."""
    google.script_stream(*TEXTS)
    stream = await driver.stream()

    assert google.received[-1].path.endswith(":streamGenerateContent?alt=sse")
    assert deltas(stream) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Grü"},
        {"content": "ße 🙂"},
        {"content": "!"},
        {},
    ]
    assert [one["finish_reason"] for chunk in stream for one in chunk["choices"]] == [None, None, None, None, "stop"]
    assert stream[-1]["choices"] == []
    assert stream[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert sum("usage" in chunk for chunk in stream) == 1
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in stream}) == 1
    assert stream[0]["id"] == "chatcmpl-resp-1"


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_packets_may_be_cut_anywhere(driver: Driver, google: Gemini, size: int) -> None:
    """Also inside a character, or between CR and LF."""
    data = b"".join(json.dumps(one, ensure_ascii=False).encode().join((b"data: ", b"\r\n\r\n")) for one in TEXTS)
    google.script(Stream([data[at : at + size] for at in range(0, len(data), size)]))

    assert "".join(delta.get("content", "") for delta in deltas(await driver.stream())) == "Grüße 🙂!"


async def test_events_that_arrive_together_leave_together(driver: Driver, google: Gemini) -> None:
    """One block for one packet, whatever the number of its events."""
    google.script(Stream([b"".join(sse(one) for one in TEXTS)]))
    blocks = [block async for block in driver.provider().stream(chat_call(stream=True))]

    assert len(blocks) == 2
    assert len(chunks(blocks[0])) == 4
    assert blocks[1].endswith(DONE)


async def test_an_event_is_passed_on_when_it_arrives(driver: Driver, google: Gemini) -> None:
    """The first text does not wait for the second."""
    later = asyncio.Event()
    google.script(Stream([sse(TEXTS[0]), later, sse(TEXTS[1]), sse(TEXTS[2])]))
    async with contextlib.aclosing(driver.provider().stream(chat_call(stream=True))) as blocks:
        first = chunks(await anext(blocks))
        later.set()
        rest = [block async for block in blocks]

    assert first[1]["choices"][0]["delta"] == {"content": "Grü"}
    assert rest[-1].endswith(DONE)


async def test_calls_have_running_indexes_and_come_whole(driver: Driver, google: Gemini) -> None:
    """Over several events; `STOP` after a call is `tool_calls`, even when it comes alone."""
    google.script_stream(
        answer(candidate({"text": "hm", "thought": True}, finish=None)),
        answer(candidate(call_part("a", {"x": 1}, "c2ln", id="fc-1"), finish=None)),
        answer(candidate(call_part("b", {}), call_part("c", {"y": [1, 2]}), finish=None)),
        answer(candidate()),
    )
    stream = await driver.stream()

    calls = [one for delta in deltas(stream) for one in delta.get("tool_calls", [])]
    assert [(one["index"], one["function"]) for one in calls] == [
        (0, {"name": "a", "arguments": '{"x":1}'}),
        (1, {"name": "b", "arguments": "{}"}),
        (2, {"name": "c", "arguments": '{"y":[1,2]}'}),
    ]
    assert calls[0]["id"] == "fc-1"
    assert calls[0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert len({one["id"] for one in calls}) == 3
    assert {one["type"] for one in calls} == {"function"}
    assert deltas(stream)[1] == {"reasoning_content": "hm"}
    assert stream[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_candidates_are_told_apart(driver: Driver, google: Gemini) -> None:
    """Each has its role, its text and its finish; they may take turns or share an event."""
    google.script_stream(
        answer(candidate("a", finish=None), candidate("b", finish=None, index=1)),
        answer(candidate("B", finish="MAX_TOKENS", index=1)),
        answer(candidate("A")),
    )
    stream = await driver.stream(n=2)

    for index, text in ((0, "aA"), (1, "bB")):
        assert deltas(stream, index)[0]["role"] == "assistant"
        assert "".join(delta.get("content", "") for delta in deltas(stream, index)) == text
    ends = [one for chunk in stream for one in chunk["choices"] if one["finish_reason"]]
    assert [(one["index"], one["finish_reason"]) for one in ends] == [(0, "stop"), (1, "length")]


async def test_the_last_usage_counts(driver: Driver, google: Gemini) -> None:
    """Gemini counts up with every event, and sometimes in an event of its own."""
    google.script_stream(
        answer(candidate("a"), usage={"promptTokenCount": 5, "totalTokenCount": 5}),
        answer(usage={"promptTokenCount": 5, "candidatesTokenCount": 9, "totalTokenCount": 14}),
    )

    assert (await driver.stream())[-1]["usage"]["completion_tokens"] == 9


async def test_a_stream_without_usage_has_no_usage_chunk(driver: Driver, google: Gemini) -> None:
    """Nothing is made up."""
    google.script_stream(answer(candidate("a"), usage=None))

    assert all("usage" not in chunk and chunk["choices"] for chunk in await driver.stream())


async def test_a_stream_that_begins_with_a_call_has_no_content(driver: Driver, google: Gemini) -> None:
    """Its first delta says null, as OpenAI's does."""
    google.script_stream(answer(candidate(call_part("a", {}))))

    assert deltas(await driver.stream())[0] == {"role": "assistant", "content": None, "refusal": None}


async def broken(driver: Driver) -> tuple[list[dict[str, Any]], GatewayError]:
    """Return the chunks before a stream's error, and the error."""
    begun = b""
    try:
        async for block in driver.provider().stream(chat_call(stream=True, n=2)):
            begun += block
    except GatewayError as caught:
        return chunks(begun), caught
    raise AssertionError("the stream ended well")


BEGUN = answer(candidate("begun", finish=None))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(Stream([sse(BEGUN)]), ProviderError, id="no finish reason"),
        pytest.param(
            Stream([sse(answer(candidate("begun"), candidate("x", finish=None, index=1)))]),
            ProviderError,
            id="one candidate unfinished",
        ),
        pytest.param(Stream([sse(BEGUN)], end="reset"), ProviderError, id="reset"),
        pytest.param(Stream([sse(BEGUN), b'data: {"candidates":[{"finishRea']), ProviderError, id="cut in an event"),
        pytest.param(Stream([sse(BEGUN), b"data: <html>\r\n\r\n"]), ProviderError, id="HTML event"),
        pytest.param(
            Stream([sse(BEGUN), sse({"candidates": [{"content": {"parts": "x"}}]})]), ProviderError, id="wrong type"
        ),
        pytest.param(
            Stream([sse(BEGUN), sse(error(503, "The model is overloaded.", "UNAVAILABLE"))]),
            ProviderOverloaded,
            id="error event",
        ),
        pytest.param(
            Stream([sse(BEGUN) + sse(error(500, "boom", "INTERNAL"))]), ProviderError, id="error in the same packet"
        ),
        pytest.param(
            Stream([sse(BEGUN), sse({"error": {"message": "no code"}})]), ProviderError, id="error without a code"
        ),
    ],
)
async def test_a_stream_that_breaks_off_never_ends_as_success(
    driver: Driver, google: Gemini, stream: Stream, expected: type[Exception]
) -> None:
    """What came before arrives; then the row of the error table, and no `[DONE]`."""
    google.script(stream)
    begun, caught = await broken(driver)

    assert type(caught) is expected
    assert begun[1]["choices"][0]["delta"] == {"content": "begun"}
    assert not any(one["finish_reason"] for chunk in begun for one in chunk["choices"])


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(Stream([]), id="empty"),
        pytest.param(Stream([sse(answer(usage=USAGE))]), id="usage only"),
        pytest.param(Answer(json.dumps([answer(candidate("x"))]).encode()), id="JSON array"),
        pytest.param(Answer(json.dumps(answer(candidate("x"))).encode()), id="whole answer"),
        pytest.param(Answer(b"<html>", content_type="text/html"), id="HTML"),
    ],
)
async def test_what_is_no_stream_is_an_error(driver: Driver, google: Gemini, stream: Any) -> None:
    """Before the first chunk, so that the pipeline may try again."""
    google.script(stream)
    begun, caught = await broken(driver)

    assert type(caught) is ProviderError
    assert begun == []


async def test_leaving_a_stream_closes_its_connection(driver: Driver, google: Gemini) -> None:
    """Within 250 ms."""
    google.script(Stream([sse(BEGUN), asyncio.Event()]))
    blocks = driver.provider().stream(chat_call(stream=True))
    await anext(blocks)
    await blocks.aclose()

    async with asyncio.timeout(0.25):
        await google.caller_gone.wait()


async def test_cancelling_a_call_closes_its_connection(driver: Driver, google: Gemini) -> None:
    """Within 250 ms."""
    google.script(Answer(b"{}", wait_for=asyncio.Event()))
    task = asyncio.create_task(driver.provider().complete(chat_call()))
    await google.arrived.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(0.25):
        await google.caller_gone.wait()


async def test_a_stream_hands_its_connection_back(driver: Driver, google: Gemini) -> None:
    """The next call uses it again."""
    google.script_stream(*TEXTS)
    await driver.stream()
    await idle(driver.http)
    await driver.stream()

    assert len({request.peer for request in google.received}) == 1
