"""One embeddings call, from its body to its answer."""

from gateway.config import TimeSettings
from gateway.dispatch.ask import EmbeddingAsk
from gateway.dispatch.attempts import whole_answer
from gateway.dispatch.catalog import Catalog, Target
from gateway.providers.base import EmbeddingCall


class EmbeddingDispatcher:
    """Sends embeddings calls to providers."""

    def __init__(self, catalog: Catalog, limits: TimeSettings) -> None:
        self._catalog = catalog
        self._limits = limits

    async def embed(self, ask: EmbeddingAsk) -> bytes:
        """Return the body of the answer. Raises leaves of GatewayError."""

        async def attempt(target: Target) -> bytes:
            call = EmbeddingCall(request=ask.request, body=ask.body, model=target.model, request_id=ask.request_id)
            embeddings = await target.provider.embed(call)
            ask.record.usage = embeddings.usage
            return embeddings.body

        return await whole_answer(ask, ask.targets(self._catalog), attempt, self._limits)
