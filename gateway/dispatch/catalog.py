"""Which provider answers for which model name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from gateway.config import ProviderSettings
from gateway.errors import ModelNotFound, ProviderNotFound
from gateway.providers.base import Provider

_SHOWN: Final = 20
"""How many existing names an error lists."""


class Target(msgspec.Struct, frozen=True):
    """One provider and its own name for the model."""

    provider: Provider
    model: str
    settings: ProviderSettings


class ModelCard(msgspec.Struct, frozen=True):
    """One model that can be asked for: `id` is `provider/model`, or an alias."""

    id: str
    owned_by: str


class Catalog:
    """Resolves model names. `aliases` maps a name to its targets, tried in order."""

    def __init__(
        self,
        providers: Mapping[str, tuple[Provider, ProviderSettings]],
        aliases: Mapping[str, Sequence[str]],
    ) -> None:
        self._providers = dict(providers)
        self._aliases = dict(aliases)
        self._bare = {
            model: name for name, (_, settings) in reversed(self._providers.items()) for model in settings.models
        }

    def resolve(self, model: str, provider: str = "") -> list[Target]:
        """Return the targets for a model name, in the order to try them; at least one.

        `provider` is the path's prefix: then the name is that provider's own, with or without its prefix. Otherwise
        the name is an alias, `provider/model`, or a bare name that one provider lists. Raises ProviderNotFound or
        ModelNotFound.
        """
        if provider:
            return [self._target(provider, model.removeprefix(provider + "/"))]
        if model in self._aliases:
            return [self._resolve_name(name) for name in self._aliases[model]]
        return [self._resolve_name(model)]

    def models(self, provider: str = "") -> Iterator[ModelCard]:
        """Yield the listed models, those of one provider if it is named. Raises ProviderNotFound."""
        if provider:
            self._entry(provider)
        for name, (_, settings) in self._providers.items():
            if provider in {"", name}:
                for model in settings.models:
                    yield ModelCard(f"{name}/{model}", name)
        if not provider:
            for alias in self._aliases:
                yield ModelCard(alias, "gateway")

    def model(self, model: str, provider: str = "") -> ModelCard:
        """Return one model that `resolve` knows. Raises ProviderNotFound or ModelNotFound."""
        if not provider and model in self._aliases:
            return ModelCard(model, "gateway")
        target = self.resolve(model, provider)[0]
        return ModelCard(f"{target.provider.name}/{target.model}", target.provider.name)

    def _resolve_name(self, name: str) -> Target:
        prefix, slash, rest = name.partition("/")
        if slash and prefix in self._providers:
            return self._target(prefix, rest)
        if name in self._bare:
            return self._target(self._bare[name], name)
        known = [card.id for card in self.models()]
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
