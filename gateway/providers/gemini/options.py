"""What only Gemini has, in the field `google` of a chat request.

Source: Google's OpenAI-compatible API, whose clients send `{"extra_body": {"google": {...}}}`; the shorter
`{"google": {...}}` means the same here.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.errors import InvalidRequest
from gateway.wire.chat import ChatRequest
from gateway.wire.parse import parse


class ThinkingOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    thinking_budget: int | UnsetType = UNSET
    thinking_level: str | UnsetType = UNSET
    include_thoughts: bool | UnsetType = UNSET

    def config(self) -> dict[str, Any]:
        """Return `ThinkingConfig`."""
        config: dict[str, Any] = {}
        if self.thinking_budget is not UNSET:
            config["thinkingBudget"] = self.thinking_budget
        if self.thinking_level is not UNSET:
            config["thinkingLevel"] = self.thinking_level.upper()
        if self.include_thoughts is not UNSET:
            config["includeThoughts"] = self.include_thoughts
        return config


class GoogleOptions(Struct, forbid_unknown_fields=True):
    """`cached_content` is the name of a context cached before (`cachedContents/...`)."""

    cached_content: str | None = None
    thinking_config: ThinkingOptions | None = None
    safety_settings: Raw | UnsetType = UNSET


class _ExtraBody(Struct, forbid_unknown_fields=True):
    google: GoogleOptions | None = None


class _Extended(Struct):
    google: GoogleOptions | None = None
    extra_body: _ExtraBody | None = None


_EXTENDED: Final = msgspec.json.Decoder(_Extended)
_NONE: Final = GoogleOptions()


def google_options(request: ChatRequest, body: bytes) -> GoogleOptions:
    """Return the options in a chat request's body. Raises InvalidRequest for one that does not exist."""
    if type(request) is ChatRequest:
        return _NONE  # parsed strictly: it has OpenAI's fields only
    extended = parse(body, _EXTENDED)
    options = extended.google or (extended.extra_body and extended.extra_body.google) or _NONE
    if extended.google and extended.extra_body:
        raise InvalidRequest("Invalid value for 'extra_body': 'google' is there too.", param="extra_body")
    return options
