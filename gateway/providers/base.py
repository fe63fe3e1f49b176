"""The seam between the pipeline and a provider.

A provider speaks OpenAI's wire format towards the gateway, whatever its vendor speaks: it takes a parsed chat request
and answers with the bytes of a `chat.completion`, or with a stream of blocks.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from gateway.wire.chat import ChatRequest
from gateway.wire.completion import Usage

Block = bytes
"""One or more whole SSE events of `chat.completion.chunk` objects (`data: {...}\\n\\n`, LF only).

The last block of a stream ends with `data: [DONE]\\n\\n`.
"""


class ChatCall(msgspec.Struct, frozen=True, kw_only=True):
    """One chat request, bound for one provider.

    `body` is the JSON object as the caller sent it, `request` the same parsed, `model` the provider's own model name.
    """

    request: ChatRequest
    body: bytes
    model: str
    request_id: str


class ProviderCompletion(msgspec.Struct, frozen=True):
    """A whole answer: the body of a `chat.completion`, and its usage if the vendor told it."""

    body: bytes
    usage: Usage | None = None


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

    async def aclose(self) -> None:
        """Release connections. Calls under way fail."""
        ...
