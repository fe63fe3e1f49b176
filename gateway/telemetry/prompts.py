"""Prompts for the log line, where the operator allows them."""

from typing import Final, Self

from gateway.errors import GatewayError
from gateway.telemetry.record import CallObserver, CallRecord

MAX_BYTES: Final = 16 * 1024
"""Longer request bodies are cut: a log line is not the place to keep a document."""


class PromptKeeper(CallObserver):
    """Keeps the request's body, and passes everything on to the observer before it."""

    def __init__(self, inner: CallObserver) -> None:
        self._inner = inner
        self._body: bytes | None = None

    @classmethod
    def of(cls, record: CallRecord) -> Self:
        """Return the keeper that now looks on at a call."""
        keeper = cls(record.observer)
        record.observer = keeper
        return keeper

    @property
    def text(self) -> str | None:
        """The body as it was understood; None when the call did not come so far."""
        return None if self._body is None else self._body[:MAX_BYTES].decode("utf-8", "replace")

    def asked(self, body: bytes) -> None:
        self._body = body
        self._inner.asked(body)

    def attempt_started(self, provider: str, model: str) -> None:
        self._inner.attempt_started(provider, model)

    def attempt_failed(self, error: GatewayError) -> None:
        self._inner.attempt_failed(error)

    def answered(self, data: bytes) -> None:
        self._inner.answered(data)
