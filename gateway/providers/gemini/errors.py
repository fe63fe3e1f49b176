"""Gemini's failures as rows of the error table.

Source: `google.rpc.Status` with its details `ErrorInfo`, `RetryInfo` and `QuotaFailure`, as the Generative Language API
sends it: `{"error": {"code", "message", "status", "details"}}`, and in a stream as an event.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.errors import (
    ContextLengthExceeded,
    GatewayError,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
)
from gateway.providers.upstream import retry_after, status_error


class _Violation(msgspec.Struct, rename="camel"):
    quota_id: str = ""
    quota_metric: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    type: str = msgspec.field(name="@type", default="")
    reason: str = ""
    domain: str = ""
    retry_delay: str = ""
    violations: list[_Violation] = []


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""
    status: str = ""
    details: list[_Detail] = []


class _Body(msgspec.Struct):
    error: _Status


_BODY: Final = msgspec.json.Decoder(_Body | list[_Body])
_TOO_LONG: Final = re.compile(r"(input )?token count.*exceeds the maximum", re.IGNORECASE)
_SECONDS: Final = re.compile(r"^(\d+(?:\.\d+)?)s$")


def failure(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Return the row for an answer with an HTTP status other than 200.

    What concerns the gateway's own key is its operator's to mend, so the caller gets ProviderError: Google says 400 for
    a wrong key, and 403 with an `ErrorInfo` (whose text can show the key) for one that may not.
    """
    said = _read(body)
    if said is None:
        return status_error(provider, status, headers, body)
    info = _detail(said, "ErrorInfo")
    if status == 401 or info.reason == "API_KEY_INVALID" or (status == 403 and info.reason):
        return ProviderError(
            f"Provider '{provider}' refused the gateway's credentials.", details={"credentials": "refused"}
        )
    wait = _retry_delay(said)
    if wait is None:
        wait = retry_after(headers)
    if status == 429:
        return ProviderRateLimited(said.message, type_=_limited(said), retry_after=wait, vendor_text=True)
    if status == 503:
        return ProviderOverloaded(f"Provider '{provider}' is overloaded.", retry_after=wait)
    if status in ProviderRejected.STATUSES:
        if _TOO_LONG.search(said.message):
            return ContextLengthExceeded(said.message, param="messages", vendor_text=True)
        missing_model = status == 404 and "models/" in said.message
        return ProviderRejected(
            said.message or f"Provider '{provider}' rejected the request with status {status}.",
            http_status=status,
            param="model" if missing_model else None,
            code="model_not_found" if missing_model else said.status or None,
            vendor_text=True,
        )
    return status_error(provider, status, headers, body)


def reported_error(provider: str, body: bytes) -> GatewayError:
    """Return the row for an error inside a 200 answer: whole, or as a stream's event."""
    said = _read(body)
    if said is not None and 400 <= said.code <= 599:
        return failure(provider, said.code, {}, body)
    text = said.message if said and said.message else "an error"
    return ProviderError(f"Provider '{provider}' reported: {text}", vendor_text=True)


def _read(body: bytes) -> _Status | None:
    try:
        said: _Body | list[_Body] = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(said, list):
        return said[0].error if said else None
    return said.error


def _detail(said: _Status, name: str) -> _Detail:
    return next((detail for detail in said.details if detail.type.endswith("google.rpc." + name)), _Detail())


def _retry_delay(said: _Status) -> float | None:
    match = _SECONDS.match(_detail(said, "RetryInfo").retry_delay)
    return float(match[1]) if match else None


def _limited(said: _Status) -> str:
    """Return OpenAI's word for what ran out."""
    violations: list[Any] = _detail(said, "QuotaFailure").violations
    words = " ".join(violation.quota_id + violation.quota_metric for violation in violations).lower()
    return "tokens" if "token" in words else "requests"
