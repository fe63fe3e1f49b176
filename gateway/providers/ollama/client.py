"""Ollama's own SDK client: it owns the address and the credentials, and makes the rare calls."""

from collections.abc import Mapping

import ollama
from yarl import URL

from gateway.providers.upstream import JSON_HEADERS


class OllamaClient(ollama.AsyncClient):
    """The SDK's client, which also tells where it sends requests and as whom.

    Chat and embeddings go there as bytes on the shared transport. The SDK's own calls lose what its types do not
    know (nested schemas of tools, ids of calls, `Retry-After`), open an image whose text names a local file, and cost
    more CPU.
    """

    def __init__(self, host: str, api_key: str, headers: Mapping[str, str]) -> None:
        """`host` is read as Ollama reads `OLLAMA_HOST`: scheme, port and path may be missing."""
        own = {name.lower(): value for name, value in headers.items()}
        if api_key:
            own.setdefault("authorization", f"Bearer {api_key}")
        super().__init__(host or None, headers=own, follow_redirects=False)
        if "authorization" not in own:
            self._client.headers.pop("authorization", None)  # the SDK's own key from the environment is not this host's

    def url(self, path: str) -> URL:
        """Return the address of an API path, e.g. `/api/chat`."""
        return URL(str(self._client.base_url).rstrip("/") + path)

    def identity(self) -> dict[str, str]:
        """Return the headers that say who calls."""
        ours = {"host", "accept", "accept-encoding", "connection", "content-type"}
        return {name: value for name, value in self._client.headers.items() if name not in ours} | JSON_HEADERS
