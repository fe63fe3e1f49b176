"""What a provider may do wrong, the same table for every provider with a wire format of its own."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.errors import GatewayError, ProviderError, ProviderRateLimited, ProviderRejected, ProviderTimeout
from gateway.providers.base import Provider
from tests.support import cerebras_vendor, ollama_vendor
from tests.support import vendor as openai_vendor
from tests.support.provider_calls import blocks_of, chat_call, chunks_in, completion_of, running_provider
from tests.support.vendor import Answer, Stream, Vendor, sse

OPENAI_ERROR = {"error": {"message": "out of memory", "type": "server_error", "param": None, "code": None}}


class Wire:
    """One kind of provider, and how its vendor would say a few things."""

    def __init__(self, kind: str, *, whole: Mapping[str, Any], first: bytes, error: Any) -> None:
        self.kind = kind
        self.whole = dict(whole)
        self.first = first
        self.error = error

    def __repr__(self) -> str:
        return self.kind

    def with_choice(self, content: Any) -> dict[str, Any]:
        """The whole answer with another content."""
        answer: dict[str, Any] = json.loads(json.dumps(self.whole))
        message = answer["message"] if self.kind == "ollama" else answer["choices"][0]["message"]
        message["content"] = content
        return answer

    def without_choices(self) -> dict[str, Any]:
        if self.kind == "ollama":
            return {name: value for name, value in self.whole.items() if name != "message"}
        return {**self.whole, "choices": []}

    def without_usage(self) -> dict[str, Any]:
        return {name: value for name, value in self.whole.items() if name not in {"usage", *ollama_vendor.COUNTS}}

    def with_text_numbers(self) -> dict[str, Any]:
        if self.kind == "ollama":
            return {**self.whole, "eval_count": "2"}
        return {**self.whole, "usage": {"prompt_tokens": "5", "completion_tokens": "2", "total_tokens": "7"}}


WIRES = [
    Wire(
        "openai",
        whole=openai_vendor.completion("hello"),
        first=sse(*openai_vendor.chat_stream("hel")[:2], done=False),
        error=OPENAI_ERROR,
    ),
    Wire(
        "cerebras",
        whole=cerebras_vendor.answer({"content": "hello"}),
        first=sse(*cerebras_vendor.stream({"content": "hel"})[:2], done=False),
        error={"error": {"message": "out of memory"}, "status_code": 500},
    ),
    Wire(
        "ollama",
        whole=ollama_vendor.answer({"content": "hello"}),
        first=ollama_vendor.ndjson(ollama_vendor.text_lines("hel")[:1]),
        error={"error": "out of memory"},
    ),
]


@pytest.fixture(params=WIRES, ids=repr)
def wire(request: pytest.FixtureRequest) -> Wire:
    wire: Wire = request.param
    return wire


def running(wire: Wire, vendor: Vendor) -> Any:
    return running_provider(wire.kind, vendor.url + ("/v1" if wire.kind == "openai" else ""))


async def fails(provider: Provider, *, streaming: bool) -> GatewayError:
    """The row of the error table that a call ends with."""
    answer = blocks_of(provider, chat_call(stream=True)) if streaming else provider.complete(chat_call())
    with pytest.raises(GatewayError) as caught:
        await answer
    return caught.value


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(b"<html>oops</html>", content_type="text/html"), ProviderError, id="HTML"),
        pytest.param(Answer(b""), ProviderError, id="empty body"),
        pytest.param(Answer(b"[]"), ProviderError, id="another shape"),
        pytest.param(Answer(b"\xff\xfe{}"), ProviderError, id="no UTF-8"),
        pytest.param(Answer(b"[" * 100_000), ProviderError, id="nested too deeply"),
        pytest.param(Answer(b"", status=302, headers={"location": "/elsewhere"}), ProviderError, id="redirect"),
        pytest.param(Answer(b"<html>", status=500, content_type="text/html"), ProviderError, id="500"),
        pytest.param(Answer(b"{}", status=401), ProviderError, id="our key refused"),
        pytest.param(Answer(b"{}", status=504), ProviderTimeout, id="504"),
        pytest.param(Answer(b"{}", status=404), ProviderRejected, id="404 without a text"),
    ],
)
async def test_an_answer_that_is_none(
    wire: Wire, vendor: Vendor, answer: Answer, expected: type[GatewayError], streaming: bool
) -> None:
    """Each is one row of the error table, and never a success."""
    vendor.script(answer)
    async with running(wire, vendor) as provider:
        error = await fails(provider, streaming=streaming)

    assert type(error) is expected
    assert len(vendor.received) == 1


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
async def test_an_error_inside_a_200(wire: Wire, vendor: Vendor, streaming: bool) -> None:
    """The vendor's text is in the provider's error, where its row shows it."""
    vendor.script_json(wire.error)
    async with running(wire, vendor) as provider:
        error = await fails(provider, streaming=streaming)

    assert type(error) is ProviderError


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [200, 400])
async def test_a_key_that_the_vendor_quotes(wire: Wire, vendor: Vendor, status: int, streaming: bool) -> None:
    """It is masked in what the caller reads."""
    vendor.script_json(
        {"error": {"message": "sk-vendor-secret may not"}} if wire.kind != "ollama" else {"error": "sk-vendor-secret"},
        status=status,
    )
    async with running(wire, vendor) as provider:
        error = await fails(provider, streaming=streaming)

    assert "***" in error.message
    assert "sk-vendor-secret" not in error.message


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry-after": "7"}, 7.0, id="with Retry-After"),
        pytest.param({}, None, id="without"),
        pytest.param({"retry-after": "soon"}, None, id="with nonsense"),
    ],
)
async def test_too_many_requests(wire: Wire, vendor: Vendor, headers: dict[str, str], expected: float | None) -> None:
    """429 keeps the vendor's wait."""
    vendor.script_json({"error": "slow down"}, status=429, headers=headers)
    async with running(wire, vendor) as provider:
        error = await fails(provider, streaming=False)

    assert type(error) is ProviderRateLimited
    assert error.retry_after == expected


async def test_no_choices(wire: Wire, vendor: Vendor) -> None:
    """An answer without an answer is the provider's error."""
    vendor.script_json(wire.without_choices())
    async with running(wire, vendor) as provider:
        assert type(await fails(provider, streaming=False)) is ProviderError


async def test_numbers_as_strings(wire: Wire, vendor: Vendor) -> None:
    """Usage is money: a count that is no number is not guessed. The answer stands."""
    vendor.script_json(wire.with_text_numbers())
    async with running(wire, vendor) as provider:
        assert (await provider.complete(chat_call())).usage is None


async def test_null_content(wire: Wire, vendor: Vendor) -> None:
    """It is an answer without text."""
    vendor.script_json(wire.with_choice(None))
    async with running(wire, vendor) as provider:
        message = (await completion_of(provider, chat_call()))["choices"][0]["message"]

    assert not message["content"]


async def test_missing_usage(wire: Wire, vendor: Vendor) -> None:
    """The answer stands; its usage is unknown, which is not 0."""
    vendor.script_json(wire.without_usage())
    async with running(wire, vendor) as provider:
        assert (await provider.complete(chat_call())).usage is None


@pytest.mark.parametrize("end", ["clean", "reset"])
async def test_a_stream_that_is_cut(wire: Wire, vendor: Vendor, end: str) -> None:
    """What came arrives, then the provider's error; never `[DONE]`."""
    vendor.script(Stream([wire.first], end=end))
    blocks = []
    async with running(wire, vendor) as provider:
        with pytest.raises(ProviderError):  # what came before counts too
            async for block in provider.stream(chat_call(stream=True)):
                blocks.append(block)  # noqa: PERF401  # a comprehension would lose the blocks with the error

    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks_in(blocks))
    assert text == "hel" or (end == "reset" and not text)  # a reset may overtake what was sent
    assert b"[DONE]" not in b"".join(blocks)


async def test_nothing_listens(wire: Wire) -> None:
    """A refused connection is the provider's error."""
    async with running_provider(wire.kind, "http://127.0.0.1:1") as provider:
        assert type(await fails(provider, streaming=True)) is ProviderError


async def test_leaving_a_stream_lets_go_of_the_vendor(wire: Wire, vendor: Vendor) -> None:
    """Within 250 ms of the generator's close, the vendor sees its caller gone."""
    vendor.script(Stream([wire.first, asyncio.Event()]))
    async with running(wire, vendor) as provider:
        blocks = provider.stream(chat_call(stream=True))
        await anext(blocks)
        await blocks.aclose()
        async with asyncio.timeout(0.25):
            await vendor.caller_gone.wait()
