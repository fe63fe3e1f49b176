"""How vendors fail, and the row of the error table that each failure is for callers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import (
    ContextLengthExceeded,
    GatewayError,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
)


@dataclass(frozen=True)
class Failure:
    """One failure.

    `statuses` are the HTTP status and the body, by provider; a body that is not bytes is JSON. `row` and the fields
    after it are what callers get; an empty `message` is not compared.
    """

    id: str
    status: int
    bodies: Mapping[str, Any]
    row: type[GatewayError]
    http_status: int
    code: str | None = None
    type: str | None = None
    param: str | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: str | None = None

    def body(self, provider: str) -> bytes:
        body = self.bodies[provider]
        return body if isinstance(body, bytes) else json.dumps(body).encode()


_GRPC = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Google's word for a status; others have none."""


def said(
    status: int, message: str, type_: str = "invalid_request_error", code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The same complaint in every vendor's words."""
    flat = {"message": message, "type": type_, "param": param, "code": code}
    return {
        "openai": {"error": flat},
        "cerebras": flat,
        "ollama": {"error": message},
        "gemini": {"error": {"code": status, "message": message, "status": _GRPC.get(status, "UNKNOWN")}},
    }


def everywhere(body: Any) -> dict[str, Any]:
    return dict.fromkeys(("openai", "cerebras", "ollama", "gemini"), body)


def of(bodies: Mapping[str, Any], *providers: str) -> dict[str, Any]:
    return {provider: bodies[provider] for provider in providers}


HTML = b"<html><body>502 Bad Gateway from 10.0.0.7</body></html>"
WRONG = "The temperature is wrong."
SLOW_DOWN = "Slow down."

STATUSES = [
    Failure(
        "rejected",
        400,
        of(said(400, WRONG, code="invalid_value", param="temperature"), "openai", "cerebras"),
        ProviderRejected,
        400,
        code="invalid_value",
        param="temperature",
        message=WRONG,
    ),
    Failure("rejected-briefly", 400, of(said(400, WRONG), "ollama", "gemini"), ProviderRejected, 400, message=WRONG),
    Failure(
        "too-long",
        400,
        of(said(400, "Too long.", code="context_length_exceeded", param="messages"), "openai", "cerebras"),
        ContextLengthExceeded,
        400,
        code="context_length_exceeded",
        param="messages",
        message="Too long.",
    ),
    Failure("our-key-refused", 401, said(401, "Incorrect key sk-secret."), ProviderError, 502, code="provider_error"),
    Failure("forbidden", 403, said(403, "Not in your country."), ProviderRejected, 403, message="Not in your country."),
    Failure(
        "no-such-model",
        404,
        said(404, "models/nope is not found.", code="model_not_found", param="model"),
        ProviderRejected,
        404,
        code="model_not_found",
        param="model",
        message="models/nope is not found.",
    ),
    Failure("conflict", 409, said(409, "Try again."), ProviderRejected, 409, message="Try again."),
    Failure(
        "too-large-for-the-vendor",
        413,
        of(said(413, "Too large."), "openai", "cerebras", "ollama"),
        ProviderRejected,
        413,
        message="Too large.",
    ),
    Failure(
        "unprocessable", 422, of(said(422, WRONG), "openai", "cerebras", "ollama"), ProviderRejected, 422, message=WRONG
    ),
    Failure(
        "rate-limited",
        429,
        of(said(429, SLOW_DOWN, "tokens", "rate_limit_exceeded"), "openai"),
        ProviderRateLimited,
        429,
        code="rate_limit_exceeded",
        type="tokens",
        message=SLOW_DOWN,
    ),
    Failure(
        "rate-limited-until",
        429,
        said(429, SLOW_DOWN),
        ProviderRateLimited,
        429,
        message=SLOW_DOWN,
        headers={"retry-after": "7"},
        retry_after="7",
    ),
    Failure(
        "rate-limited-by-google",
        429,
        {
            "gemini": {
                "error": {
                    "code": 429,
                    "message": SLOW_DOWN,
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}],
                }
            }
        },
        ProviderRateLimited,
        429,
        message=SLOW_DOWN,
        retry_after="17",
    ),
    Failure("server-error", 500, said(500, "Oops."), ProviderError, 502, code="provider_error"),
    Failure("bad-gateway-page", 502, everywhere(HTML), ProviderError, 502, code="provider_error"),
    Failure(
        "overloaded",
        503,
        said(503, "Busy.", "service_unavailable_error"),
        ProviderOverloaded,
        503,
        code="server_is_overloaded",
        headers={"retry-after": "3"},
        retry_after="3",
    ),
    Failure("overloaded-page", 503, everywhere(HTML), ProviderOverloaded, 503, code="server_is_overloaded"),
    Failure("timed-out", 504, said(504, "Late."), ProviderTimeout, 504, code="timeout"),
    Failure(
        "request-timed-out", 408, of(said(408, "Late."), "openai", "cerebras"), ProviderTimeout, 504, code="timeout"
    ),
    Failure(
        "redirect",
        307,
        everywhere(b""),
        ProviderError,
        502,
        code="provider_error",
        headers={"location": "http://127.0.0.1:9/elsewhere"},
    ),
    Failure(
        "our-key-refused-by-google",
        400,
        {
            "gemini": {
                "error": {
                    "code": 400,
                    "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
                }
            }
        },
        ProviderError,
        502,
        code="provider_error",
    ),
    Failure(
        "payment-required",
        402,
        of(said(402, "Pay.", code="payment_required"), "cerebras"),
        ProviderError,
        502,
        code="provider_error",
    ),
]
"""Answers with another status than 200; they mean the same to a whole call and to a stream."""

BROKEN = [
    Failure("page-with-status-200", 200, everywhere(HTML), ProviderError, 502, code="provider_error"),
    Failure("nothing-with-status-200", 200, everywhere(b""), ProviderError, 502, code="provider_error"),
    Failure("cut-off-json", 200, everywhere(b'{"id": "chatcmpl-1", "cho'), ProviderError, 502, code="provider_error"),
    Failure("a-list", 200, everywhere([]), ProviderError, 502, code="provider_error"),
    Failure("null", 200, everywhere(None), ProviderError, 502, code="provider_error"),
    Failure(
        "no-choices",
        200,
        {
            "openai": {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []},
            "cerebras": {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []},
            "gemini": {"modelVersion": "m", "candidates": []},
        },
        ProviderError,
        502,
        code="provider_error",
    ),
    Failure("error-with-status-200", 200, said(500, "Sorry."), ProviderError, 502),
    Failure(
        "text-for-a-number",
        200,
        {
            "gemini": {
                "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": "many"},
            },
        },
        ProviderError,
        502,
        code="provider_error",
    ),
]
"""Answers that are none, though their status is 200."""

FAILURES = [*STATUSES, *BROKEN]
