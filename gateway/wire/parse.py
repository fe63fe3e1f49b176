"""JSON bytes to a typed request, with errors that name the field in OpenAI's spelling."""

import re
from typing import Any, Final, TypeVar

import msgspec

from gateway.errors import GatewayError, InvalidRequest, MalformedJson

T = TypeVar("T")

_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_MISSING: Final = re.compile(r"^Object missing required field `([^`]+)`")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `([^`]+)`")
_TYPE: Final = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`")
_CHOICE: Final = re.compile(r"^Invalid (?:enum )?value (.+)$")
_VALUE: Final = re.compile(r"^Expected `([^`]+)` (.+)$")

_TYPE_NAMES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "array": "array",
    "object": "object",
    "null": "null",
}


def parse(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode `body`.

    Raises MalformedJson for what is not UTF-8 JSON and InvalidRequest for what is JSON of the wrong shape.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        raise _invalid(str(exc)) from None
    except msgspec.DecodeError as exc:
        text = "The request body is empty." if not body.strip() else f"The request body is not valid JSON: {exc}."
        raise MalformedJson(text) from None
    except UnicodeDecodeError as exc:
        raise MalformedJson(f"The request body is not valid UTF-8 at byte {exc.start}.") from None
    except RecursionError:
        raise MalformedJson("The request body is nested too deeply.") from None


def parse_request(
    body: bytes, strict: msgspec.json.Decoder[T], forwarding: msgspec.json.Decoder[Any]
) -> tuple[T, GatewayError | None]:
    """Parse a request body; `forwarding` differs from `strict` in that it lets unknown top-level fields pass.

    Returns the request and, when it has a top-level field that OpenAI does not document, the error to raise unless
    the target forwards unknown fields. Raises MalformedJson or InvalidRequest for everything else.
    """
    _require_utf8(body)
    try:
        return parse(body, strict), None
    except InvalidRequest as exc:
        if exc.code != "unknown_parameter":
            raise
        return parse(body, forwarding), exc


def _require_utf8(body: bytes) -> None:
    """Refuse bytes that are not UTF-8: parts of the body travel on unparsed, so the decoder does not see them."""
    try:
        str(body, "utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedJson(f"The request body is not valid UTF-8 at byte {exc.start}.") from None


def replace_fields(body: bytes, changes: dict[str, Any], drop: tuple[str, ...] = ()) -> bytes:
    """Return the JSON object `body` with top-level fields replaced, added or dropped; other values keep their bytes."""
    fields = _RAW_OBJECT.decode(body)
    for name, value in changes.items():
        fields[name] = msgspec.Raw(msgspec.json.encode(value))
    for name in drop:
        fields.pop(name, None)
    return msgspec.json.encode(fields)


_RAW_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _invalid(text: str) -> InvalidRequest:
    path = ""
    if match := _PATH.search(text):
        path, text = match[1], text[: match.start()]
    if match := _MISSING.match(text):
        param = f"{path}.{match[1]}" if path else match[1]
        return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if match := _UNKNOWN.match(text):
        param = f"{path}.{match[1]}" if path else match[1]
        return InvalidRequest(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    where = f"'{path}'" if path else "the request body"
    if match := _TYPE.match(text):
        expected, got = (_type_names(name) for name in match.groups())
        return InvalidRequest(
            f"Invalid type for {where}: expected {expected}, got {got}.", param=path or None, code="invalid_type"
        )
    if match := _CHOICE.match(text):
        return InvalidRequest(f"Invalid value for {where}: {match[1]} is not known.", param=path or None)
    if match := _VALUE.match(text):
        return InvalidRequest(
            f"Invalid value for {where}: expected {_type_names(match[1])} {match[2]}.", param=path or None
        )
    return InvalidRequest(f"Invalid value for {where}: {text}.", param=path or None)


def _type_names(union: str) -> str:
    return " or ".join(_TYPE_NAMES.get(name, name) for name in union.split(" | "))
