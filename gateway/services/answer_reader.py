"""Answers in OpenAI's JSON to messages of the contract."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

import msgspec

from gateway.errors import ProviderError

S = TypeVar("S", bound=msgspec.Struct)
M = TypeVar("M")

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class AnswerReader(Generic[S, M]):
    """Reads answers of one shape.

    `build` makes the message from the decoded answer and from the text for its `extra_json`: the top-level fields
    that the shape does not have, as a JSON object, or empty.
    """

    def __init__(self, shape: type[S], build: Callable[[S, str], M]) -> None:
        strict = msgspec.defstruct(f"Strict{shape.__name__}", (), bases=(shape,), forbid_unknown_fields=True)
        self._strict = msgspec.json.Decoder(cast("type[S]", strict))
        self._tolerant = msgspec.json.Decoder(shape)
        self._named = frozenset(field.encode_name for field in msgspec.structs.fields(shape))
        self._build = build

    def read(self, body: bytes) -> M:
        """Return the message. Raises ProviderError, which never quotes the answer, if `body` has another shape."""
        try:
            try:
                return self._build(self._strict.decode(body), "")
            except msgspec.ValidationError:
                return self._build(self._tolerant.decode(body), self._extra(body))
        except (ValueError, RecursionError) as exc:
            raise ProviderError(f"The provider's answer broke OpenAI's wire format{_where(exc)}.") from None

    def _extra(self, body: bytes) -> str:
        fields = {name: value for name, value in _FIELDS.decode(body).items() if name not in self._named}
        return msgspec.json.encode(fields).decode() if fields else ""


def _where(exc: Exception) -> str:
    """Tell only what speaks of the expected shape: other texts quote values."""
    text = str(exc)
    if isinstance(exc, msgspec.ValidationError) and text.startswith(("Expected `", "Object missing ")):
        return f": {text}"
    return ""
