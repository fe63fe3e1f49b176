"""API keys that the settings list."""

import hashlib
import hmac
from collections.abc import Iterable

import msgspec

from gateway.config import Secret
from gateway.errors import Unauthenticated


class Caller(msgspec.Struct, frozen=True):
    """Who calls. `key_id` names the key without revealing it."""

    key_id: str


ANONYMOUS = Caller("anonymous")


class StaticKeys:
    """The keys of `ALLOWED_API_KEYS`."""

    def __init__(self, keys: Iterable[Secret], *, required: bool) -> None:
        self._required = required
        digests = [hashlib.sha256(key.reveal().encode()).digest() for key in keys]
        self._callers = [(digest, Caller("key-" + digest.hex()[:8])) for digest in digests]

    def identify(self, key: str | None) -> Caller:
        """Return the caller that `key` belongs to.

        Every known key is compared, each in constant time, so that the time taken tells nothing. Raises
        Unauthenticated, with the code `invalid_api_key` when a key was sent.
        """
        if key is None:
            if self._required:
                raise Unauthenticated
            return ANONYMOUS
        digest = hashlib.sha256(key.encode()).digest()
        found: Caller | None = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is not None:
            return found
        if not self._required:
            return ANONYMOUS
        raise Unauthenticated("The API key is not valid.", code="invalid_api_key")
