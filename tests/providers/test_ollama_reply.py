"""Ollama's answers, whole and streamed, in OpenAI's words."""

import asyncio
import json
from typing import Any

import pytest

from gateway.errors import ProviderError
from gateway.providers.base import Provider
from gateway.providers.ollama.provider import OllamaProvider
from gateway.wire.completion import Usage
from gateway.wire.sse import DONE
from tests.support.ollama_vendor import answer, ndjson, text_lines
from tests.support.provider_calls import blocks_of, chat_call, chunks_in, chunks_of, completion_of
from tests.support.raw_vendor import idle
from tests.support.strict_vendor import StrictVendor
from tests.support.vendor import Answer, Stream

WEATHER_CALL = {"function": {"index": 0, "name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}
TIME_CALL = {"id": "call_own", "function": {"index": 0, "name": "get_time", "arguments": {}}}
LOGPROBS = [{"token": "hi", "logprob": -0.5, "top_logprobs": [{"token": "ho", "logprob": -1.0}]}]


def lines(*values: Any) -> Stream:
    """A stream with one packet for each line."""
    return Stream([ndjson([value]) for value in values], content_type="application/x-ndjson")


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


async def test_a_text_is_a_completion(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Every key that OpenAI always sends is there, null or not; usage is what Ollama counted."""
    ollama_vendor.script_json(answer({"content": "hello"}))
    completion = await completion_of(ollama, chat_call())

    assert completion.pop("id").startswith("chatcmpl-")
    assert completion.pop("created") > 1_700_000_000
    assert completion == {
        "object": "chat.completion",
        "model": "llama3.2",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }


async def test_tool_calls_get_string_arguments_and_ids(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Arguments become compact JSON text in their order; an id is made only where Ollama sends none."""
    ollama_vendor.script_json(answer({"content": "", "tool_calls": [WEATHER_CALL, TIME_CALL]}))
    choice = (await completion_of(ollama, chat_call()))["choices"][0]

    made, own = choice["message"]["tool_calls"]
    assert made.pop("id").startswith("call_")
    assert made == {"type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Köln","days":2}'}}
    assert own == {"id": "call_own", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"


async def test_thoughts_are_reasoning_and_never_content(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """`thinking` becomes `reasoning_content`."""
    ollama_vendor.script_json(answer({"content": "4", "thinking": "2 and 2"}))
    message = (await completion_of(ollama, chat_call()))["choices"][0]["message"]

    assert (message["content"], message["reasoning_content"]) == ("4", "2 and 2")


async def test_log_probabilities_have_openai_s_shape(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Tokens carry `bytes` and `top_logprobs`, null or empty where Ollama is silent."""
    ollama_vendor.script_json(answer({"content": "hi"}, logprobs=LOGPROBS))
    choice = (await completion_of(ollama, chat_call(logprobs=True)))["choices"][0]

    top = {"token": "ho", "logprob": -1.0, "bytes": None}
    assert choice["logprobs"] == {
        "content": [{"token": "hi", "logprob": -0.5, "bytes": None, "top_logprobs": [top]}],
        "refusal": None,
    }


@pytest.mark.parametrize(
    ("fields", "message", "expected"),
    [
        pytest.param({"done_reason": "length"}, {}, "length", id="length"),
        pytest.param({"done_reason": "stop"}, {}, "stop", id="stop"),
        pytest.param({"done_reason": None}, {}, "stop", id="no reason"),
        pytest.param({"done_reason": "stop"}, {"tool_calls": [TIME_CALL]}, "tool_calls", id="tool call"),
        pytest.param({"done_reason": "length"}, {"tool_calls": [TIME_CALL]}, "length", id="cut after a tool call"),
    ],
)
async def test_finish_reasons(
    ollama_vendor: StrictVendor, ollama: Provider, fields: dict[str, Any], message: dict[str, Any], expected: str
) -> None:
    """Whole and streamed alike."""
    ollama_vendor.script_json(answer(message, **fields))
    whole = await completion_of(ollama, chat_call())
    ollama_vendor.script(lines(answer(message, done=False), answer({}, **fields)))
    chunks = await chunks_of(ollama, chat_call(stream=True))

    assert whole["choices"][0]["finish_reason"] == expected
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][-1] == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param(
            {"eval_count": 3, "prompt_eval_count": None}, Usage(completion_tokens=3, total_tokens=3), id="one"
        ),
        pytest.param({"eval_count": None, "prompt_eval_count": None}, None, id="none"),
    ],
)
async def test_missing_counts(
    ollama_vendor: StrictVendor, ollama: Provider, counts: dict[str, Any], expected: Usage | None
) -> None:
    """A missing count is 0, as Ollama leaves out zeros; without any the usage is not known, which is not the same."""
    ollama_vendor.script_json(answer({"content": "hi"}, **counts))
    completion = await ollama.complete(chat_call())

    assert completion.usage == expected
    assert ("usage" in json.loads(completion.body)) is (expected is not None)


async def test_a_streamed_text(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Role once and first, texts, finish reason last, then the usage, then `[DONE]`."""
    ollama_vendor.script(lines(*text_lines("hel", "lo")))
    chunks = await chunks_of(ollama, chat_call(stream=True))

    assert deltas(chunks) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1


async def test_streamed_tool_calls_have_running_indexes(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Ollama counts from 0 in every line; here each call has its own index, one id and one name."""
    ollama_vendor.script(
        lines(
            answer({"tool_calls": [WEATHER_CALL]}, done=False),
            answer({"tool_calls": [TIME_CALL, WEATHER_CALL]}, done=False),
            answer({}),
        )
    )
    chunks = await chunks_of(ollama, chat_call(stream=True))

    assert deltas(chunks)[0]["content"] is None
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0, 1, 2]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time", "get_weather"]
    assert calls[0]["function"]["arguments"] == '{"city":"Köln","days":2}'
    assert calls[1]["id"] == "call_own"
    assert len({call["id"] for call in calls}) == 3
    assert all(call["type"] == "function" for call in calls)


async def test_streamed_thoughts_and_log_probabilities(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Each line's thought is a delta of `reasoning_content`; its log probabilities stay beside it."""
    ollama_vendor.script(
        lines(
            answer({"thinking": "2 and 2"}, done=False),
            answer({"content": "4"}, done=False, logprobs=LOGPROBS),
            answer({}),
        )
    )
    chunks = await chunks_of(ollama, chat_call(stream=True, logprobs=True))

    assert deltas(chunks)[1] == {"reasoning_content": "2 and 2"}
    assert chunks[2]["choices"][0]["logprobs"]["content"][0]["token"] == "hi"


async def test_text_in_the_last_line_is_kept(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """The line that is done may carry text; a whole answer to a stream request is such a line."""
    ollama_vendor.script(lines(answer({"content": "all at once"})))
    chunks = await chunks_of(ollama, chat_call(stream=True))

    assert [delta.get("content") for delta in deltas(chunks)] == ["", "all at once", None]


async def test_lines_may_be_cut_anywhere(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Packets that end within a line, or within a character, change nothing."""
    whole = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in text_lines("né", "日本\u2028語")).encode()
    ollama_vendor.script(Stream([whole[at : at + 1] for at in range(len(whole))], content_type="application/x-ndjson"))
    chunks = await chunks_of(ollama, chat_call(stream=True))

    assert "".join(delta.get("content") or "" for delta in deltas(chunks)) == "né日本\u2028語"


async def test_lines_that_arrive_together_leave_together(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """One packet is one block, whatever number of chunks it holds."""
    ollama_vendor.script(Stream([ndjson(text_lines("a", "b", "c"))], content_type="application/x-ndjson"))
    blocks = await blocks_of(ollama, chat_call(stream=True))

    assert len(blocks) == 1
    assert len(chunks_in(blocks)) == 6
    assert blocks[0].endswith(DONE)


async def test_a_last_line_without_line_feed_counts(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """The end of the answer ends the line."""
    ollama_vendor.script(Stream([ndjson(text_lines("a")).rstrip()], content_type="application/x-ndjson"))

    assert (await chunks_of(ollama, chat_call(stream=True)))[-1]["usage"]["total_tokens"] == 7


async def test_an_error_line_ends_the_stream(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """What came before it arrives; then Ollama's text is the provider's error."""
    ollama_vendor.script(
        Stream([ndjson([answer({"content": "a"}, done=False), {"error": "the runner died"}])], content_type="x/y")
    )
    blocks = []
    with pytest.raises(ProviderError, match="the runner died"):  # what came before counts too
        async for block in ollama.stream(chat_call(stream=True)):
            blocks.append(block)  # noqa: PERF401  # a comprehension would lose the blocks with the error

    assert [delta.get("content") for delta in deltas(chunks_in(blocks))] == ["", "a"]
    assert not blocks[-1].endswith(DONE)


@pytest.mark.parametrize("end", ["clean", "reset"])
async def test_an_end_without_done_is_no_end(ollama_vendor: StrictVendor, ollama: Provider, end: str) -> None:
    """A stream that stops before the line that is done never ends as success."""
    ollama_vendor.script(Stream([ndjson([answer({"content": "a"}, done=False)])], end=end))

    with pytest.raises(ProviderError, match=r"broke off|connection"):
        await blocks_of(ollama, chat_call(stream=True))


async def test_the_connection_is_used_again(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """A stream that ended well gives its connection back."""
    ollama_vendor.script(lines(*text_lines("a")))
    await blocks_of(ollama, chat_call(stream=True))
    assert isinstance(ollama, OllamaProvider)
    await idle(ollama._http)
    await blocks_of(ollama, chat_call(stream=True))

    assert ollama_vendor.connections == 1


async def test_leaving_a_stream_closes_its_connection(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """Closing the generator is enough: Ollama stops within 250 ms."""
    ollama_vendor.script(
        Stream([ndjson([answer({"content": "a"}, done=False)]), asyncio.Event()], content_type="application/x-ndjson")
    )
    blocks = ollama.stream(chat_call(stream=True))
    await anext(blocks)
    await blocks.aclose()

    async with asyncio.timeout(0.25):
        await ollama_vendor.caller_gone.wait()


async def test_cancelling_a_whole_answer_closes_its_connection(ollama_vendor: StrictVendor, ollama: Provider) -> None:
    """A call that is cancelled while Ollama thinks lets go of Ollama within 250 ms."""
    ollama_vendor.script(Answer(b"{}", wait_for=asyncio.Event()))
    call = asyncio.create_task(ollama.complete(chat_call()))
    await ollama_vendor.arrived.wait()
    call.cancel()

    async with asyncio.timeout(0.25):
        await ollama_vendor.caller_gone.wait()
