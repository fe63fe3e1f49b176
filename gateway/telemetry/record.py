"""What became of one call: filled in along the way, read once at its end by log, metrics and traces."""

from typing import Final

import msgspec

from gateway.errors import GatewayError
from gateway.wire.completion import Usage

_NAME_LENGTH: Final = 200


def shown_name(model: str) -> str:
    """Return what lines, labels and spans show of a model's name: it is the caller's text, so it is bounded."""
    return model[:_NAME_LENGTH]


class CallObserver:
    """Looks on while one call goes through the pipeline. This one sees nothing and costs nothing."""

    def asked(self, body: bytes) -> None:
        """The caller's request is understood; `body` is its JSON."""

    def attempt_started(self, provider: str, model: str) -> None:
        """A provider is asked, by its own name for the model. The attempt before this one, if any, has failed."""

    def attempt_failed(self, error: GatewayError) -> None:
        """The provider failed or refused."""

    def answered(self, data: bytes) -> None:
        """A whole answer, or a block of a stream, is on its way to the caller."""


NO_OBSERVER: Final = CallObserver()


class CallRecord(msgspec.Struct, kw_only=True):
    """Facts of one call that only the pipeline knows. Times are in seconds."""

    provider: str | None = None
    model: str | None = None
    attempts: int = 0
    failures: list[tuple[str, GatewayError]] = []
    """Each attempt that failed: its provider and why."""
    upstream_s: float = 0.0
    """Waiting for providers, pauses between attempts included; for a stream until its first block."""
    first_token_s: float | None = None
    usage: Usage | None = None
    cost_nano: int | None = None
    vendor_headers: dict[str, str] = {}
    """Headers of the provider's answer that the caller gets too."""
    observer: CallObserver = NO_OBSERVER
    rate_limits: str = ""
    """The values of `x-ratelimit-*`, as the limits stood right after this call was let in."""
