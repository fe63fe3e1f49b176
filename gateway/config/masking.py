"""Settings as they may be shown: without their secrets."""

import hashlib
from typing import Any

import msgspec

from gateway.config.secret import Secret
from gateway.config.settings import Settings


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain data for printing, with every secret masked."""
    plain: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=_mask)
    return plain


def version(settings: Settings) -> str:
    """Return a short text that differs where settings differ, the same on every machine; it tells nothing of secrets.

    So it does not change when only a secret does.
    """
    return hashlib.sha256(msgspec.json.encode(masked(settings), order="deterministic")).hexdigest()[:12]


def _mask(value: Any) -> str:
    if isinstance(value, Secret):
        return "***" if value else ""
    raise TypeError(type(value).__name__)
