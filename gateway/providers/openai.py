"""OpenAI, and every vendor that speaks its wire format.

The SDK's client is built once and owns identity: base URL, credentials and default headers. Chat moves as bytes on
the shared transport, because the SDK's own call costs several times the CPU. A vendor that differs a little brings its
own SDK's client and a dialect.
"""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
from openai import AsyncOpenAI
from yarl import URL

from gateway.config import ProviderSettings, Secret
from gateway.errors import GatewayError, ProviderError
from gateway.http.answer import Answer
from gateway.http.client import HttpClient
from gateway.providers.base import (
    Block,
    ChatCall,
    EmbeddingCall,
    ListedModel,
    ProviderCompletion,
    ProviderEmbeddings,
)
from gateway.providers.dialect import Dialect
from gateway.providers.upstream import JSON_HEADERS, Exchange, get, post, stream_error, with_own, without
from gateway.wire.completion import Usage
from gateway.wire.parse import replace_fields
from gateway.wire.sse import DONE, EventSplitter, event, payloads

T = TypeVar("T")

_ERROR_KEY: Final = re.compile(rb'"error"\s*:\s*[{"]')


class _Shape(msgspec.Struct):
    """What a `chat.completion` must have to be one."""

    choices: list[msgspec.Raw]
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _EmbeddingsShape(msgspec.Struct):
    """What an embeddings list must have to be one."""

    data: list[msgspec.Raw]
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Card(msgspec.Struct):
    """One entry of `GET /models`. OpenAI has the first three fields; the others are what vendors add, each its own."""

    id: str
    created: float | None = None
    owned_by: str | None = None
    context_window: int | None = None
    context_length: int | None = None
    max_context_length: int | None = None
    max_model_len: int | None = None

    def listed(self) -> ListedModel:
        return ListedModel(
            id=self.id,
            created=int(self.created or 0),
            owned_by=self.owned_by or "",
            context_window=self.context_window or self.context_length or self.max_context_length or self.max_model_len,
        )


class _Cards(msgspec.Struct):
    data: list[_Card]


_SHAPE: Final = msgspec.json.Decoder(_Shape)
_USAGE: Final[msgspec.json.Decoder[Usage | None]] = msgspec.json.Decoder(Usage | None)
_EMBEDDINGS: Final = msgspec.json.Decoder(_EmbeddingsShape)
_CARDS: Final = msgspec.json.Decoder(_Cards)


class SdkClient(Protocol):
    """What SDKs that are generated as OpenAI's is tell about identity."""

    @property
    def base_url(self) -> Any: ...  # each SDK has its own HTTP library's URL

    @property
    def default_headers(self) -> Mapping[str, Any]: ...

    @property
    def auth_headers(self) -> Mapping[str, str]: ...

    async def close(self) -> None: ...


class OpenAIProvider:
    """One OpenAI-shaped vendor; without a client and a dialect of its own, it is OpenAI itself."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        http: HttpClient,
        client: SdkClient | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._http = http
        self._dialect = dialect
        self._client: SdkClient = client or AsyncOpenAI(
            api_key=settings.api_key.reveal() or "none",
            base_url=settings.base_url,
            default_headers={name: value.reveal() for name, value in settings.headers.items()},
            organization=None,
            project=None,
        )
        self._chat_url = self._url("chat/completions")
        self._embeddings_url = self._url("embeddings")
        self._models_url = self._url("models")
        self._headers = _identity(self._client, with_key=bool(settings.api_key))
        self._secrets = settings.secrets()

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        body = self._body(call, streaming=False)
        async with self._post(self._chat_url, body, call.api_key) as response:
            self._keep_headers(call, response)
            answer = await response.read()
        return self._completion(answer)

    async def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        body = self._body(call, streaming=True)
        async with self._post(self._chat_url, body, call.api_key) as response:
            if response.content_type != "text/event-stream":
                self._completion(await response.read())
                raise ProviderError(f"Provider '{self._name}' answered a stream request without a stream.")
            self._keep_headers(call, response)
            splitter = EventSplitter()
            patch = self._dialect.stream() if self._dialect else None
            error: GatewayError | None = None
            while data := await response.piece():
                block = splitter.feed(data)
                if _ERROR_KEY.search(block):
                    block, error = _split_at_error(self._name, block, with_own(self._secrets, call.api_key))
                if block:
                    yield patch(block) if patch else block
                if error is not None:
                    raise error
                if block.endswith(DONE):
                    response.finish()
                    return
        raise ProviderError(f"Provider '{self._name}' broke off its stream.")

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:
        body = replace_fields(call.body, {"model": call.model}) if call.request.model != call.model else call.body
        async with self._post(self._embeddings_url, body, call.api_key) as response:
            answer = await response.read()
        shape = self._read(answer, _EMBEDDINGS, "an embeddings list")
        if len(shape.data) != len(call.request.inputs):
            raise ProviderError(f"Provider '{self._name}' did not send one vector for each input.")
        return ProviderEmbeddings(answer, _usage(shape.usage))

    async def models(self) -> list[ListedModel]:
        async with get(self._http, self._name, self._models_url, self._headers, secrets=self._secrets) as response:
            answer = await response.read()
        return [card.listed() for card in self._read(answer, _CARDS, "a list of models").data]

    async def check(self) -> None:
        await self.models()

    def _post(self, url: URL, body: bytes, own_key: Secret | None) -> Exchange:
        headers = self._headers
        if own_key is not None:
            headers = {**headers, "Authorization": f"Bearer {own_key.reveal()}"}
        return post(self._http, self._name, url, headers, body, secrets=with_own(self._secrets, own_key))

    async def aclose(self) -> None:
        await self._client.close()

    def _url(self, path: str) -> URL:
        return URL(str(self._client.base_url.join(path)))

    def _body(self, call: ChatCall, *, streaming: bool) -> bytes:
        changes, drop = self._dialect.request(call.request, call.body) if self._dialect else ({}, ())
        if call.request.model != call.model:
            changes["model"] = call.model
        if streaming != bool(call.request.stream):
            changes["stream"] = streaming
        asked = call.request.wants_usage or "stream_options" in changes
        if streaming and self._settings.stream_usage and not asked:
            sent = call.request.stream_options
            kept = (
                {}
                if sent is None or sent.include_obfuscation is None
                else {"include_obfuscation": sent.include_obfuscation}
            )
            changes["stream_options"] = {"include_usage": True, **kept}
        if self._settings.max_output_tokens is not None and call.request.output_cap is None:
            changes["max_completion_tokens"] = self._settings.max_output_tokens
        return replace_fields(call.body, changes, drop) if changes or drop else call.body

    def _keep_headers(self, call: ChatCall, response: Answer) -> None:
        if self._dialect:
            call.vendor_headers.update(self._dialect.headers(response.headers))

    def _completion(self, answer: bytes) -> ProviderCompletion:
        if self._dialect:
            answer = self._dialect.answer(answer)
        shape = self._read(answer, _SHAPE, "a completion")
        if not shape.choices:
            raise ProviderError(f"Provider '{self._name}' sent a completion without choices.")
        return ProviderCompletion(answer, _usage(shape.usage))

    def _read(self, answer: bytes, decoder: msgspec.json.Decoder[T], expected: str) -> T:
        """Return what `answer` holds: some vendors send an error, or HTML, with status 200."""
        try:
            return decoder.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            if _ERROR_KEY.search(answer):
                raise stream_error(self._name, without(self._secrets, answer)) from exc
            raise ProviderError(f"Provider '{self._name}' sent an answer that is not {expected}.") from exc


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


def _identity(client: SdkClient, *, with_key: bool) -> Mapping[str, str]:
    """Return the headers that say who calls: the SDK's credentials and defaults, without its telemetry."""
    headers = {
        name: value
        for name, value in client.default_headers.items()
        if isinstance(value, str) and not name.lower().startswith("x-stainless-")
    }
    if with_key:
        headers.update(client.auth_headers)
    return headers | JSON_HEADERS
