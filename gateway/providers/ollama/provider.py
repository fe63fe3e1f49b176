"""Ollama's native API as a provider."""

from collections.abc import AsyncGenerator, Mapping
from typing import Final

import msgspec
from msgspec import UNSET
from yarl import URL

from gateway.config import ProviderSettings, Secret
from gateway.errors import GatewayError, InvalidRequest, ProviderError
from gateway.http.client import HttpClient
from gateway.providers.base import (
    Block,
    ChatCall,
    EmbeddingCall,
    ListedModel,
    ProviderCompletion,
    ProviderEmbeddings,
)
from gateway.providers.ollama import wire
from gateway.providers.ollama.client import OllamaClient
from gateway.providers.ollama.listing import listed_models
from gateway.providers.ollama.reply import ReplyStream, completion
from gateway.providers.ollama.request import KNOWN, chat_body, embed_body
from gateway.providers.parameters import Parameters
from gateway.providers.upstream import Exchange, get, post, status_error, stream_error, with_own, without
from gateway.wire.completion import Usage
from gateway.wire.embeddings import embeddings_body

_VERSION: Final = msgspec.json.Decoder(wire.VersionAnswer)
_EMBED: Final = msgspec.json.Decoder(wire.EmbedAnswer)


class OllamaProvider:
    """One Ollama server."""

    def __init__(self, name: str, settings: ProviderSettings, http: HttpClient) -> None:
        self._name = name
        self._settings = settings
        self._http = http
        self._parameters = Parameters(name, settings.unsupported_parameters, KNOWN)
        headers = {name: value.reveal() for name, value in settings.headers.items()}
        self._client = OllamaClient(settings.base_url, settings.api_key.reveal(), headers)
        self._chat_url = self._client.url("/api/chat")
        self._embed_url = self._client.url("/api/embed")
        self._version_url = self._client.url("/api/version")
        self._headers = self._client.identity()
        self._secrets = settings.secrets()

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        async with self._post(self._chat_url, self._body(call, streaming=False), call.api_key) as response:
            answer = await response.read()
        return completion(self._name, answer, call.model, with_own(self._secrets, call.api_key))

    async def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        reply = ReplyStream(self._name, call.model, with_own(self._secrets, call.api_key))
        async with self._post(self._chat_url, self._body(call, streaming=True), call.api_key) as response:
            while data := await response.piece():
                if block := reply.feed(data):
                    yield block
                if reply.failure is not None:
                    raise reply.failure
                if reply.done:
                    response.finish()
                    return
        if block := reply.end():
            yield block
        if not reply.done:
            raise reply.failure or ProviderError(f"Provider '{self._name}' broke off its stream.")

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:
        request = call.request
        texts = [text for text in request.inputs if isinstance(text, str)]
        if len(texts) != len(request.inputs):
            raise InvalidRequest(
                f"Invalid type for 'input': provider '{self._name}' takes texts only, no tokens.",
                param="input",
                code="invalid_type",
            )
        if request.user is not UNSET:
            self._parameters.unsupported("user")
        body = embed_body(call, texts, self._settings)
        async with self._post(self._embed_url, body, call.api_key) as response:
            text = await response.read()
        answer = self._embeddings(text)
        if len(answer.embeddings) != len(texts):
            raise ProviderError(f"Provider '{self._name}' did not send one vector for each input.")
        usage = wire.usage(answer.prompt_eval_count)
        vectors = embeddings_body(answer.embeddings, request=request, model=call.model, usage=usage or Usage())
        return ProviderEmbeddings(vectors, usage)

    async def models(self) -> list[ListedModel]:
        return await listed_models(self._client, self._name)

    async def check(self) -> None:
        async with get(self._http, self._name, self._version_url, self._headers, secrets=self._secrets) as response:
            answer = await response.read()
        try:
            _VERSION.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ProviderError(f"Provider '{self._name}' sent an answer that is not Ollama's version.") from exc

    async def aclose(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]  # the SDK has no annotation there

    def _post(self, url: URL, body: bytes, own_key: Secret | None) -> Exchange:
        headers = self._headers
        if own_key is not None:
            headers = {**headers, "Authorization": f"Bearer {own_key.reveal()}"}
        secrets = with_own(self._secrets, own_key)
        return post(self._http, self._name, url, headers, body, secrets=secrets, failure=_failure)

    def _body(self, call: ChatCall, *, streaming: bool) -> bytes:
        return chat_body(call, self._parameters, self._settings, streaming=streaming)

    def _embeddings(self, text: bytes) -> wire.EmbedAnswer:
        try:
            answer = _EMBED.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ProviderError(f"Provider '{self._name}' sent an answer that is not a list of embeddings.") from exc
        if answer.error:
            raise stream_error(self._name, without(self._secrets, text))
        return answer


def _failure(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Return the row for a status; Ollama's 404, a bare text, gets the code and the field that OpenAI's has."""
    error = status_error(provider, status, headers, body)
    if status == 404:
        error.code, error.param = "model_not_found", "model"
    return error
