"""The models that callers may use: configured ones and those that vendors list, with what is known of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from gateway.catalog.entries import ModelFacts, Prices
from gateway.catalog.known import NOTHING, KnownModels
from gateway.dispatch.catalog import Catalog, Target
from gateway.dispatch.listing import Listing
from gateway.errors import ModelNotFound
from gateway.providers.base import ListedModel

_ALIAS_OWNER: Final = "gateway"


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One model that can be asked for: `id` is `provider/model`, or an alias.

    `aliases` are other names of the same model. `created` is Unix seconds, 0 where it is not known.
    """

    id: str
    owned_by: str
    created: int = 0
    facts: ModelFacts = NOTHING
    aliases: tuple[str, ...] = ()


class ModelDirectory:
    """Lists models and tells what is known of them. `price` tells what an operator has stored of a model's price."""

    def __init__(
        self, catalog: Catalog, known: KnownModels, listing: Listing, price: Callable[[str, str], Prices | None]
    ) -> None:
        self._catalog = catalog
        self._known = known
        self._listing = listing
        self._price = price

    async def models(self, provider: str = "") -> list[ModelCard]:
        """Return the models in the order of their ids, those of one provider if it is named.

        These are the configured models, those that the vendors list, and the aliases. Raises ProviderNotFound.
        """
        names = [self._catalog.provider(provider)] if provider else self._catalog.providers
        await self._listing.refresh(names)
        cards = [
            self._card(name, model)
            for name in names
            for model in {*self._catalog.configured(name), *self._listed(name)}
        ]
        if not provider:
            cards += [self._alias(alias) for alias in self._catalog.aliases]
        return sorted(cards, key=lambda card: card.id)

    async def model(self, model: str, provider: str = "") -> ModelCard:
        """Return one model by any of its names.

        A model that is not configured must be one that its provider lists; while the provider's list is not known,
        every name passes. Raises ProviderNotFound or ModelNotFound.
        """
        if not provider and model in self._catalog.aliases:
            return self._alias(model)
        target = self._catalog.resolve(model, provider)[0]
        name = target.provider.name
        await self._listing.refresh([name])
        listed = self._listing.models(name)
        if listed is not None and not self._exists(target, listed):
            raise ModelNotFound(f"The provider '{name}' has no model '{target.model}'.", param="model")
        return self._card(name, target.model)

    def _exists(self, target: Target, listed: Mapping[str, ListedModel]) -> bool:
        name = target.provider.name
        return (
            _find(listed, target.model) is not None
            or target.model in self._catalog.configured(name)
            or target.model in self._known.shipped(name)
        )

    def _listed(self, provider: str) -> Mapping[str, ListedModel]:
        return self._listing.models(provider) or {}

    def _card(self, provider: str, model: str) -> ModelCard:
        listed = _find(self._listed(provider), model) or ListedModel(id=model)
        return ModelCard(
            id=f"{provider}/{model}",
            owned_by=listed.owned_by or provider,
            created=listed.created,
            facts=self._facts(provider, model),
            aliases=tuple(self._catalog.other_names(provider, model)),
        )

    def _facts(self, provider: str, model: str) -> ModelFacts:
        facts = self._known.facts(provider, model, _told_by_vendor(_find(self._listed(provider), model)))
        stored = self._price(provider, model)
        return facts if stored is None else msgspec.structs.replace(facts, prices=stored)

    def _alias(self, alias: str) -> ModelCard:
        targets = self._catalog.resolve(alias)
        facts = [self._facts(target.provider.name, target.model) for target in targets]
        return ModelCard(id=alias, owned_by=_ALIAS_OWNER, facts=_common(facts))


def _find(listed: Mapping[str, ListedModel], model: str) -> ListedModel | None:
    """Return the entry of `model`; Ollama lists `model:latest` for what calls name `model`."""
    return listed.get(model) or listed.get(f"{model}:latest")


def _told_by_vendor(listed: ListedModel | None) -> ModelFacts:
    if listed is None:
        return NOTHING
    return ModelFacts(
        context_window=listed.context_window,
        max_output_tokens=listed.max_output_tokens,
        capabilities=listed.capabilities,
    )


def _common(facts: Sequence[ModelFacts]) -> ModelFacts:
    """Return what holds whichever of several models answers."""
    first, *others = facts
    return ModelFacts(
        prices=first.prices if all(other.prices == first.prices for other in others) else None,
        context_window=_least(each.context_window for each in facts),
        max_output_tokens=_least(each.max_output_tokens for each in facts),
        capabilities=tuple(
            capability for capability in first.capabilities if all(capability in other.capabilities for other in others)
        ),
    )


def _least(sizes: Iterator[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else min(size for size in known if size is not None)
