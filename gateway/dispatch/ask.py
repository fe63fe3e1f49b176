"""What a caller asks of the pipeline, the same for every operation."""

from typing import Any, Generic, Self, TypeVar

import msgspec

from gateway.admission.bound import prompt_bound
from gateway.admission.call import CallFacts
from gateway.admission.embedding_bound import embedding_bound
from gateway.admission.keys import ANONYMOUS, Caller
from gateway.admission.permit import Permit
from gateway.config import Secret
from gateway.dispatch.catalog import Catalog, Target
from gateway.errors import GatewayError
from gateway.providers.base import ChatCall, EmbeddingCall
from gateway.telemetry.record import CallRecord
from gateway.wire.chat import ChatRequest, parse_chat_request
from gateway.wire.embeddings import EmbeddingRequest, parse_embedding_request
from gateway.wire.parse import replace_fields

R = TypeVar("R", ChatRequest, EmbeddingRequest)


class Ask(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A parsed request and whose it is.

    `provider` is the path's prefix, empty without one. `timeout` is the caller's own, in seconds, counted from
    `started` (`time.monotonic()`); None takes the configured one. `unknown_field` is the error for a field that OpenAI
    does not document, raised unless the target forwards such fields. `provider_key` is the caller's
    own key for a provider.
    """

    request: R
    body: bytes
    provider: str
    request_id: str
    started: float
    timeout: float | None
    record: CallRecord
    caller: Caller = ANONYMOUS
    provider_key: Secret | None = None
    unknown_field: GatewayError | None = None

    @classmethod
    def read(cls, body: bytes) -> tuple[R, GatewayError | None]:
        """Parse `body`. Raises MalformedJson or InvalidRequest."""
        raise NotImplementedError  # each kind of ask has its own

    @classmethod
    def parse(cls, body: bytes, *, provider: str = "", **caller: Any) -> Self:
        """Return the ask for a JSON body; `caller` are the fields that do not come from it.

        Raises MalformedJson or InvalidRequest.
        """
        request, unknown_field = cls.read(body)
        return cls(request=request, body=body, provider=provider, unknown_field=unknown_field, **caller)

    def facts(self, lease_s: float, *, streams: bool = False) -> CallFacts:
        """Return what admission must know. In `lease_s` seconds the call is over."""
        raise NotImplementedError  # each kind of ask has its own

    def targets(self, catalog: Catalog) -> list[Target]:
        """Return the targets to try, in order. Raises ProviderNotFound, ModelNotFound or InvalidRequest."""
        targets = catalog.resolve_for(self.caller.key_id, self.request.model, self.provider)
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

    def facts(self, lease_s: float, *, streams: bool = False) -> CallFacts:
        return CallFacts(
            caller=self.caller,
            request_id=self.request_id,
            operation="chat",
            prompt_tokens=prompt_bound(self.request),
            output_cap=self.request.output_cap,
            choices=self.request.n or 1,
            streams=streams,
            provider_key=self.provider_key,
            lease_s=lease_s,
            record=self.record,
        )

    def call(self, target: Target, permit: Permit) -> ChatCall:
        """Return the call to make at `target`, with the output cap that the permit asks for."""
        request, body = self.request, self.body
        if permit.output_cap is not None:
            spoken = request.max_completion_tokens is None and request.max_tokens is not None
            cap = {"max_tokens" if spoken else "max_completion_tokens": permit.output_cap}
            request, body = msgspec.structs.replace(request, **cap), replace_fields(body, cap)
        headers = self.record.vendor_headers
        headers.clear()  # of an attempt that failed
        return ChatCall(
            request=request,
            body=body,
            model=target.model,
            request_id=self.request_id,
            api_key=permit.provider_key,
            vendor_headers=headers,
        )


class EmbeddingAsk(Ask[EmbeddingRequest], frozen=True):
    """An embeddings request."""

    @classmethod
    def read(cls, body: bytes) -> tuple[EmbeddingRequest, GatewayError | None]:
        return parse_embedding_request(body)

    def facts(self, lease_s: float, *, streams: bool = False) -> CallFacts:
        return CallFacts(
            caller=self.caller,
            request_id=self.request_id,
            operation="embeddings",
            prompt_tokens=embedding_bound(self.request),
            generates=False,
            streams=streams,
            provider_key=self.provider_key,
            lease_s=lease_s,
            record=self.record,
        )

    def call(self, target: Target, permit: Permit) -> EmbeddingCall:
        """Return the call to make at `target`."""
        return EmbeddingCall(
            request=self.request,
            body=self.body,
            model=target.model,
            request_id=self.request_id,
            api_key=permit.provider_key,
        )
