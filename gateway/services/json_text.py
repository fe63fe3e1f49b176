"""Requests' `*_json` fields: JSON texts that travel as they came, with their key order and every digit of a number."""

from collections.abc import Container
from typing import Final

import msgspec

from gateway.errors import InvalidRequest

_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def raw_json(text: str, field: str) -> msgspec.Raw:
    """Return `text`, to be set into a larger JSON text. Raises InvalidRequest that names `field` if it is not JSON."""
    try:
        return _RAW.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise _invalid(exc, field) from None


def extra_fields(text: str, taken: Container[str]) -> dict[str, msgspec.Raw]:
    """Return the fields of `extra_body_json`.

    Raises InvalidRequest if `text` is not a JSON object or has a field of `taken`, the request's own names.
    """
    try:
        fields = _OBJECT.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise _invalid(exc, "extra_body_json") from None
    for name in fields:
        if name in taken:
            raise InvalidRequest(
                f"Invalid value for 'extra_body_json': '{name}' is a field of the request itself.",
                param=f"extra_body_json.{name}",
            )
    return fields


def _invalid(exc: Exception, field: str) -> InvalidRequest:
    if isinstance(exc, msgspec.ValidationError):
        problem = "expected a JSON object"
    elif isinstance(exc, RecursionError):
        problem = "it is nested too deeply"
    else:
        problem = f"it is not valid JSON: {exc}"
    return InvalidRequest(f"Invalid value for '{field}': {problem}.", param=field)
