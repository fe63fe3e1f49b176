"""The seam between the pipeline and a provider.

A provider speaks OpenAI's wire format towards the gateway, whatever its vendor speaks: it takes a parsed request and
answers with the bytes of a `chat.completion` or of an embeddings list, or with a stream of blocks.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from gateway.catalog.entries import Capability
from gateway.config import Secret
from gateway.wire.chat import ChatRequest
from gateway.wire.completion import Usage
from gateway.wire.embeddings import EmbeddingRequest

Block = bytes
"""One or more whole SSE events of `chat.completion.chunk` objects (`data: {...}\\n\\n`, LF only).

The last block of a stream ends with `data: [DONE]\\n\\n`.
"""


class ChatCall(msgspec.Struct, frozen=True, kw_only=True):
    """One chat request, bound for one provider.

    `body` is the JSON object as the caller sent it, `request` the same parsed, `model` the provider's own model name.
    `api_key` is the caller's own key for the provider, to be used in place of the configured one.
    Before it answers, the provider puts into `vendor_headers` what of its vendor's headers the caller gets too.
    """

    request: ChatRequest
    body: bytes
    model: str
    request_id: str
    api_key: Secret | None = None
    vendor_headers: dict[str, str] = {}


class ProviderCompletion(msgspec.Struct, frozen=True):
    """A whole answer: the body of a `chat.completion`, and its usage if the vendor told it."""

    body: bytes
    usage: Usage | None = None


class EmbeddingCall(msgspec.Struct, frozen=True, kw_only=True):
    """One embeddings request, bound for one provider; its fields are as those of ChatCall."""

    request: EmbeddingRequest
    body: bytes
    model: str
    request_id: str
    api_key: Secret | None = None


class ProviderEmbeddings(msgspec.Struct, frozen=True):
    """The body of an embeddings answer, its vectors in the encoding that the request asks for.

    `usage` is None if the vendor does not count tokens.
    """

    body: bytes
    usage: Usage | None = None


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model as its vendor lists it. `id` is the name that calls use; what the vendor does not say is None or empty.

    `created` is Unix seconds. `context_window` and `max_output_tokens` are tokens.
    """

    id: str
    owned_by: str = ""
    created: int = 0
    capabilities: tuple[Capability, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None


class Provider(Protocol):
    """One configured provider.

    Every method raises leaves of `GatewayError` only. Cancelling a call closes its connection to the vendor.
    Deadlines, retries and limits are the pipeline's.
    """

    @property
    def name(self) -> str:
        """The name that model names are prefixed with."""
        ...

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        """Return the whole answer."""
        ...

    def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        """Yield the stream's blocks, with the usage chunk before `[DONE]` even if the caller did not ask for it.

        A stream that breaks off raises ProviderError.
        """
        ...

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:
        """Return one vector for each input, in their order. Raises UnsupportedFeature if the vendor makes none."""
        ...

    async def models(self) -> list[ListedModel]:
        """Return what the vendor lists now. Raises UnsupportedFeature if it has no list."""
        ...

    async def check(self) -> None:
        """Ask the vendor for something small; whatever the error means for calls, it answers unless this raises.

        Costs nothing at the vendor, and uses the configured key.
        """
        ...

    async def aclose(self) -> None:
        """Release connections. Calls under way fail."""
        ...
