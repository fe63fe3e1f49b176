"""Facts by name: what the operator says goes before what is shipped."""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.catalog.entries import ModelFacts

NOTHING: Final = ModelFacts()
ANY: Final = "*"


class KnownModels:
    """Looks facts up.

    Both tables map `provider/model` to facts; `provider/*` stands for the models that have no entry of their own.
    `vendors` maps a provider's name to the name that its models have in `shipped`.
    """

    def __init__(
        self, told: Mapping[str, ModelFacts], shipped: Mapping[str, ModelFacts], vendors: Mapping[str, str]
    ) -> None:
        self._told = told
        self._shipped = shipped
        self._vendors = vendors

    def facts(self, provider: str, model: str, listed: ModelFacts = NOTHING) -> ModelFacts:
        """Return what is known of a provider's model; `listed` is what the vendor itself says.

        Each fact comes from the first of: the operator's entry, the vendor, the shipped entry, the operator's `*`, the
        shipped `*`.
        """
        vendor = self._vendors.get(provider, provider)
        facts = listed
        if told := self._told.get(f"{provider}/{model}"):
            facts = told.over(facts)
        for table, name in (
            (self._shipped, f"{vendor}/{model}"),
            (self._told, f"{provider}/{ANY}"),
            (self._shipped, f"{vendor}/{ANY}"),
        ):
            if more := table.get(name):
                facts = facts.over(more)
        return facts

    def told(self, provider: str) -> Iterator[str]:
        """Yield the provider's models that the operator describes."""
        yield from _models(self._told, provider)

    def shipped(self, provider: str) -> Iterator[str]:
        """Yield the provider's models that the shipped catalog describes."""
        yield from _models(self._shipped, self._vendors.get(provider, provider))


def _models(table: Mapping[str, ModelFacts], provider: str) -> Iterator[str]:
    for name in table:
        owner, _, model = name.partition("/")
        if owner == provider and model != ANY:
            yield model
