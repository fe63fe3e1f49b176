"""The catalog that comes with the gateway."""

from datetime import date

import pytest

from gateway.catalog.shipped import ShippedEntry, shipped_catalog

ENTRIES = shipped_catalog().models
DOLLAR = 1_000_000_000


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in ENTRIES.items()])
def test_every_entry_has_prices_and_tells_where_they_are_from(entry: ShippedEntry) -> None:
    """Each figure can be checked again."""
    assert entry.prices is not None
    assert entry.sources
    assert set(entry.sources) <= set(shipped_catalog().sources)


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in ENTRIES.items()])
def test_figures_are_plausible(entry: ShippedEntry) -> None:
    """A slip of three digits is found: no model costs more than 1000 dollars a million tokens, or has a tiny window."""
    prices = entry.prices
    assert prices is not None
    assert 0 <= prices.input <= 1000 * DOLLAR
    assert prices.output == 0 or prices.input <= prices.output <= 1000 * DOLLAR
    assert prices.cached_input is None or prices.cached_input < prices.input
    assert prices.long_prompt is None or prices.input < prices.long_prompt.input
    assert entry.context_window is None or entry.context_window >= 1024
    if entry.context_window and entry.max_output_tokens:
        assert entry.max_output_tokens <= entry.context_window
    assert ("embeddings" in entry.capabilities) != ("chat" in entry.capabilities) or not entry.capabilities


def test_every_source_is_used_and_dated() -> None:
    """The file says when it was made; no source is from after that day."""
    catalog = shipped_catalog()
    made = date.fromisoformat(catalog.date)

    assert {source for entry in catalog.models.values() for source in entry.sources} == set(catalog.sources)
    for source in catalog.sources.values():
        assert source.of is None or date.fromisoformat((source.of + "-01")[:10]) <= made


def test_snapshots_have_the_facts_of_their_model() -> None:
    """A dated id costs what its model costs."""
    facts = shipped_catalog().facts()

    assert facts["openai/gpt-4o-mini-2024-07-18"] is facts["openai/gpt-4o-mini"]
    assert "openai/gpt-4o-2024-05-13" not in facts  # an older snapshot with another price
    snapshots = [name for entry in ENTRIES.values() for name in entry.snapshots]
    assert len(facts) == len(ENTRIES) + len(snapshots)
