"""Whose key pays, for every kind of provider: the caller's key reaches exactly the one it was sent for."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import msgspec
import pytest

from gateway.storage.database import open_database
from tests.support import cerebras_vendor, gemini, ollama_vendor
from tests.support.booked import Booked, booked, booked_settings
from tests.support.ledger_records import rows
from tests.support.vendor import Vendor, completion, running_vendor

CANARY: Final = "canary-of-the-caller"
OURS: Final = "key-of-the-gateway"
OWN: Final = {"x-provider-api-key": CANARY}


class Kind(msgspec.Struct, frozen=True):
    """A kind of provider, an operation of it, and where its vendor looks for the key."""

    kind: str
    operation: str
    header: str
    prefix: str
    answer: Any
    base: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.operation}"


_VECTORS: Final = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}}
KINDS: Final = (
    Kind("openai", "chat", "Authorization", "Bearer ", completion(), "/v1"),
    Kind("openai", "embeddings", "Authorization", "Bearer ", _VECTORS, "/v1"),
    Kind("cerebras", "chat", "Authorization", "Bearer ", cerebras_vendor.answer({"content": "hi"})),
    Kind("ollama", "chat", "Authorization", "Bearer ", ollama_vendor.answer({"content": "hi"})),
    Kind("ollama", "embeddings", "Authorization", "Bearer ", {"embeddings": [[0.5]], "prompt_eval_count": 1}),
    Kind("gemini", "chat", "x-goog-api-key", "", gemini.answer(gemini.candidate("hi"))),
    Kind("gemini", "embeddings", "x-goog-api-key", "", {"embeddings": [{"values": [0.5]}]}),
)

Ask = Callable[[Booked], Awaitable[Any]]


def _ask(kind: Kind, metadata: dict[str, str], model: str = "asked/m") -> Ask:
    def embed(gateway: Booked) -> Awaitable[Any]:
        return gateway.embed("hello", model=model, metadata=metadata)

    def chat(gateway: Booked) -> Awaitable[Any]:
        return gateway.ask([{"role": "user", "content": "hello"}], model=model, metadata=metadata)

    return embed if kind.operation == "embeddings" else chat


@pytest.fixture(params=KINDS, ids=str)
async def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind and operation."""
    found: Kind = request.param
    return found


@pytest.fixture
async def vendor(kind: Kind) -> AsyncIterator[Vendor]:
    """Its vendor, which takes every key."""
    async with running_vendor() as running:
        running.script_json(kind.answer)
        yield running


async def _answered(folder: Path, yaml: str, ask: Ask) -> Any:
    """Ask once, and return the call's row; raises what the caller got."""
    database = f"sqlite:///{folder}/gateway.db"
    settings = booked_settings(folder, "http://127.0.0.1:9", {"DATABASE_URL": database}, yaml)
    async with booked(settings) as gateway:
        await ask(gateway)
    async with open_database(database) as opened:
        (row,) = (await rows(opened)).values()
    return row


def _provider(kind: Kind, url: str, source: str) -> str:
    settings = {"kind": kind.kind, "base_url": url + kind.base, "key_source": source, "api_key": OURS}
    if source == "client":
        del settings["api_key"]
    return json.dumps(settings)


def _assert_nowhere(folder: Path, log: str) -> None:
    written = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "gateway.db" in written
    assert "provider=asked" in log
    for name, text in (*written.items(), ("log", log.encode())):
        assert CANARY.encode() not in text, name


@pytest.mark.parametrize(
    ("source", "metadata", "key", "payer"),
    [
        pytest.param("gateway", OWN, OURS, "gateway", id="ours, another one sent"),
        pytest.param("client", OWN, CANARY, "client", id="the caller's"),
        pytest.param("hybrid", OWN, CANARY, "client", id="hybrid, one sent"),
        pytest.param("hybrid", {}, OURS, "gateway", id="hybrid, none sent"),
    ],
)
async def test_the_vendor_gets_the_key_that_pays(
    *,
    tmp_path: Path,
    kind: Kind,
    vendor: Vendor,
    source: str,
    metadata: dict[str, str],
    key: str,
    payer: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In that vendor's own header, and in no other; the caller's is written down nowhere."""
    yaml = f"providers: {{asked: {_provider(kind, vendor.url, source)}}}\n"
    row = await _answered(tmp_path, yaml, _ask(kind, metadata))
    (received,) = vendor.received
    others = {name: value for name, value in received.headers.items() if name.lower() != kind.header.lower()}

    assert received.headers[kind.header] == kind.prefix + key
    assert not [name for name, value in others.items() if CANARY in value or OURS in value]
    assert CANARY not in received.text + received.path
    assert row.payer == payer
    _assert_nowhere(tmp_path, "".join(capfd.readouterr()))


async def test_without_the_caller_s_key_the_call_is_refused(tmp_path: Path, kind: Kind, vendor: Vendor) -> None:
    """401 that names the header, and the vendor is not asked."""
    yaml = f"providers: {{asked: {_provider(kind, vendor.url, 'client')}}}\n"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _answered(tmp_path, yaml, _ask(kind, {}))

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "x-provider-api-key" in str(caught.value.details())
    assert not vendor.received


async def test_a_refused_key_of_the_caller_s_is_not_repeated(
    tmp_path: Path, kind: Kind, vendor: Vendor, capfd: pytest.CaptureFixture[str]
) -> None:
    """401 for the caller, though the vendor quotes the key it refused; nobody else reads it."""
    vendor.script_json({"error": {"message": f"API key not valid: {CANARY}", "code": "invalid_api_key"}}, status=401)
    yaml = f"providers: {{asked: {_provider(kind, vendor.url, 'hybrid')}}}\n"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _answered(tmp_path, yaml, _ask(kind, OWN))

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert CANARY not in repr(caught.value)
    _assert_nowhere(tmp_path, "".join(capfd.readouterr()))


async def test_the_key_goes_to_no_second_provider(tmp_path: Path, kind: Kind, vendor: Vendor) -> None:
    """When the first target fails, the next one is asked with the gateway's own key."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_vendor())
        first.script_json({"error": {"message": "busy"}}, status=503)
        one, two = (_provider(kind, url, "hybrid") for url in (first.url, vendor.url))
        yaml = f"providers: {{one: {one}, two: {two}}}\naliases: {{both: [one/m, two/m]}}\n"
        row = await _answered(tmp_path, yaml, _ask(kind, OWN, "both"))

    assert {received.headers[kind.header] for received in first.received} == {kind.prefix + CANARY}
    assert {received.headers[kind.header] for received in vendor.received} == {kind.prefix + OURS}
    assert (row.provider, row.payer) == ("two", "gateway")
