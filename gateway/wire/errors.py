"""OpenAI's error body.

Source: OpenAI's OpenAPI description, schema `ErrorResponse`: all four keys are always present.
"""

import msgspec

from gateway.errors import GatewayError


class ErrorDetail(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    error: ErrorDetail


def error_body(error: GatewayError) -> bytes:
    """Return the JSON body `{"error": {...}}` for `error`."""
    detail = ErrorDetail(message=error.message, type=error.type, param=error.param, code=error.code)
    return msgspec.json.encode(ErrorBody(detail))


def ascii_error_body(error: GatewayError) -> str:
    """Return the same body with every character outside printable ASCII escaped, as a header value must be."""
    return "".join(char if " " <= char <= "~" else _escaped(char) for char in error_body(error).decode())


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
