"""The error table: each class is one row, decided once and true on every wire.

```
GatewayError
├── CallerError                    the caller can mend it
│   ├── MalformedJson              400  INVALID_ARGUMENT
│   ├── InvalidRequest             422  INVALID_ARGUMENT
│   ├── ContextLengthExceeded      400  INVALID_ARGUMENT
│   ├── Unauthenticated            401  UNAUTHENTICATED
│   ├── ModelNotFound              404  NOT_FOUND
│   ├── ProviderNotFound           404  NOT_FOUND
│   ├── KeyNotFound                404  NOT_FOUND
│   ├── EntryNotFound              404  NOT_FOUND
│   ├── RouteNotFound              404  NOT_FOUND
│   ├── PayloadTooLarge            413  RESOURCE_EXHAUSTED
│   └── UnsupportedFeature         501  UNIMPLEMENTED
├── PolicyError                    a rule of this gateway says no
│   ├── PermissionDenied           403  PERMISSION_DENIED
│   ├── RateLimited                429  RESOURCE_EXHAUSTED
│   └── QuotaExceeded              429  RESOURCE_EXHAUSTED
├── ProviderFault                  the provider failed or refused
│   ├── ProviderRejected           4xx  the provider's own verdict on the request
│   ├── ProviderRateLimited        429  RESOURCE_EXHAUSTED
│   ├── ProviderError              502  UNAVAILABLE
│   ├── ProviderOverloaded         503  UNAVAILABLE
│   ├── ProviderTimeout            504  DEADLINE_EXCEEDED
│   └── AllProvidersFailed         502  UNAVAILABLE
└── GatewayFault                   ours
    ├── DeadlineExceeded           504  DEADLINE_EXCEEDED
    ├── Overloaded                 503  UNAVAILABLE
    ├── Draining                   503  UNAVAILABLE
    └── InternalError              500  INTERNAL
```

A row drives the gRPC status and its details, the HTTP status, OpenAI's error body, `Retry-After`, metric labels and
span attributes. Texts are brief, name the field, and never hold a secret or a provider's address.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Final

from grpc import StatusCode

MAX_MESSAGE_BYTES: Final = 1000
MAX_NAME_BYTES: Final = 128
"""Longer texts and names are cut: an error travels in HTTP/2 trailers, percent-encoded and again in the details, and
gRPC peers take 8 KiB of them. A field's name is the caller's text and can be of any length."""


class Reason(StrEnum):
    """The closed list of machine-readable reasons (`google.rpc.ErrorInfo.reason`, metric label `reason`)."""

    MALFORMED_JSON = "MALFORMED_JSON"
    INVALID_REQUEST = "INVALID_REQUEST"
    CONTEXT_LENGTH_EXCEEDED = "CONTEXT_LENGTH_EXCEEDED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    PROVIDER_NOT_FOUND = "PROVIDER_NOT_FOUND"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    ENTRY_NOT_FOUND = "ENTRY_NOT_FOUND"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_FEATURE = "UNSUPPORTED_FEATURE"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    PROVIDER_REJECTED = "PROVIDER_REJECTED"
    PROVIDER_RATE_LIMITED = "PROVIDER_RATE_LIMITED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    PROVIDER_OVERLOADED = "PROVIDER_OVERLOADED"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"
    ALL_PROVIDERS_FAILED = "ALL_PROVIDERS_FAILED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    INTERNAL = "INTERNAL"


PROVIDER_FAILURES: Final = frozenset({Reason.PROVIDER_ERROR, Reason.PROVIDER_OVERLOADED, Reason.PROVIDER_TIMEOUT})
"""The reasons that say of a provider that it does not work now, whatever it is asked."""


class Fault(StrEnum):
    """Who has to act: the caller, the operator's policy, the provider or the gateway."""

    CALLER = "caller"
    POLICY = "policy"
    PROVIDER = "provider"
    GATEWAY = "gateway"


def cut(text: str, limit: int) -> str:
    """Return `text`, or as much of it as `limit` bytes of UTF-8 hold."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[:limit].decode("utf-8", "ignore") + "…"


class GatewayError(Exception):
    """Base of the table. Only its leaves are raised.

    `message` reaches the caller as it is; `param` names the request field (OpenAI's spelling, e.g.
    `messages[0].content`); `retry_after` is in seconds; `details` are public variables of the message for
    `ErrorInfo.metadata`. `vendor_text` tells that `message` repeats a vendor's words: they are for the caller and not
    for logs, because they may quote the prompt. `type_` and `code` replace the row's OpenAI words where one row has
    several.
    """

    grpc_code: StatusCode = StatusCode.INTERNAL
    http_status: int = 500
    type: str = "server_error"
    code: str | None = None
    reason: ClassVar[Reason] = Reason.INTERNAL
    fault: ClassVar[Fault] = Fault.GATEWAY
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "The gateway failed to answer; the request id finds the cause in its log."

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        type_: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, str] | None = None,
        vendor_text: bool = False,
    ) -> None:
        self.message = cut(message or self.default_message, MAX_MESSAGE_BYTES)
        super().__init__(self.message)
        self.param = None if param is None else cut(param, 4 * MAX_NAME_BYTES)
        self.retry_after = retry_after
        self.details = dict(details or {})
        self.vendor_text = vendor_text
        if code is not None:
            self.code = cut(code, MAX_NAME_BYTES)
        if type_ is not None:
            self.type = cut(type_, MAX_NAME_BYTES)


class CallerError(GatewayError):
    grpc_code = StatusCode.INVALID_ARGUMENT
    http_status = 400
    type = "invalid_request_error"
    fault = Fault.CALLER


class MalformedJson(CallerError):
    """The body is not JSON, not UTF-8, or nested too deeply."""

    code = "invalid_json"
    reason = Reason.MALFORMED_JSON
    default_message = "The request body is not valid JSON."


class InvalidRequest(CallerError):
    """A field is missing, unknown, of the wrong type or out of range; `param` names it."""

    http_status = 422
    code = "invalid_value"
    reason = Reason.INVALID_REQUEST
    default_message = "The request is not valid."


class ContextLengthExceeded(CallerError):
    """The prompt and the asked output do not fit the model's context window."""

    code = "context_length_exceeded"
    reason = Reason.CONTEXT_LENGTH_EXCEEDED
    default_message = "The request is longer than the model's context window."


class Unauthenticated(CallerError):
    """No key, or a wrong one. `code` is null when none was sent, `invalid_api_key` otherwise."""

    grpc_code = StatusCode.UNAUTHENTICATED
    http_status = 401
    reason = Reason.UNAUTHENTICATED
    default_message = "No API key was sent. Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."


class ModelNotFound(CallerError):
    """No deployment has this model; the message lists what exists."""

    grpc_code = StatusCode.NOT_FOUND
    http_status = 404
    code = "model_not_found"
    reason = Reason.MODEL_NOT_FOUND
    default_message = "The model does not exist."


class ProviderNotFound(CallerError):
    """The path or the model's prefix names a provider that is not configured."""

    grpc_code = StatusCode.NOT_FOUND
    http_status = 404
    reason = Reason.PROVIDER_NOT_FOUND
    default_message = "The provider does not exist."


class KeyNotFound(CallerError):
    """No key has this id, or none of this provider is stored."""

    grpc_code = StatusCode.NOT_FOUND
    http_status = 404
    reason = Reason.KEY_NOT_FOUND
    default_message = "The key does not exist."


class EntryNotFound(CallerError):
    """Nothing is stored by this id or name: no price, preference or change of a provider."""

    grpc_code = StatusCode.NOT_FOUND
    http_status = 404
    reason = Reason.ENTRY_NOT_FOUND
    default_message = "Nothing is stored by this name."


class RouteNotFound(CallerError):
    """No RPC has this name, no route this path."""

    grpc_code = StatusCode.NOT_FOUND
    http_status = 404
    reason = Reason.ROUTE_NOT_FOUND
    default_message = "There is nothing at this path."


class PayloadTooLarge(CallerError):
    """The body is larger than `MAX_BODY_BYTES`."""

    grpc_code = StatusCode.RESOURCE_EXHAUSTED
    http_status = 413
    code = "request_too_large"
    reason = Reason.PAYLOAD_TOO_LARGE
    default_message = "The request body is too large."


class UnsupportedFeature(CallerError):
    """The provider has no such operation."""

    grpc_code = StatusCode.UNIMPLEMENTED
    http_status = 501
    code = "unsupported"
    reason = Reason.UNSUPPORTED_FEATURE
    default_message = "The provider does not support this operation."


class PolicyError(GatewayError):
    fault = Fault.POLICY


class PermissionDenied(PolicyError):
    """The key is valid and may not do this."""

    grpc_code = StatusCode.PERMISSION_DENIED
    http_status = 403
    type = "invalid_request_error"
    code = "permission_denied"
    reason = Reason.PERMISSION_DENIED
    default_message = "This API key may not do that."


class RateLimited(PolicyError):
    """A limit per minute or of concurrent calls is reached; `type_` is `requests` or `tokens`."""

    grpc_code = StatusCode.RESOURCE_EXHAUSTED
    http_status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    reason = Reason.RATE_LIMITED
    retryable = True
    default_message = "The rate limit is reached."


class QuotaExceeded(PolicyError):
    """A daily, monthly or spending quota is used up; a retry does not help."""

    grpc_code = StatusCode.RESOURCE_EXHAUSTED
    http_status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"
    reason = Reason.QUOTA_EXCEEDED
    default_message = "The quota is used up."


class ProviderFault(GatewayError):
    fault = Fault.PROVIDER


class ProviderRejected(ProviderFault):
    """The provider's own 400, 403, 404, 409 or 422: its message, `param` and `code` are kept."""

    STATUSES: ClassVar[Mapping[int, StatusCode]] = {
        400: StatusCode.INVALID_ARGUMENT,
        403: StatusCode.PERMISSION_DENIED,
        404: StatusCode.NOT_FOUND,
        409: StatusCode.ABORTED,
        413: StatusCode.RESOURCE_EXHAUSTED,
        422: StatusCode.INVALID_ARGUMENT,
    }

    grpc_code = StatusCode.INVALID_ARGUMENT
    http_status = 400
    type = "invalid_request_error"
    reason = Reason.PROVIDER_REJECTED
    default_message = "The provider rejected the request."

    def __init__(
        self,
        message: str | None = None,
        *,
        http_status: int = 400,
        param: str | None = None,
        code: str | None = None,
        type_: str | None = None,
        details: Mapping[str, str] | None = None,
        vendor_text: bool = False,
    ) -> None:
        super().__init__(message, param=param, code=code, type_=type_, details=details, vendor_text=vendor_text)
        self.http_status = http_status
        self.grpc_code = self.STATUSES[http_status]


class ProviderRateLimited(ProviderFault):
    """The provider answers 429; its `type`, `code` and `Retry-After` are kept."""

    grpc_code = StatusCode.RESOURCE_EXHAUSTED
    http_status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    reason = Reason.PROVIDER_RATE_LIMITED
    retryable = True
    default_message = "The provider's rate limit is reached."


class ProviderError(ProviderFault):
    """A 5xx, an answer that breaks the wire format, a lost connection, or our own provider key refused."""

    grpc_code = StatusCode.UNAVAILABLE
    http_status = 502
    code = "provider_error"
    reason = Reason.PROVIDER_ERROR
    retryable = True
    default_message = "The provider failed to answer."


class ProviderOverloaded(ProviderFault):
    """The provider answers 503."""

    grpc_code = StatusCode.UNAVAILABLE
    http_status = 503
    type = "service_unavailable_error"
    code = "server_is_overloaded"
    reason = Reason.PROVIDER_OVERLOADED
    retryable = True
    default_message = "The provider is overloaded."


class ProviderTimeout(ProviderFault):
    """The provider was silent for longer than the first-token or idle limit, or answers 504."""

    grpc_code = StatusCode.DEADLINE_EXCEEDED
    http_status = 504
    code = "timeout"
    reason = Reason.PROVIDER_TIMEOUT
    retryable = True
    default_message = "The provider did not answer in time."


class AllProvidersFailed(ProviderFault):
    """Every target of the route was tried; the message says how each one failed."""

    grpc_code = StatusCode.UNAVAILABLE
    http_status = 502
    code = "all_providers_failed"
    reason = Reason.ALL_PROVIDERS_FAILED
    retryable = True
    default_message = "Every provider for this model failed."


class GatewayFault(GatewayError):
    fault = Fault.GATEWAY


class DeadlineExceeded(GatewayFault):
    """The caller's deadline, or the configured default, passed."""

    grpc_code = StatusCode.DEADLINE_EXCEEDED
    http_status = 504
    code = "timeout"
    reason = Reason.DEADLINE_EXCEEDED
    retryable = True
    default_message = "The request's deadline passed before an answer was ready."


class Overloaded(GatewayFault):
    """The gateway, or a store it needs, cannot take the call now."""

    grpc_code = StatusCode.UNAVAILABLE
    http_status = 503
    type = "service_unavailable_error"
    code = "server_is_overloaded"
    reason = Reason.OVERLOADED
    retryable = True
    default_message = "The gateway is overloaded."


class Draining(GatewayFault):
    """The gateway is shutting down and takes no new calls."""

    grpc_code = StatusCode.UNAVAILABLE
    http_status = 503
    type = "service_unavailable_error"
    code = "server_is_overloaded"
    reason = Reason.DRAINING
    retryable = True
    default_message = "The gateway is shutting down."


class InternalError(GatewayFault):
    """Anything else; the cause goes to the log, never to the caller."""
