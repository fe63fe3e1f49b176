"""Pages of lists: their size, and the token that goes on where a page ended."""

import base64
import binascii
from typing import Final

import msgspec

from gateway.errors import InvalidRequest

_USUAL: Final = 100
_MOST: Final = 1000
Place = tuple[int, str]
"""Time and id of a page's last entry."""
_DECODER: Final = msgspec.json.Decoder(Place)


def page_size(asked: int) -> int:
    """Return how many entries a page has. Raises InvalidRequest for a negative number."""
    if asked < 0:
        raise InvalidRequest("Invalid value for 'page_size': expected 0 or more.", param="page_size")
    return min(asked or _USUAL, _MOST)


def page_token(place: Place | None) -> str:
    """Return the token for what comes after `place`; empty when nothing does."""
    if place is None:
        return ""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def page_place(token: str) -> Place | None:
    """Return the place that a token stands for; None for an empty one. Raises InvalidRequest."""
    if not token:
        return None
    try:
        place: Place = _DECODER.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error):
        raise InvalidRequest("Invalid value for 'page_token': it is not one of ours.", param="page_token") from None
    if "\0" in place[1] or not 0 <= place[0] < 2**63:
        raise InvalidRequest("Invalid value for 'page_token': it is not one of ours.", param="page_token")
    return place
