"""API keys: who a key belongs to, and what that caller may use."""

import fnmatch
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from gateway.admission.limits.model import LimitRule
from gateway.admission.quota import rules
from gateway.config import LimitSpec, Secret
from gateway.errors import Unauthenticated


class Caller(msgspec.Struct, frozen=True):
    """Who calls. `key_id` names the key without revealing it.

    None for providers or models means all; a model is a pattern (`*`, `?`) of `provider/model`. `rules` are the limits
    of the key and of its project.
    """

    key_id: str
    project_id: str | None = None
    admin: bool = False
    providers: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    rules: tuple[LimitRule, ...] = ()

    def may_use(self, provider: str, model: str) -> bool:
        """Whether the key's scope covers a model of a provider."""
        if self.providers is not None and provider not in self.providers:
            return False
        return self.models is None or any(fnmatch.fnmatchcase(f"{provider}/{model}", name) for name in self.models)


ANONYMOUS = Caller("anonymous")


_SALT: Final = secrets.token_bytes(32)
_FOUND_BY: Final = 16
"""How many bytes of a fingerprint find its key, before the whole of it is compared."""


def fingerprint(key: str) -> bytes:
    """Return what a key is known by in this process's memory.

    The hash is keyed at random, so that the time a look-up takes tells nothing about any key.
    """
    return hashlib.blake2b(key.encode(), key=_SALT, digest_size=32).digest()


class Keys(Protocol):
    """Whoever knows whose a key is."""

    async def identify(self, key: str | None) -> Caller:
        """Return the caller that `key` belongs to.

        Raises Unauthenticated, with the code `invalid_api_key` when a key was sent; Overloaded when it cannot be told.
        """
        ...


class StaticKeys:
    """The keys of `ALLOWED_API_KEYS`. Each has the default limits."""

    def __init__(self, keys: Iterable[Secret], *, required: bool, limits: LimitSpec | None = None) -> None:
        limits = limits or LimitSpec()
        self._required = required
        self._anonymous = Caller(ANONYMOUS.key_id, rules=rules("key", ANONYMOUS.key_id, limits))
        self._callers: dict[bytes, tuple[bytes, Caller]] = {}
        for key in keys:
            mark = fingerprint(key.reveal())
            self._callers[mark[:_FOUND_BY]] = mark, _caller(key.reveal(), limits)

    @property
    def callers(self) -> list[Caller]:
        """Everyone who may call without a stored key."""
        return [caller for _, caller in self._callers.values()] + ([] if self._required else [self._anonymous])

    async def identify(self, key: str | None) -> Caller:
        """See `Keys`."""
        return (self.find(fingerprint(key)) if key is not None else None) or self.without_key(key)

    def find(self, mark: bytes) -> Caller | None:
        """Return the caller that the key of this fingerprint belongs to, compared in constant time."""
        known = self._callers.get(mark[:_FOUND_BY])
        return known[1] if known is not None and hmac.compare_digest(known[0], mark) else None

    def without_key(self, sent: str | None) -> Caller:
        """Return the caller without a valid key, where keys are not required.

        Raises Unauthenticated otherwise, with the code `invalid_api_key` when a key was sent.
        """
        if not self._required:
            return self._anonymous
        if sent is None:
            raise Unauthenticated
        raise Unauthenticated("The API key is not valid.", code="invalid_api_key")


def _caller(key: str, limits: LimitSpec) -> Caller:
    key_id = "key-" + hashlib.sha256(key.encode()).hexdigest()[:8]
    return Caller(key_id, rules=rules("key", key_id, limits))
