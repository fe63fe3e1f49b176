"""What became of one call: filled in along the way, read once at its end by log and metrics."""

import msgspec

from gateway.wire.completion import Usage


class CallRecord(msgspec.Struct, kw_only=True):
    """Facts of one call that only the pipeline knows. Times are in seconds."""

    provider: str | None = None
    model: str | None = None
    attempts: int = 0
    first_token_s: float | None = None
    usage: Usage | None = None
    vendor_headers: dict[str, str] = {}
    """Headers of the provider's answer that the caller gets too."""
