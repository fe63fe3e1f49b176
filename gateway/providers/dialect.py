"""How a vendor's OpenAI differs from OpenAI's: the seam of an OpenAI-shaped provider.

OpenAI itself has no dialect, and nothing of this touches its bytes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gateway.providers.base import Block
from gateway.wire.chat import ChatRequest


class Dialect(Protocol):
    """One vendor's differences."""

    def request(self, request: ChatRequest, body: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the top-level fields of `body` to replace or add, and those to drop.

        Raises InvalidRequest for what the vendor cannot be told.
        """
        ...

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return those of an answer's headers that the caller gets too; names in lower case."""
        ...

    def answer(self, body: bytes) -> bytes:
        """Return a whole answer in OpenAI's words; what is no completion stays as it is."""
        ...

    def stream(self) -> Callable[[Block], Block]:
        """Return what translates the blocks of one stream, given in their order. It raises ProviderError."""
        ...
