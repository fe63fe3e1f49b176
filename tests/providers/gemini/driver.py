"""Drives the Gemini provider as the pipeline does."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.config import ProviderSettings, Secret
from gateway.http.client import HttpClient
from gateway.providers.base import ChatCall, EmbeddingCall, ProviderEmbeddings
from gateway.providers.gemini import GeminiProvider
from gateway.wire.chat import parse_chat_request
from gateway.wire.completion import Chunk, Completion
from gateway.wire.embeddings import parse_embedding_request
from gateway.wire.sse import DONE, payloads
from tests.support.gemini import KEY, USAGE, Gemini, answer, candidate

MODEL = "gemini-2.5-flash"
HELLO = [{"role": "user", "content": "hello"}]


class Driver:
    """Sends requests through a provider at the vendor `google`."""

    def __init__(self, google: Gemini, http: HttpClient) -> None:
        self.google = google
        self.http = http

    def provider(self, **settings: Any) -> GeminiProvider:
        options = {"kind": "gemini", "base_url": self.google.url, "api_key": Secret(KEY), **settings}
        return GeminiProvider("gemini", ProviderSettings(**options), self.http)

    async def sent(
        self, model: str = MODEL, settings: Mapping[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Return the body that Gemini receives for a request with these fields."""
        self.google.script_answers(answer(candidate("ok")))
        await self.provider(**settings or {}).complete(chat_call(model, **fields))
        return self.google.received[-1].body

    async def complete(self, *, model: str = MODEL, **fields: Any) -> dict[str, Any]:
        """Return the whole answer as JSON; it has OpenAI's shape."""
        body = (await self.provider().complete(chat_call(model, **fields))).body
        msgspec.json.decode(body, type=Completion)
        shown: dict[str, Any] = json.loads(body)
        return shown

    async def stream(self, *, model: str = MODEL, **fields: Any) -> list[dict[str, Any]]:
        """Return the chunks of a stream that ends well; each has OpenAI's shape."""
        blocks = [block async for block in self.provider().stream(chat_call(model, stream=True, **fields))]
        assert blocks[-1].endswith(DONE)
        return chunks(b"".join(blocks))

    async def embed(self, *, settings: Mapping[str, Any] | None = None, **fields: Any) -> ProviderEmbeddings:
        body = json.dumps({"model": "gemini/gemini-embedding-001", "input": "hello", **fields}).encode()
        request, _ = parse_embedding_request(body)
        call = EmbeddingCall(request=request, body=body, model="gemini-embedding-001", request_id="r-1")
        return await self.provider(**settings or {}).embed(call)


def chat_call(model: str = MODEL, **fields: Any) -> ChatCall:
    """The call that the pipeline makes of a JSON body with these fields."""
    body = json.dumps({"model": f"gemini/{model}", "messages": HELLO, **fields}).encode()
    request, _ = parse_chat_request(body)
    return ChatCall(request=request, body=body, model=model, request_id="r-1")


def chunks(blocks: bytes) -> list[dict[str, Any]]:
    shown = []
    for payload in payloads(blocks):
        msgspec.json.decode(payload, type=Chunk)
        shown.append(json.loads(payload))
    return shown


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def tool(name: str = "get_weather", parameters: Any = None, **function: Any) -> dict[str, Any]:
    shown = {"name": name, **({"parameters": parameters} if parameters is not None else {}), **function}
    return {"type": "function", "function": shown}


def call(call_id: str, name: str = "get_weather", arguments: str = '{"city":"Rome"}', **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def asks(*calls: Any, content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(call_id: str, content: Any = "sunny") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


__all__ = ["HELLO", "MODEL", "USAGE", "Driver", "asks", "call", "chat_call", "chunks", "result", "tool", "user"]
