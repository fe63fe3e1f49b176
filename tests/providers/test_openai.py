"""OpenAI-shaped vendors: bytes go through, failures become rows of the error table."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest

from gateway import errors
from gateway.config import Secret
from gateway.errors import GatewayError, ProviderError
from gateway.http.client import HttpClient
from gateway.providers.openai import OpenAIProvider
from gateway.wire.sse import DONE
from tests.support.calls import body_of, call_of, provider_for, settings_of
from tests.support.raw_vendor import idle
from tests.support.vendor import USAGE, Answer, Stream, Vendor, chat_stream, chunk, completion, sse


async def test_a_request_travels_as_the_bytes_that_came(vendor: Vendor) -> None:
    """Only `model` differs: spacing, number formats, key order and unknown nested fields stay."""
    vendor.script_json(completion())
    sent = (
        b'{ "temperature" : 1.0,\n"messages":[{"role":"user","content":"\\u00fc h\xc3\xa9",'
        b'"cache_control":{"b":1,"a":2}}],'
        b'"model":"openai/gpt-test","metadata":{"z":"1","a":"2"} }'
    )
    async with provider_for(vendor) as provider:
        await provider.complete(call_of(sent))

    received = vendor.received[0]
    assert received.body == {**json.loads(sent), "model": "gpt-test"}
    assert '"temperature":1.0' in received.text.replace(" ", "")
    assert '"content":"\\u00fc hé"' in received.text
    assert '{"b":1,"a":2}' in received.text
    assert list(received.body) == list(json.loads(sent))


async def test_a_body_that_needs_no_change_is_not_touched(vendor: Vendor) -> None:
    """Not one byte differs when the model's name is the provider's own."""
    vendor.script_json(completion())
    sent = b'{"model": "gpt-test",   "messages": [{"content": "a", "role": "user"}]}'
    async with provider_for(vendor) as provider:
        await provider.complete(call_of(sent))

    assert vendor.received[0].text == sent.decode()


async def test_the_gateway_s_identity_is_sent_and_nothing_else(vendor: Vendor) -> None:
    """Path, key and the row's own headers; no telemetry of the SDK, no header of the caller."""
    vendor.script_json(completion())
    async with provider_for(vendor, headers={"x-team": Secret("search")}) as provider:
        await provider.complete(call_of(body_of()))

    headers = {name.lower(): value for name, value in vendor.received[0].headers.items()}
    assert vendor.received[0].path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer sk-vendor-secret"
    assert headers["x-team"] == "search"
    assert headers["content-type"] == "application/json"
    assert not [name for name in headers if name.startswith(("x-stainless", "openai-"))]


async def test_no_key_sends_no_authorization(vendor: Vendor) -> None:
    """A local server without keys is not sent an invented one."""
    vendor.script_json(completion())
    async with provider_for(vendor, api_key=Secret("")) as provider:
        await provider.complete(call_of(body_of()))

    assert "Authorization" not in vendor.received[0].headers


async def test_an_answer_comes_back_as_the_bytes_that_came(vendor: Vendor) -> None:
    """Unknown fields survive, at the top and inside."""
    answer = json.dumps(completion(x_vendor={"a": [1.0, None]}, service_tier="scale")).encode().replace(b", ", b" ,  ")
    vendor.script(Answer(answer))
    async with provider_for(vendor) as provider:
        got = await provider.complete(call_of(body_of()))

    assert got.body == answer
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (5, 2)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": None}, {"prompt_tokens": "5"}, [], "none"])
async def test_usage_in_another_shape_costs_no_answer(vendor: Vendor, usage: Any) -> None:
    """What cannot be counted is still answered."""
    vendor.script_json(completion(usage=usage))
    async with provider_for(vendor) as provider:
        got = await provider.complete(call_of(body_of()))

    assert got.usage is None
    assert json.loads(got.body)["usage"] == usage


async def test_the_configured_output_cap_is_sent_when_the_caller_has_none(vendor: Vendor) -> None:
    """The caller's own cap wins."""
    vendor.script_json(completion())
    async with provider_for(vendor, max_output_tokens=77) as provider:
        await provider.complete(call_of(body_of()))
        await provider.complete(call_of(body_of(max_tokens=5)))

    assert vendor.received[0].body["max_completion_tokens"] == 77
    assert "max_completion_tokens" not in vendor.received[1].body


async def test_stream_is_set_to_what_the_pipeline_asks(vendor: Vendor) -> None:
    """`stream_mode=sse` streams without `stream` in the body; usage is always asked for."""
    vendor.script(Stream([sse(*chat_stream("a"))]))
    async with provider_for(vendor) as provider:
        [_ async for _ in provider.stream(call_of(body_of()))]
    assert vendor.received[0].body["stream"] is True
    assert vendor.received[0].body["stream_options"] == {"include_usage": True}


async def test_a_vendor_that_does_not_know_stream_options_is_not_sent_them(vendor: Vendor) -> None:
    """`stream_usage: false` in its row."""
    vendor.script(Stream([sse(*chat_stream("a", usage=False))]))
    async with provider_for(vendor, stream_usage=False) as provider:
        [_ async for _ in provider.stream(call_of(body_of(stream=True)))]

    assert "stream_options" not in vendor.received[0].body


async def test_a_stream_comes_back_as_the_bytes_that_came(vendor: Vendor) -> None:
    """Whole events, in order, to the last byte of `[DONE]`."""
    sent = sse(*chat_stream("a", "ü", "🎈"), done=True)
    packets = [sent[at : at + 7] for at in range(0, len(sent), 7)]
    vendor.script(Stream(packets))
    async with provider_for(vendor) as provider:
        blocks = [block async for block in provider.stream(call_of(body_of(stream=True)))]

    assert b"".join(blocks) == sent
    assert all(block.endswith(b"\n\n") for block in blocks)


STATUSES = [
    pytest.param(400, errors.ProviderRejected, 400, id="400"),
    pytest.param(401, errors.ProviderError, 502, id="401: our key"),
    pytest.param(402, errors.ProviderError, 502, id="402: our bill"),
    pytest.param(403, errors.ProviderRejected, 403, id="403"),
    pytest.param(404, errors.ProviderRejected, 404, id="404"),
    pytest.param(408, errors.ProviderTimeout, 504, id="408"),
    pytest.param(409, errors.ProviderRejected, 409, id="409"),
    pytest.param(413, errors.ProviderRejected, 413, id="413"),
    pytest.param(422, errors.ProviderRejected, 422, id="422"),
    pytest.param(429, errors.ProviderRateLimited, 429, id="429"),
    pytest.param(500, errors.ProviderError, 502, id="500"),
    pytest.param(502, errors.ProviderError, 502, id="502"),
    pytest.param(503, errors.ProviderOverloaded, 503, id="503"),
    pytest.param(504, errors.ProviderTimeout, 504, id="504"),
    pytest.param(529, errors.ProviderError, 502, id="529"),
    pytest.param(302, errors.ProviderError, 502, id="redirect"),
    pytest.param(204, errors.ProviderError, 502, id="204"),
]


async def failure(provider: OpenAIProvider, *, streaming: bool) -> GatewayError:
    """Return how the call fails."""
    with pytest.raises(GatewayError) as caught:
        if streaming:
            [_ async for _ in provider.stream(call_of(body_of(stream=True)))]
        else:
            await provider.complete(call_of(body_of()))
    return caught.value


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(("status", "kind", "http_status"), STATUSES)
async def test_a_vendor_s_status_becomes_a_row(
    vendor: Vendor, status: int, kind: type[GatewayError], http_status: int, streaming: bool
) -> None:
    """The caller's own mistakes keep the vendor's words; the vendor's and ours do not."""
    said = {"message": "the vendor says so", "type": "odd_type", "param": "seed", "code": "odd_code"}
    vendor.script_json({"error": said}, status=status, headers={"location": "http://127.0.0.1:1/"})
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=streaming)

    assert type(error) is kind
    assert error.http_status == http_status
    kept = kind in {errors.ProviderRejected, errors.ProviderRateLimited}
    assert (error.message == "the vendor says so") == kept
    assert (error.code == "odd_code") == kept
    assert len(vendor.received) == 1, "a redirect is not followed, a retry is not the provider's"


async def test_a_refused_key_is_not_repeated(vendor: Vendor) -> None:
    """Vendors quote the key in their 401; it is the gateway's, not the caller's."""
    vendor.script_json({"error": {"message": "Incorrect API key provided: sk-vendor-secret"}}, status=401)
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=False)

    assert "sk-vendor-secret" not in error.message
    assert "credentials" in error.message


async def test_a_too_long_prompt_has_its_own_row(vendor: Vendor) -> None:
    """Whatever the provider, callers can handle it by one code."""
    vendor.script_json({"error": {"message": "too long", "code": "context_length_exceeded", "param": "messages"}}, 400)
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=False)

    assert type(error) is errors.ContextLengthExceeded
    assert error.param == "messages"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b'{"error":"plain text"}', "plain text", id="text"),
        pytest.param(b'{"message":"flat","code":"x"}', "flat", id="flat"),
        pytest.param(b'[{"error":{"message":"in a list"}}]', "in a list", id="list"),
        pytest.param(b"<html>Bad Request</html>", "status 400", id="HTML"),
        pytest.param(b"", "status 400", id="empty"),
        pytest.param(b'{"error":{"message":5}}', "status 400", id="wrong types"),
        pytest.param(b'{"error":[1]}', "status 400", id="list as error"),
        pytest.param(b"\xff\xfe", "status 400", id="not UTF-8"),
        pytest.param(b"[" * 50_000, "status 400", id="nested"),
        pytest.param(b'{"error":{"message":"' + b"x" * 200_000 + b'"}}', "status 400", id="huge"),
    ],
)
async def test_error_bodies_of_every_shape_are_read(vendor: Vendor, body: bytes, text: str) -> None:
    """OpenAI's, a flat one, a text, or nothing useful at all."""
    vendor.script(Answer(body, status=400, content_type="text/html"))
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=False)

    assert text in error.message


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"<html>maintenance</html>", id="HTML"),
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"choices":[]}', id="no choices"),
        pytest.param(b'{"choices":{}}', id="choices of another type"),
        pytest.param(b'{"id":"x"}', id="no choices at all"),
        pytest.param(b'{"choices":[{"message":', id="cut off"),
        pytest.param(b"\xff{}", id="not UTF-8"),
        pytest.param(b'{"choices":' + b"[" * 50_000, id="nested"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_a_200_that_is_no_answer_is_an_error(vendor: Vendor, answer: bytes, streaming: bool) -> None:
    """Never passed on as success."""
    vendor.script(Answer(answer))
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=streaming)

    assert type(error) is ProviderError


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param({"error": {"message": "no"}}, errors.ProviderError, id="error"),
        pytest.param({"error": {"message": "no", "type": "tokens"}}, errors.ProviderRateLimited, id="rate limit"),
        pytest.param({"error": {"message": "no", "code": 503}}, errors.ProviderOverloaded, id="status as code"),
        pytest.param({"error": {"message": "no"}, "status_code": 429}, errors.ProviderRateLimited, id="status beside"),
        pytest.param(
            {"error": {"message": "no", "code": "context_length_exceeded"}}, errors.ContextLengthExceeded, id="too long"
        ),
        pytest.param({"error": "no"}, errors.ProviderError, id="text"),
    ],
)
async def test_an_error_inside_a_200_keeps_its_row(
    vendor: Vendor, said: dict[str, Any], kind: type[GatewayError], streaming: bool
) -> None:
    """As a whole answer, or as a stream's first event."""
    vendor.script(Stream([sse(said)]) if streaming else Answer(json.dumps(said).encode()))
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=streaming)

    assert type(error) is kind


async def blocks_until_error(provider: OpenAIProvider) -> tuple[bytes, GatewayError]:
    got = b""
    with pytest.raises(GatewayError) as caught:
        async for block in provider.stream(call_of(body_of(stream=True))):
            got += block
    return got, caught.value


@pytest.mark.parametrize("end", ["reset", "clean"])
async def test_a_cut_stream_is_an_error(vendor: Vendor, end: str) -> None:
    """Whether the connection breaks or ends politely: without `[DONE]` it is not over. No half event is passed on."""
    whole = sse(chunk({"content": "a"}), done=False)
    go_on = asyncio.Event()
    vendor.script(Stream([whole + b'data: {"cut', go_on], end=end))
    async with provider_for(vendor) as provider:
        got = b""
        with pytest.raises(ProviderError):
            async for block in provider.stream(call_of(body_of(stream=True))):
                got += block
                go_on.set()

    assert got == whole


async def test_an_error_event_ends_a_stream_after_its_good_events(vendor: Vendor) -> None:
    """What came before it in the same packet is passed on."""
    good = sse(chunk({"content": "a"}), done=False)
    vendor.script(Stream([good + sse({"error": {"message": "gone"}}) + sse(chunk({"content": "never"}))]))
    async with provider_for(vendor) as provider:
        got, error = await blocks_until_error(provider)

    assert got == good
    assert "gone" in error.message


async def test_a_text_that_speaks_of_errors_is_no_error(vendor: Vendor) -> None:
    """Only a top-level `error` counts, not one inside a choice or a quoted one, nor a null."""
    sent = sse(
        chunk({"content": '"error": {'}),
        {**chunk({"content": "b"}), "error": None},
        {**chunk({"content": "c"}), "x": {"error": {"a": 1}}},
    )
    vendor.script(Stream([sent]))
    async with provider_for(vendor) as provider:
        got = b"".join([block async for block in provider.stream(call_of(body_of(stream=True)))])

    assert got == sent


async def test_broken_json_beside_an_error_does_not_hide_it(vendor: Vendor) -> None:
    """The error is found behind an event that is not JSON."""
    vendor.script(Stream([b"data: {broken\n\n" + sse({"error": {"message": "gone"}})]))
    async with provider_for(vendor) as provider:
        _, error = await blocks_until_error(provider)

    assert "gone" in error.message


@pytest.mark.parametrize("end", ["reset", "clean"])
async def test_what_happens_after_done_does_not_matter(vendor: Vendor, end: str) -> None:
    """The answer is whole; a vendor that then drops the connection is forgiven."""
    vendor.script(Stream([sse(*chat_stream("a"))], end=end))
    async with provider_for(vendor) as provider:
        got = b"".join([block async for block in provider.stream(call_of(body_of(stream=True)))])

    assert got.endswith(DONE)


async def test_html_in_place_of_a_stream_is_an_error(vendor: Vendor) -> None:
    """With the right content type too."""
    vendor.script(Stream([b"<html>\n\nmaintenance</html>\n\n"]))
    async with provider_for(vendor) as provider:
        got, error = await blocks_until_error(provider)

    assert (got, type(error)) == (b"", ProviderError)


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_a_refused_connection_is_the_provider_s_error(vendor: Vendor, streaming: bool) -> None:
    """The message names the provider and not its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        async with provider_for(vendor, base_url=closed) as provider:
            error = await failure(provider, streaming=streaming)

    assert type(error) is ProviderError
    assert "openai" in error.message
    assert "127.0.0.1" not in error.message


async def test_a_body_cut_by_the_vendor_is_the_provider_s_error(vendor: Vendor) -> None:
    """Half of a whole answer is none."""
    vendor.script(Stream([b'{"choices":[{"mess'], end="reset", content_type="application/json"))
    async with provider_for(vendor) as provider:
        error = await failure(provider, streaming=False)

    assert type(error) is ProviderError


async def test_a_vendor_that_cannot_be_reached_in_time_is_a_timeout(vendor: Vendor) -> None:
    """A listener that accepts nothing more: connecting has a limit of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    filler = socket.create_connection(listener.getsockname())
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    try:
        async with HttpClient(connect_timeout=0.1) as session:
            provider = OpenAIProvider("openai", settings_of(vendor, base_url=url), session)
            spare = [asyncio.create_task(asyncio.open_connection(*listener.getsockname())) for _ in range(4)]
            with pytest.raises(errors.ProviderTimeout):
                await provider.complete(call_of(body_of()))
            for task in spare:
                task.cancel()
            for got in await asyncio.gather(*spare, return_exceptions=True):
                if isinstance(got, tuple):
                    got[1].close()
            await provider.aclose()
    finally:
        filler.close()
        listener.close()


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_a_caller_that_leaves_closes_the_vendor_s_connection(vendor: Vendor, streaming: bool) -> None:
    """The vendor notices at once, and can stop generating."""
    never = asyncio.Event()
    vendor.script(
        Stream([sse(chunk({"content": "a"}), done=False), never]) if streaming else Answer(b"{}", wait_for=never)
    )
    async with provider_for(vendor) as provider:

        async def call() -> None:
            if streaming:
                async for _ in provider.stream(call_of(body_of(stream=True))):
                    pass
            else:
                await provider.complete(call_of(body_of()))

        task = asyncio.create_task(call())
        async with asyncio.timeout(10):
            await vendor.arrived.wait()
            left = time.monotonic()
            task.cancel()
            await vendor.caller_gone.wait()
    assert time.monotonic() - left < 0.25


async def test_connections_are_used_again(vendor: Vendor) -> None:
    """After whole answers, after streams and after errors: ten calls, one connection."""
    async with provider_for(vendor) as provider:
        for _ in range(3):
            vendor.script_json(completion())
            await provider.complete(call_of(body_of()))
            vendor.script(Stream([sse(*chat_stream("a"))]))
            [_ async for _ in provider.stream(call_of(body_of(stream=True)))]
            await idle(provider._http)
            vendor.script_json({"error": {"message": "no"}}, status=400)
            await failure(provider, streaming=False)

    assert len(vendor.received) == 9
    assert len({request.peer for request in vendor.received}) == 1


async def test_a_large_request_arrives_whole(vendor: Vendor) -> None:
    """More than a socket takes at once."""
    vendor.script_json(completion())
    text = "x" * 3_000_000
    async with provider_for(vendor) as provider:
        await provider.complete(call_of(body_of(user=text)))

    assert vendor.received[0].body["user"] == text
    assert int(vendor.received[0].headers["Content-Length"]) > 3_000_000


async def test_usage_is_the_last_thing_before_done(vendor: Vendor) -> None:
    """The seam's promise to the meter."""
    vendor.script(Stream([sse(*chat_stream("a"))]))
    async with provider_for(vendor) as provider:
        got = b"".join([block async for block in provider.stream(call_of(body_of(stream=True)))])

    assert json.loads(got.split(b"\n\n")[-3][6:])["usage"] == USAGE
