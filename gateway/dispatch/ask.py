"""What a caller asks of the pipeline, the same for every operation."""

from typing import Any, Generic, Self, TypeVar

import msgspec

from gateway.dispatch.catalog import Catalog, Target
from gateway.errors import GatewayError
from gateway.telemetry.record import CallRecord
from gateway.wire.chat import ChatRequest, parse_chat_request
from gateway.wire.embeddings import EmbeddingRequest, parse_embedding_request

R = TypeVar("R", ChatRequest, EmbeddingRequest)


class Ask(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A parsed request and whose it is.

    `provider` is the path's prefix, empty without one. `timeout` is the caller's own, in seconds, counted from
    `started` (`time.monotonic()`); None takes the configured one. `unknown_field` is the error for a field that OpenAI
    does not document, raised unless the target forwards such fields.
    """

    request: R
    body: bytes
    provider: str
    request_id: str
    started: float
    timeout: float | None
    record: CallRecord
    unknown_field: GatewayError | None = None

    @classmethod
    def read(cls, body: bytes) -> tuple[R, GatewayError | None]:
        """Parse `body`. Raises MalformedJson or InvalidRequest."""
        raise NotImplementedError

    @classmethod
    def parse(cls, body: bytes, *, provider: str = "", **caller: Any) -> Self:
        """Return the ask for a JSON body; `caller` are the fields that do not come from it.

        Raises MalformedJson or InvalidRequest.
        """
        request, unknown_field = cls.read(body)
        return cls(request=request, body=body, provider=provider, unknown_field=unknown_field, **caller)

    def targets(self, catalog: Catalog) -> list[Target]:
        """Return the targets to try, in order. Raises ProviderNotFound, ModelNotFound or InvalidRequest."""
        targets = catalog.resolve(self.request.model, self.provider)
        if self.unknown_field is not None:
            targets = [target for target in targets if target.settings.takes(self.unknown_field.param)]
            if not targets:
                raise self.unknown_field
        return targets


class ChatAsk(Ask[ChatRequest], frozen=True):
    """A chat request."""

    @classmethod
    def read(cls, body: bytes) -> tuple[ChatRequest, GatewayError | None]:
        return parse_chat_request(body)


class EmbeddingAsk(Ask[EmbeddingRequest], frozen=True):
    """An embeddings request."""

    @classmethod
    def read(cls, body: bytes) -> tuple[EmbeddingRequest, GatewayError | None]:
        return parse_embedding_request(body)
