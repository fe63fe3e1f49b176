"""OpenAI, and every vendor that speaks its wire format.

The SDK's client is built once and owns identity: base URL, credentials and default headers. Chat moves as bytes on
the shared transport, because the SDK's own call costs several times the CPU.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import aiohttp
import msgspec
from openai import AsyncOpenAI
from yarl import URL

from gateway.config import ProviderSettings
from gateway.errors import GatewayError, ProviderError
from gateway.providers.base import Block, ChatCall, ProviderCompletion
from gateway.providers.upstream import post, stream_error, without
from gateway.wire.completion import Usage
from gateway.wire.parse import replace_fields
from gateway.wire.sse import DONE, EventSplitter, event, payloads

_ERROR_KEY: Final = re.compile(rb'"error"\s*:\s*[{"]')


class _Shape(msgspec.Struct):
    """What a `chat.completion` must have to be one."""

    choices: list[msgspec.Raw]
    usage: msgspec.Raw = msgspec.Raw(b"null")


_SHAPE: Final = msgspec.json.Decoder(_Shape)
_USAGE: Final[msgspec.json.Decoder[Usage | None]] = msgspec.json.Decoder(Usage | None)


class OpenAIProvider:
    """One OpenAI-shaped vendor."""

    def __init__(self, name: str, settings: ProviderSettings, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._settings = settings
        self._session = session
        self._client = AsyncOpenAI(
            api_key=settings.api_key.reveal() or "none",
            base_url=settings.base_url,
            default_headers={name: value.reveal() for name, value in settings.headers.items()},
            organization=None,
            project=None,
        )
        self._chat_url = URL(str(self._client.base_url.join("chat/completions")))
        self._headers = _identity(self._client, with_key=bool(settings.api_key))
        self._secrets = [
            secret.reveal().encode() for secret in (settings.api_key, *settings.headers.values()) if secret
        ]

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        body = self._body(call, streaming=False)
        async with self._post(body) as response:
            answer = await response.read()
        return self._completion(answer)

    async def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        body = self._body(call, streaming=True)
        async with self._post(body) as response:
            if response.content_type != "text/event-stream":
                self._completion(await response.read())
                raise ProviderError(f"Provider '{self._name}' answered a stream request without a stream.")
            splitter = EventSplitter()
            async for data in response.content.iter_any():
                block = splitter.feed(data)
                if _ERROR_KEY.search(block):
                    block, error = _split_at_error(self._name, block, self._secrets)
                    if error is not None:
                        if block:
                            yield block
                        raise error
                if block:
                    yield block
                if block.endswith(DONE):
                    await _read_end(response)
                    return
        raise ProviderError(f"Provider '{self._name}' broke off its stream.")

    def _post(self, body: bytes) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return post(self._session, self._name, self._chat_url, self._headers, body, secrets=self._secrets)

    async def aclose(self) -> None:
        await self._client.close()

    def _body(self, call: ChatCall, *, streaming: bool) -> bytes:
        changes: dict[str, Any] = {}
        if call.request.model != call.model:
            changes["model"] = call.model
        if streaming != bool(call.request.stream):
            changes["stream"] = streaming
        if streaming and self._settings.stream_usage and not call.request.wants_usage:
            changes["stream_options"] = {"include_usage": True}
        if self._settings.max_output_tokens is not None and call.request.output_cap is None:
            changes["max_completion_tokens"] = self._settings.max_output_tokens
        return replace_fields(call.body, changes) if changes else call.body

    def _completion(self, answer: bytes) -> ProviderCompletion:
        """Check that `answer` is a completion: some vendors send an error, or HTML, with status 200."""
        try:
            shape = _SHAPE.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            if _ERROR_KEY.search(answer):
                raise stream_error(self._name, without(self._secrets, answer)) from exc
            raise ProviderError(f"Provider '{self._name}' sent an answer that is not a completion.") from exc
        if not shape.choices:
            raise ProviderError(f"Provider '{self._name}' sent a completion without choices.")
        return ProviderCompletion(answer, _usage(shape.usage))


def _usage(sent: msgspec.Raw) -> Usage | None:
    """Return the usage; a vendor that writes it in its own way still gave its answer."""
    try:
        return _USAGE.decode(sent)
    except ValueError:
        return None


def _split_at_error(provider: str, block: Block, secrets: Sequence[bytes]) -> tuple[Block, GatewayError | None]:
    """Return the events before the first one that is an error, and its row; the whole block if there is none."""
    good: list[bytes] = []
    for payload in payloads(block):
        try:
            error = _MAYBE_ERROR.decode(payload).error
        except (ValueError, RecursionError):  # not JSON: whoever reads it will say so
            error = None
        if error:
            return b"".join(good), stream_error(provider, without(secrets, payload))
        good.append(event(payload))
    return block, None


class _MaybeError(msgspec.Struct):
    error: Any = None


_MAYBE_ERROR: Final = msgspec.json.Decoder(_MaybeError)


async def _read_end(response: aiohttp.ClientResponse) -> None:
    """Read the end of the HTTP answer, so that its connection can be used again; it mostly came with `[DONE]`.

    A vendor that breaks the connection now has nevertheless said everything.
    """
    if not response.content.at_eof():
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_END_WAIT_S):
                await response.content.readany()


_END_WAIT_S: Final = 0.1


def _identity(client: AsyncOpenAI, *, with_key: bool) -> Mapping[str, str]:
    """Return the headers that say who calls: the SDK's credentials and defaults, without its telemetry."""
    headers = {
        name: value
        for name, value in client.default_headers.items()
        if isinstance(value, str) and not name.lower().startswith("x-stainless-")
    }
    if with_key:
        headers.update(client.auth_headers)
    headers["Content-Type"] = "application/json"
    headers["Accept-Encoding"] = "identity"
    return headers
