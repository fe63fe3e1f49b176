"""Which provider answers for which model name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
import structlog

from gateway.catalog.known import KnownModels
from gateway.config import ProviderSettings
from gateway.errors import ModelNotFound, ProviderNotFound
from gateway.providers.base import Provider

_log = structlog.get_logger("gateway.catalog")

_SHOWN: Final = 20
"""How many existing names an error lists."""


class Target(msgspec.Struct, frozen=True):
    """One provider and its own name for the model."""

    provider: Provider
    model: str
    settings: ProviderSettings


class Catalog:
    """Resolves model names.

    `aliases` maps a name to its targets, tried in order; a target whose provider is not enabled is left out. `meant`
    tells what a key, by its id, means by a name: that name itself, or the one of everyone's that it prefers.
    """

    def __init__(
        self,
        providers: Mapping[str, tuple[Provider, ProviderSettings]],
        aliases: Mapping[str, Sequence[str]],
        known: KnownModels,
        meant: Callable[[str, str], str] = lambda _key_id, name: name,
    ) -> None:
        self._providers = dict(providers)
        self._meant = meant
        self._configured = {
            name: frozenset((*settings.models, *known.told(name))) for name, (_, settings) in self._providers.items()
        }
        self._bare: dict[str, str] = {}
        self._aliases: dict[str, list[Target]] = {}
        shipped = {name: known.shipped(name) for name in self._providers}
        for models in (shipped, self._configured):  # the operator's word goes before the shipped catalog's
            for name in reversed(self._providers):  # and the first provider that has a model before later ones
                self._bare.update(dict.fromkeys(models[name], name))
        for alias, names in aliases.items():
            if targets := self._alias_targets(alias, names):
                self._aliases[alias] = targets

    @property
    def providers(self) -> Sequence[str]:
        """The names of the providers, in the order of the configuration."""
        return tuple(self._providers)

    @property
    def aliases(self) -> AbstractSet[str]:
        """The names of the aliases that have a target here."""
        return self._aliases.keys()

    def provider(self, name: str) -> str:
        """Return `name`. Raises ProviderNotFound if it is not a provider's."""
        self._entry(name)
        return name

    def configured(self, provider: str) -> AbstractSet[str]:
        """Return the provider's models that the configuration names."""
        return self._configured[provider]

    def other_names(self, provider: str, model: str) -> Iterator[str]:
        """Yield the names that always mean this model, beside `provider/model`: its bare name, and aliases."""
        if self._bare.get(model) == provider and model not in self._aliases:
            yield model
        for alias, targets in self._aliases.items():
            if [(target.provider.name, target.model) for target in targets] == [(provider, model)]:
                yield alias

    def resolve_for(self, key_id: str, model: str, provider: str = "") -> list[Target]:
        """Return the targets of what a key means by a model name; a path's prefix leaves no choice. Raises as below."""
        return self.resolve(model if provider else self._meant(key_id, model), provider)

    def resolve(self, model: str, provider: str = "") -> list[Target]:
        """Return the targets for a model name, in the order to try them; at least one.

        `provider` is the path's prefix: then the name is that provider's own, with or without its prefix. Otherwise
        the name is an alias, `provider/model`, or a bare name: one that the configuration gives to a provider, or else
        one that the shipped catalog has for it. Raises ProviderNotFound or ModelNotFound.
        """
        if provider:
            return [self._target(provider, model.removeprefix(provider + "/"))]
        if model in self._aliases:
            return self._aliases[model]
        return [self._resolve_name(model)]

    def _alias_targets(self, alias: str, names: Sequence[str]) -> list[Target]:
        targets = []
        for name in names:
            try:
                targets.append(self._resolve_name(name))
            except ModelNotFound:
                _log.warning("alias target left out", alias=alias, target=name, reason="no enabled provider has it")
        return targets

    def _resolve_name(self, name: str) -> Target:
        prefix, slash, rest = name.partition("/")
        if slash and prefix in self._providers:
            return self._target(prefix, rest)
        if name in self._bare:
            return self._target(self._bare[name], name)
        known = [f"{owner}/{model}" for owner in self._providers for model in sorted(self._configured[owner])]
        known += self._aliases
        shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
        raise ModelNotFound(
            f"The model '{name}' does not exist. Models here: {shown}; "
            f"'PROVIDER/MODEL' reaches any model of {', '.join(self._providers)}.",
            param="model",
        )

    def _target(self, provider: str, model: str) -> Target:
        entry = self._entry(provider)
        if not model:
            raise ModelNotFound(f"'{provider}/' names no model.", param="model")
        return Target(entry[0], model, entry[1])

    def _entry(self, provider: str) -> tuple[Provider, ProviderSettings]:
        if provider not in self._providers:
            raise ProviderNotFound(
                f"The provider '{provider}' is not configured. Providers here: {', '.join(self._providers)}."
            )
        return self._providers[provider]
