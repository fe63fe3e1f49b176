"""Providers called as the pipeline calls them, without the pipeline."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.config import ProviderSettings, Secret
from gateway.http.client import HttpClient
from gateway.providers.base import Block, ChatCall, EmbeddingCall, Provider
from gateway.providers.registry import builder_of
from gateway.wire.chat import parse_chat_request
from gateway.wire.embeddings import parse_embedding_request
from gateway.wire.sse import DONE, payloads

HELLO = [{"role": "user", "content": "hello"}]


@asynccontextmanager
async def running_provider(
    kind: str,
    base_url: str,
    *,
    api_key: str = "sk-vendor-secret",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> AsyncIterator[Provider]:
    """Yield a provider of this kind, named like it; `more` are its settings."""
    secrets = {name: Secret(value) for name, value in (headers or {}).items()}
    more |= {"kind": kind, "base_url": base_url, "api_key": Secret(api_key), "headers": secrets}
    async with HttpClient(connect_timeout=5) as session:
        settings = ProviderSettings(**more)
        provider = builder_of(settings)(kind, settings, session)
        try:
            yield provider
        finally:
            await provider.aclose()


def chat_call(model: str = "llama3.2", **request: Any) -> ChatCall:
    """A call for a request; without messages it says hello."""
    body = json.dumps({"model": f"some/{model}", "messages": HELLO, **request}).encode()
    parsed, _ = parse_chat_request(body)
    return ChatCall(request=parsed, body=body, model=model, request_id="req-1")


def embedding_call(model: str = "llama3.2", **request: Any) -> EmbeddingCall:
    body = json.dumps({"model": f"some/{model}", **request}).encode()
    parsed, _ = parse_embedding_request(body)
    return EmbeddingCall(request=parsed, body=body, model=model, request_id="req-1")


async def completion_of(provider: Provider, call: ChatCall) -> dict[str, Any]:
    """The whole answer, decoded."""
    answer: dict[str, Any] = json.loads((await provider.complete(call)).body)
    return answer


async def blocks_of(provider: Provider, call: ChatCall) -> list[Block]:
    return [block async for block in provider.stream(call)]


async def chunks_of(provider: Provider, call: ChatCall) -> list[dict[str, Any]]:
    """The chunks of a stream that ended well."""
    blocks = await blocks_of(provider, call)
    assert blocks[-1].endswith(DONE)
    return chunks_in(blocks)


def chunks_in(blocks: list[Block]) -> list[dict[str, Any]]:
    return [json.loads(payload) for block in blocks for payload in payloads(block)]
