"""The error table as the design has it, written out by hand: what each wire must say."""

from typing import NamedTuple

import grpc

from gateway import errors
from gateway.errors import GatewayError


class Row(NamedTuple):
    """One error: its class, the names and numbers that its callers see, and whether a retry helps."""

    error: type[GatewayError]
    grpc_code: str
    http_status: int
    type: str
    code: str | None
    reason: str
    fault: str
    retryable: bool

    @property
    def name(self) -> str:
        return self.error.__name__

    @property
    def status_code(self) -> grpc.StatusCode:
        return grpc.StatusCode[self.grpc_code]


_CALLER = "invalid_request_error"
_BUSY = "service_unavailable_error"
ROWS = (
    Row(errors.MalformedJson, "INVALID_ARGUMENT", 400, _CALLER, "invalid_json", "MALFORMED_JSON", "caller", False),
    Row(errors.InvalidRequest, "INVALID_ARGUMENT", 422, _CALLER, "invalid_value", "INVALID_REQUEST", "caller", False),
    Row(
        errors.ContextLengthExceeded, "INVALID_ARGUMENT", 400, _CALLER,
        "context_length_exceeded", "CONTEXT_LENGTH_EXCEEDED", "caller", False,
    ),
    Row(errors.Unauthenticated, "UNAUTHENTICATED", 401, _CALLER, None, "UNAUTHENTICATED", "caller", False),
    Row(
        errors.PermissionDenied, "PERMISSION_DENIED", 403, _CALLER,
        "permission_denied", "PERMISSION_DENIED", "policy", False,
    ),
    Row(errors.ModelNotFound, "NOT_FOUND", 404, _CALLER, "model_not_found", "MODEL_NOT_FOUND", "caller", False),
    Row(errors.ProviderNotFound, "NOT_FOUND", 404, _CALLER, None, "PROVIDER_NOT_FOUND", "caller", False),
    Row(errors.KeyNotFound, "NOT_FOUND", 404, _CALLER, None, "KEY_NOT_FOUND", "caller", False),
    Row(errors.EntryNotFound, "NOT_FOUND", 404, _CALLER, None, "ENTRY_NOT_FOUND", "caller", False),
    Row(errors.RouteNotFound, "NOT_FOUND", 404, _CALLER, None, "ROUTE_NOT_FOUND", "caller", False),
    Row(
        errors.PayloadTooLarge, "RESOURCE_EXHAUSTED", 413, _CALLER,
        "request_too_large", "PAYLOAD_TOO_LARGE", "caller", False,
    ),
    Row(
        errors.UnsupportedFeature, "UNIMPLEMENTED", 501, _CALLER,
        "unsupported", "UNSUPPORTED_FEATURE", "caller", False,
    ),
    Row(
        errors.RateLimited, "RESOURCE_EXHAUSTED", 429, "requests",
        "rate_limit_exceeded", "RATE_LIMITED", "policy", True,
    ),
    Row(
        errors.QuotaExceeded, "RESOURCE_EXHAUSTED", 429, "insufficient_quota",
        "insufficient_quota", "QUOTA_EXCEEDED", "policy", False,
    ),
    Row(errors.ProviderRejected, "INVALID_ARGUMENT", 400, _CALLER, None, "PROVIDER_REJECTED", "provider", False),
    Row(
        errors.ProviderRateLimited, "RESOURCE_EXHAUSTED", 429, "requests",
        "rate_limit_exceeded", "PROVIDER_RATE_LIMITED", "provider", True,
    ),
    Row(errors.ProviderError, "UNAVAILABLE", 502, "server_error", "provider_error", "PROVIDER_ERROR", "provider", True),
    Row(
        errors.ProviderOverloaded, "UNAVAILABLE", 503, _BUSY,
        "server_is_overloaded", "PROVIDER_OVERLOADED", "provider", True,
    ),
    Row(
        errors.ProviderTimeout, "DEADLINE_EXCEEDED", 504, "server_error",
        "timeout", "PROVIDER_TIMEOUT", "provider", True,
    ),
    Row(
        errors.AllProvidersFailed, "UNAVAILABLE", 502, "server_error",
        "all_providers_failed", "ALL_PROVIDERS_FAILED", "provider", True,
    ),
    Row(
        errors.DeadlineExceeded, "DEADLINE_EXCEEDED", 504, "server_error",
        "timeout", "DEADLINE_EXCEEDED", "gateway", True,
    ),
    Row(errors.Overloaded, "UNAVAILABLE", 503, _BUSY, "server_is_overloaded", "OVERLOADED", "gateway", True),
    Row(errors.Draining, "UNAVAILABLE", 503, _BUSY, "server_is_overloaded", "DRAINING", "gateway", True),
    Row(errors.InternalError, "INTERNAL", 500, "server_error", None, "INTERNAL", "gateway", False),
)  # fmt: skip


def leaves(kind: type[GatewayError] = GatewayError) -> set[type[GatewayError]]:
    """Return the classes of the table that are raised."""
    below = kind.__subclasses__()
    return {leaf for child in below for leaf in leaves(child)} if below else {kind}
