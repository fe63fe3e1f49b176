"""Gemini behind the seam."""

import re
from collections.abc import AsyncGenerator
from typing import Final

from yarl import URL

from gateway.config import ProviderSettings, Secret
from gateway.errors import GatewayError, ModelNotFound, ProviderError
from gateway.http.client import HttpClient
from gateway.providers.base import (
    Block,
    ChatCall,
    EmbeddingCall,
    ListedModel,
    ProviderCompletion,
    ProviderEmbeddings,
)
from gateway.providers.gemini.catalog import listed_models
from gateway.providers.gemini.embeddings import embedding_batches, embeddings
from gateway.providers.gemini.errors import failure
from gateway.providers.gemini.reply import completion
from gateway.providers.gemini.request import KNOWN_PARAMETERS, generate_body
from gateway.providers.gemini.stream import ChunkWriter
from gateway.providers.parameters import Parameters
from gateway.providers.upstream import Exchange, get, post, with_own
from gateway.wire.sse import EventSplitter, payloads

_VERSION: Final = "v1beta"
_MODEL: Final = re.compile(r"(?:models/|tunedModels/)?[A-Za-z0-9][A-Za-z0-9._-]*")


class GeminiProvider:
    """Google's Generative Language API. `base_url` may end with the API's version."""

    def __init__(self, name: str, settings: ProviderSettings, http: HttpClient) -> None:
        self._name = name
        self._settings = settings
        self._http = http
        self._parameters = Parameters(name, settings.unsupported_parameters, KNOWN_PARAMETERS)
        base = settings.base_url.rstrip("/")
        self._base_url = URL(base if base.rpartition("/")[2].startswith("v1") else f"{base}/{_VERSION}")
        self._headers = {
            **{name: value.reveal() for name, value in settings.headers.items()},
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        self._secrets = settings.secrets()
        if settings.api_key:
            self._headers["x-goog-api-key"] = settings.api_key.reveal()

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        body = generate_body(call, self._settings, self._parameters, self._base_url)
        url = self._url(call.model, "generateContent")
        async with self._post(url, body, call.api_key) as response:
            answer = await response.read()
        return completion(self._name, call, answer)

    async def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        body = generate_body(call, self._settings, self._parameters, self._base_url)
        url = self._url(call.model, "streamGenerateContent?alt=sse")
        async with self._post(url, body, call.api_key) as response:
            if response.content_type != "text/event-stream":
                completion(self._name, call, await response.read())
                raise ProviderError(f"Provider '{self._name}' answered a stream request without a stream.")
            splitter = EventSplitter()
            writer = ChunkWriter(self._name, call)
            while data := await response.piece():
                block, error = _written(writer, splitter.feed(data))
                if block:
                    yield block
                if error is not None:
                    raise error
        yield writer.end()

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:
        batches = embedding_batches(call, self._name, self._settings, self._parameters)
        url = self._url(call.model, "batchEmbedContents")
        answers = []
        for body in batches:
            async with self._post(url, body, call.api_key) as response:
                answers.append(await response.read())
        return embeddings(self._name, call, answers)

    async def models(self) -> list[ListedModel]:
        models: list[ListedModel] = []
        query: dict[str, str] | None = {"pageSize": "1000"}
        while query is not None:
            url = (self._base_url / "models").with_query(query)
            async with get(
                self._http, self._name, url, self._headers, secrets=self._secrets, failure=failure
            ) as response:
                listed, page = listed_models(self._name, await response.read())
            models += listed
            query = {"pageSize": "1000", "pageToken": page} if page else None
        return models

    async def check(self) -> None:
        url = (self._base_url / "models").with_query({"pageSize": "1"})
        async with get(self._http, self._name, url, self._headers, secrets=self._secrets, failure=failure) as answer:
            listed_models(self._name, await answer.read())

    def _post(self, url: URL, body: bytes, own_key: Secret | None) -> Exchange:
        headers = self._headers if own_key is None else {**self._headers, "x-goog-api-key": own_key.reveal()}
        secrets = with_own(self._secrets, own_key)
        return post(self._http, self._name, url, headers, body, secrets=secrets, failure=failure)

    async def aclose(self) -> None:
        """Nothing to release: the session is the worker's."""

    def _url(self, model: str, method: str) -> URL:
        if not _MODEL.fullmatch(model):
            raise ModelNotFound(f"'{model}' is not the name of a Gemini model.", param="model")
        path = model if "/" in model else f"models/{model}"
        return URL(f"{self._base_url}/{path}:{method}", encoded=True)


def _written(writer: ChunkWriter, events: bytes) -> tuple[Block, GatewayError | None]:
    """Return the chunks of some events, up to the first one that is an error, and that error."""
    block = b""
    try:
        for payload in payloads(events):
            block += writer.take(payload)
    except GatewayError as error:
        return block, error
    return block, None
