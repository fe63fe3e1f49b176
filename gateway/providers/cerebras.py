"""Cerebras: OpenAI's wire format with differences, under the identity of Cerebras's own SDK."""

from cerebras.cloud.sdk import AsyncCerebras
from yarl import URL

from gateway.config import ProviderSettings
from gateway.errors import UnsupportedFeature
from gateway.http.client import HttpClient
from gateway.providers.base import EmbeddingCall, ProviderEmbeddings
from gateway.providers.cerebras_dialect import CerebrasDialect
from gateway.providers.openai import OpenAIProvider


class CerebrasProvider(OpenAIProvider):
    """Cerebras. Its base URL is given with or without the `/v1` that OpenAI's has."""

    def __init__(self, name: str, settings: ProviderSettings, http: HttpClient) -> None:
        client = AsyncCerebras(
            api_key=settings.api_key.reveal(),
            base_url=settings.base_url.rstrip("/").removesuffix("/v1"),
            default_headers={name: value.reveal() for name, value in settings.headers.items()},
            warm_tcp_connection=False,  # the SDK would block on the network while the gateway starts
        )
        super().__init__(name, settings, http, client, CerebrasDialect(name, settings))

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:  # noqa: ARG002  # the seam's signature
        raise UnsupportedFeature(f"Provider '{self.name}' makes no embeddings.")

    def _url(self, path: str) -> URL:
        return super()._url(f"v1/{path}")
