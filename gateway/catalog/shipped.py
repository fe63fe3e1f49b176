"""The catalog that comes with the gateway: `models.yaml` beside this file."""

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.catalog.entries import Date, ModelFacts


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where figures were found and whose they are. `of` is the day or month they are from, where the source tells."""

    url: str
    about: str
    of: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}(-\d{2})?$")] | None = None


class ShippedEntry(ModelFacts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. `snapshots` are other ids of the same model with the same facts."""

    sources: tuple[str, ...]
    snapshots: tuple[str, ...] = ()


class ShippedCatalog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. `date` is the day it was put together and its sources were read."""

    date: Date
    sources: Mapping[str, Source]
    models: Mapping[str, ShippedEntry]

    def facts(self) -> dict[str, ModelFacts]:
        """Return the facts by `provider/model`, snapshots included."""
        facts: dict[str, ModelFacts] = {}
        for name, entry in self.models.items():
            provider = name.partition("/")[0]
            for each in (name, *(f"{provider}/{snapshot}" for snapshot in entry.snapshots)):
                facts[each] = entry
        return facts


@functools.cache
def shipped_catalog() -> ShippedCatalog:
    """Return the shipped catalog."""
    text = (resources.files(__package__) / "models.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=ShippedCatalog)
