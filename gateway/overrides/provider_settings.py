"""What is stored of a provider, put over what is configured: the same checks, and errors that name the field."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gateway.config import ConfigError, ProviderSettings, Secret, Settings

FIELDS: Final = (
    *("kind", "base_url", "models", "key_source", "catalog", "max_output_tokens"),
    *("unknown_fields", "unsupported_parameters", "stream_usage"),
)
"""What can be stored: no secret is among it, and nothing that only tests need."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_ADDRESS: Final = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:\d{1,5})?(/[!-~]*)?"
)
_REFUSED: Final = frozenset('?#@\\"<>^`{|}')
_FIELD: Final = re.compile(r"`\$\.?(\w*)")


class WrongProviderError(Exception):
    """What is stored, or is to be stored, of a provider is wrong. The text is one line; `field` is what it is about."""

    def __init__(self, field: str, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.field = field
        self.missing = missing


class StoredProvider(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a provider: some of `FIELDS`, as YAML has them. `updated_at` is Unix milliseconds."""

    name: str
    given: Mapping[str, Any]
    disabled: bool = False
    updated_at: int = 0


def in_force(stored: StoredProvider, configured: ProviderSettings | None) -> ProviderSettings:
    """Return the provider's settings with what is stored before what is configured, if anything is.

    Key and headers that are configured stay only where the address does: they are not for another one. Raises
    WrongProviderError.
    """
    if not _NAME.fullmatch(stored.name):
        raise WrongProviderError("name", "expected small letters, digits, '_', '.' and '-', a letter or digit first")
    for field in stored.given:
        if field not in FIELDS:
            raise WrongProviderError(field, f"`{field}` cannot be stored")
    _check_presence(stored.given, configured)
    _check_address(str(stored.given.get("base_url", "")))
    plain = {} if configured is None else {name: getattr(configured, name) for name in FIELDS}
    try:
        settings = msgspec.convert({**plain, **stored.given}, ProviderSettings)
    except msgspec.ValidationError as exc:
        found = _FIELD.search(str(exc))
        raise WrongProviderError(found[1] if found else "", str(exc)) from None
    if configured is None:
        return settings
    moved = settings.base_url != configured.base_url
    return msgspec.structs.replace(
        settings,
        api_key=Secret("") if moved else configured.api_key,
        headers={} if moved else configured.headers,
        chunk_delay_s=configured.chunk_delay_s,
    )


def with_stored(settings: Settings, stored: Iterable[StoredProvider]) -> Settings:
    """Return the settings with what is stored of providers in force. Raises ConfigError."""
    providers = dict(settings.providers)
    for each in stored:
        if each.disabled:
            providers.pop(each.name, None)
            continue
        try:
            providers[each.name] = in_force(each, settings.providers.get(each.name))
        except WrongProviderError as exc:
            raise ConfigError(f"stored provider '{each.name}': {exc.field}: {exc}") from None
    return msgspec.structs.replace(settings, providers=providers)


def _check_presence(given: Mapping[str, Any], configured: ProviderSettings | None) -> None:
    if configured is not None:
        return
    for field in ("kind", "base_url"):
        if not given.get(field) and not (field == "base_url" and given.get("kind") == "custom"):
            raise WrongProviderError(field, "a provider that is not configured needs one", missing=True)


def _check_address(address: str) -> None:
    if address and not _well_formed(address):
        raise WrongProviderError(
            "base_url", "expected http:// or https://, host, port and path, without user, query or fragment"
        )


def _well_formed(address: str) -> bool:
    if len(address) > 500 or not _ADDRESS.fullmatch(address) or set(address) & _REFUSED:
        return False
    try:
        port = urlsplit(address).port
    except ValueError:
        return False
    return port is None or port > 0
