"""Every way in which Gemini fails is one row of the error table."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.errors import (
    ContextLengthExceeded,
    GatewayError,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
)
from tests.providers.gemini.driver import Driver, chat_call
from tests.support.gemini import KEY, Gemini, answer, candidate, error
from tests.support.vendor import Answer, Stream

TOO_LONG = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
LIMITED = {
    "@type": "QuotaFailure",
    "violations": [{"quotaMetric": "x/free_tier_input_token_count", "quotaId": "InputTokensPerMinute"}],
}
RETRY = {"@type": "RetryInfo", "retryDelay": "17.5s"}
BAD_KEY = {"@type": "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
NO_ACCESS = {"@type": "ErrorInfo", "reason": "CONSUMER_SUSPENDED", "domain": "googleapis.com"}

SAID: list[Any] = [
    pytest.param(
        400, error(400, "Bad seed.", "INVALID_ARGUMENT"), ProviderRejected, "INVALID_ARGUMENT", id="INVALID_ARGUMENT"
    ),
    pytest.param(
        400,
        error(400, "User location is not supported.", "FAILED_PRECONDITION"),
        ProviderRejected,
        "FAILED_PRECONDITION",
        id="FAILED_PRECONDITION",
    ),
    pytest.param(
        400, error(400, TOO_LONG, "INVALID_ARGUMENT"), ContextLengthExceeded, "context_length_exceeded", id="too long"
    ),
    pytest.param(
        400,
        error(400, "API key not valid.", "INVALID_ARGUMENT", BAD_KEY),
        ProviderError,
        "provider_error",
        id="wrong key",
    ),
    pytest.param(401, error(401, "Who?", "UNAUTHENTICATED"), ProviderError, "provider_error", id="UNAUTHENTICATED"),
    pytest.param(
        403,
        error(403, f"Consumer 'api_key:{KEY}' has been suspended.", "PERMISSION_DENIED", NO_ACCESS),
        ProviderError,
        "provider_error",
        id="suspended key",
    ),
    pytest.param(
        403,
        error(403, "You may not use this file.", "PERMISSION_DENIED"),
        ProviderRejected,
        "PERMISSION_DENIED",
        id="PERMISSION_DENIED",
    ),
    pytest.param(
        404,
        error(404, "models/gemini-9 is not found for API version v1beta.", "NOT_FOUND"),
        ProviderRejected,
        "model_not_found",
        id="unknown model",
    ),
    pytest.param(
        404, error(404, "CachedContent not found.", "NOT_FOUND"), ProviderRejected, "NOT_FOUND", id="unknown cache"
    ),
    pytest.param(
        429,
        error(429, "Quota exceeded.", "RESOURCE_EXHAUSTED"),
        ProviderRateLimited,
        "rate_limit_exceeded",
        id="RESOURCE_EXHAUSTED",
    ),
    pytest.param(499, error(499, "Cancelled.", "CANCELLED"), ProviderError, "provider_error", id="CANCELLED"),
    pytest.param(500, error(500, "Internal.", "INTERNAL"), ProviderError, "provider_error", id="INTERNAL"),
    pytest.param(
        503,
        error(503, "Overloaded.", "UNAVAILABLE"),
        ProviderOverloaded,
        "server_is_overloaded",
        id="UNAVAILABLE",
    ),
    pytest.param(
        504, error(504, "Deadline expired.", "DEADLINE_EXCEEDED"), ProviderTimeout, "timeout", id="DEADLINE_EXCEEDED"
    ),
]


async def failed(driver: Driver, *, stream: bool = False) -> GatewayError:
    call = chat_call(stream=stream)
    provider = driver.provider()
    answered = anext(provider.stream(call)) if stream else provider.complete(call)
    with pytest.raises(GatewayError) as caught:
        await answered
    assert KEY not in caught.value.message
    assert driver.google.url not in caught.value.message
    return caught.value


@pytest.mark.parametrize("form", ["status", "200", "array", "stream"])
@pytest.mark.parametrize(("status", "body", "row", "code"), SAID)
async def test_what_google_says_is_one_row(
    driver: Driver, google: Gemini, *, form: str, status: int, body: Any, row: type[GatewayError], code: str
) -> None:
    """The same for an answer's status, inside a 200, inside an array, and for a stream."""
    shown = json.dumps([body] if form == "array" else body).encode()
    google.script(Answer(shown, status=200 if form in {"200", "array"} else status))
    caught = await failed(driver, stream=form == "stream")

    assert (type(caught), caught.code) == (row, code)


@pytest.mark.parametrize(
    ("details", "headers", "wait", "kind"),
    [
        pytest.param([RETRY, LIMITED], {}, 17.5, "tokens", id="RetryInfo"),
        pytest.param([RETRY], {"retry-after": "3"}, 17.5, "requests", id="both"),
        pytest.param([], {"retry-after": "3"}, 3.0, "requests", id="Retry-After"),
        pytest.param([], {}, None, "requests", id="neither"),
        pytest.param([{**RETRY, "retryDelay": "soon"}], {}, None, "requests", id="nonsense"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_is_passed_on(
    driver: Driver,
    google: Gemini,
    *,
    status: int,
    details: list[Any],
    headers: Mapping[str, str],
    wait: float | None,
    kind: str,
) -> None:
    """Google says it in the body; the caller gets it as `Retry-After`."""
    google.script_json(error(status, "Wait.", "RESOURCE_EXHAUSTED", *details), status=status, headers=headers)
    caught = await failed(driver)

    assert caught.retry_after == wait
    if status == 429:
        assert caught.type == kind


HTML = b"<!doctype html><title>Error 502</title>"
NUMBERS_AS_STRINGS = answer(candidate("x"), usage={"promptTokenCount": "5"})


@pytest.mark.parametrize(
    ("bad", "row"),
    [
        pytest.param(Answer(HTML, content_type="text/html"), ProviderError, id="HTML with 200"),
        pytest.param(Answer(HTML, status=502, content_type="text/html"), ProviderError, id="HTML with 502"),
        pytest.param(Answer(HTML, status=404, content_type="text/html"), ProviderRejected, id="HTML with 404"),
        pytest.param(Answer(b""), ProviderError, id="empty body"),
        pytest.param(Answer(b"", status=503), ProviderOverloaded, id="empty 503"),
        pytest.param(Answer(b"null"), ProviderError, id="null"),
        pytest.param(Answer(b"[]"), ProviderError, id="empty array"),
        pytest.param(Answer(b"{}"), ProviderError, id="empty object"),
        pytest.param(Answer(b'{"candidates":[]}'), ProviderError, id="candidates: []"),
        pytest.param(Answer(b'{"candidates":null}'), ProviderError, id="candidates: null"),
        pytest.param(Answer(b'{"error":"plain"}'), ProviderError, id="error as text"),
        pytest.param(Answer(json.dumps(NUMBERS_AS_STRINGS).encode()), ProviderError, id="numbers as strings"),
        pytest.param(Answer(b'{"candidates":[{"content":"x\xff"}]}'), ProviderError, id="not UTF-8"),
        pytest.param(
            Answer(b"", status=302, headers={"location": "https://example.com/"}), ProviderError, id="redirect"
        ),
        pytest.param(Answer(b"", status=429), ProviderRateLimited, id="empty 429"),
        pytest.param(
            Stream([b'{"candidates"'], end="reset", content_type="application/json"), ProviderError, id="reset"
        ),
    ],
)
async def test_a_broken_answer_is_one_row(driver: Driver, google: Gemini, bad: Any, row: type[GatewayError]) -> None:
    """Whatever is in front of Gemini, or wrong with it, whole and streamed."""
    google.script(bad)

    assert type(await failed(driver)) is row
    assert type(await failed(driver, stream=True)) is row


async def test_missing_usage_is_no_error(driver: Driver, google: Gemini) -> None:
    """The answer stands; only its price is not known."""
    google.script_answers(answer(candidate("x"), usage=None))
    completion = await driver.provider().complete(chat_call())

    assert completion.usage is None
    assert "usage" not in json.loads(completion.body)


async def test_a_refused_connection_is_a_provider_error(driver: Driver) -> None:
    """Nobody listens there."""
    provider = driver.provider(base_url="http://127.0.0.1:1")

    with pytest.raises(ProviderError):
        await provider.complete(chat_call())


async def test_the_key_is_cut_out_of_whatever_google_says(driver: Driver, google: Gemini) -> None:
    """Also where the caller may read the message."""
    google.script_json(error(400, f"Bad call with {KEY}.", "INVALID_ARGUMENT"), status=400)

    assert (await failed(driver)).message == "Bad call with ***."
