"""One embeddings call, from its body to its answer."""

from gateway.admission.admission import Admission
from gateway.admission.permit import Permit
from gateway.config import TimeSettings
from gateway.dispatch.ask import EmbeddingAsk
from gateway.dispatch.attempts import WholeAnswers
from gateway.dispatch.catalog import Catalog, Target


class EmbeddingDispatcher:
    """Sends embeddings calls to providers."""

    def __init__(self, catalog: Catalog, limits: TimeSettings, admission: Admission) -> None:
        self._answers = WholeAnswers(catalog, limits, admission)

    async def embed(self, ask: EmbeddingAsk) -> bytes:
        """Return the body of the answer. Raises leaves of GatewayError."""

        async def attempt(target: Target, permit: Permit) -> bytes:
            embeddings = await target.provider.embed(ask.call(target, permit))
            ask.record.usage = embeddings.usage
            return embeddings.body

        return await self._answers.get(ask, attempt)
