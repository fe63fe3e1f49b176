"""What a caller gets of a whole answer."""

import json
from typing import Any

import pytest

from gateway.errors import GatewayError, ProviderError, ProviderRejected
from tests.providers.gemini.driver import Driver, chat_call
from tests.support.gemini import Gemini, answer, call_part, candidate


async def test_a_text_is_a_completion(driver: Driver, google: Gemini) -> None:
    """With OpenAI's keys all there, also those that are null."""
    google.script_answers(answer(candidate("hel", "lo")))
    completion = await driver.complete()

    assert completion.pop("created") > 1_700_000_000
    assert completion == {
        "id": "chatcmpl-resp-1",
        "object": "chat.completion",
        "model": "gemini-2.5-flash",
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


async def test_thoughts_are_reasoning(driver: Driver, google: Gemini) -> None:
    """They never mix with the answer."""
    google.script_answers(answer(candidate({"text": "hm, ", "thought": True}, "yes", {"text": "so", "thought": True})))
    message = (await driver.complete())["choices"][0]["message"]

    assert (message["content"], message["reasoning_content"]) == ("yes", "hm, so")


async def test_calls_keep_their_arguments_and_signature(driver: Driver, google: Gemini) -> None:
    """Arguments are compact JSON text with every digit; the signature is where Google's own API puts it."""
    google.script_answers(
        answer(
            candidate(
                call_part("a", {"n": 9007199254740993, "x": [1.0, "é"]}, "c2ln", id="fc-1"),
                {"functionCall": {"name": "b"}},
                {"functionCall": {"name": "c", "args": None}},
            )
        )
    )
    choice = (await driver.complete())["choices"][0]

    first, second, third = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert first == {
        "id": "fc-1",
        "type": "function",
        "function": {"name": "a", "arguments": '{"n":9007199254740993,"x":[1.0,"\\u00e9"]}'},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    }
    assert second["function"] == {"name": "b", "arguments": "{}"}
    assert third["function"] == {"name": "c", "arguments": "{}"}
    assert second["id"].startswith("call_")
    assert "extra_content" not in second


async def test_a_call_goes_round(driver: Driver, google: Gemini) -> None:
    """The assistant's message, sent back as it came, is what Gemini 3 wants to see."""
    google.script_answers(answer(candidate(call_part("a", {"x": 1}, "c2ln"))))
    message = (await driver.complete(model="gemini-3-pro-preview"))["choices"][0]["message"]
    call_id = message["tool_calls"][0]["id"]
    body = await driver.sent(
        "gemini-3-pro-preview",
        messages=[
            {"role": "user", "content": "go"},
            message,
            {"role": "tool", "tool_call_id": call_id, "content": "ok"},
        ],
    )

    assert body["contents"][1]["parts"] == [
        {"functionCall": {"id": call_id, "name": "a", "args": {"x": 1}}, "thoughtSignature": "c2ln"}
    ]


async def test_candidates_are_choices_by_index(driver: Driver, google: Gemini) -> None:
    """In order, whatever the order they come in."""
    google.script_answers(answer(candidate("b", index=1), candidate("a")))
    choices = (await driver.complete(n=2))["choices"]

    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
    ],
)
async def test_ends_are_said_in_openai_s_words(driver: Driver, google: Gemini, reason: str, expected: str) -> None:
    """Whole and streamed alike."""
    google.script_answers(answer(candidate("so far", finish=reason)))
    whole = await driver.complete()
    google.script_stream(answer(candidate("so far", finish=reason)))
    streamed = await driver.stream()

    assert whole["choices"][0]["finish_reason"] == expected
    assert streamed[-2]["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("MALFORMED_FUNCTION_CALL", ProviderError),
        ("UNEXPECTED_TOOL_CALL", ProviderError),
        ("TOO_MANY_TOOL_CALLS", ProviderError),
        ("OTHER", ProviderError),
        ("A_NEW_ONE", ProviderError),
        (None, ProviderError),
        ("MISSING_THOUGHT_SIGNATURE", ProviderRejected),
    ],
)
async def test_ends_that_are_failures_are_errors(
    driver: Driver, google: Gemini, reason: str | None, expected: type[GatewayError]
) -> None:
    """An answer that Gemini did not finish is no success, whole or streamed."""
    google.script_answers(answer(candidate("so far", finish=reason)))
    with pytest.raises(expected):
        await driver.complete()
    google.script_stream(answer(candidate("so far", finish=reason)))
    with pytest.raises(expected):
        await driver.stream()


async def test_a_blocked_prompt_is_a_filtered_choice(driver: Driver, google: Gemini) -> None:
    """One for each that was asked, whole and streamed; the prompt's tokens are told."""
    blocked = answer(promptFeedback={"blockReason": "SAFETY"}, usage={"promptTokenCount": 5, "totalTokenCount": 5})
    google.script_answers(blocked)
    whole = await driver.complete(n=2)
    google.script_stream(blocked)
    streamed = await driver.stream(n=2)

    assert [(one["index"], one["finish_reason"]) for one in whole["choices"]] == [
        (0, "content_filter"),
        (1, "content_filter"),
    ]
    assert whole["choices"][0]["message"]["content"] == ""
    ends = [choice for chunk in streamed for choice in chunk["choices"] if choice["finish_reason"]]
    assert [(one["index"], one["finish_reason"]) for one in ends] == [(0, "content_filter"), (1, "content_filter")]
    assert streamed[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}


async def test_usage_counts_thoughts_tools_cache_and_kinds(driver: Driver, google: Gemini) -> None:
    """Thoughts are part of the completion, results of Gemini's own tools part of the prompt."""
    usage = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 10,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 7,
        "cachedContentTokenCount": 64,
        "totalTokenCount": 137,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 40},
            {"modality": "IMAGE", "tokenCount": 50},
            {"modality": "AUDIO", "tokenCount": 10},
            {"modality": "DOCUMENT", "tokenCount": 1},
        ],
    }
    google.script_answers(answer(candidate("x"), usage=usage))
    call = chat_call()
    completion = await driver.provider().complete(call)

    assert json.loads(completion.body)["usage"] == {
        "prompt_tokens": 110,
        "completion_tokens": 27,
        "total_tokens": 137,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 10, "text_tokens": 40, "image_tokens": 50},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert completion.usage is not None
    assert completion.usage.total_tokens == 137


async def test_logprobs_are_read_token_by_token(driver: Driver, google: Gemini) -> None:
    """With the alternatives and their bytes; a chance of 1 has the logarithm 0, which is not said."""
    result: Any = {
        "chosenCandidates": [{"token": "é", "tokenId": 1, "logProbability": -0.5}, {"token": "!", "tokenId": 2}],
        "topCandidates": [{"candidates": [{"token": "e", "logProbability": -0.25}]}],
    }
    google.script_answers(answer(candidate("é!", logprobsResult=result)))
    whole = await driver.complete(logprobs=True, top_logprobs=1)
    google.script_stream(answer(candidate("é!", logprobsResult=result)))
    streamed = await driver.stream(logprobs=True, top_logprobs=1)

    expected = [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -0.25, "bytes": [101]}],
        },
        {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
    ]
    assert whole["choices"][0]["logprobs"]["content"] == expected
    assert streamed[1]["choices"][0]["logprobs"]["content"] == expected


async def test_a_picture_is_markdown(driver: Driver, google: Gemini) -> None:
    """OpenAI's messages have no other place for one, and it is paid for."""
    google.script_answers(answer(candidate("see ", {"inlineData": {"mimeType": "image/png", "data": "YQ=="}})))

    assert (await driver.complete())["choices"][0]["message"]["content"] == "see ![](data:image/png;base64,YQ==)"


@pytest.mark.parametrize(
    "content", [None, {}, {"parts": None}, {"parts": []}], ids=["null", "empty", "no parts", "none"]
)
async def test_a_candidate_without_content_says_nothing(driver: Driver, google: Gemini, content: Any) -> None:
    """It is an empty text, not a missing one."""
    google.script_answers(answer({"content": content, "finishReason": "STOP"}))
    whole = await driver.complete()
    google.script_stream(answer({"content": content, "finishReason": "STOP"}))
    streamed = await driver.stream()

    assert whole["choices"][0]["message"]["content"] == ""
    assert [chunk["choices"][0]["delta"] for chunk in streamed[:-1]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {},
    ]
