"""Which fact goes before which."""

from gateway.catalog.entries import ModelFacts, Prices
from gateway.catalog.known import KnownModels

CHEAP, DEAR = Prices(input=10_000_000, output=10_000_000), Prices(input=10**9, output=10**9)
SHIPPED = {
    "vendor/m": ModelFacts(prices=DEAR, context_window=100, capabilities=("chat",)),
    "vendor/*": ModelFacts(prices=CHEAP, max_output_tokens=7),
}


def test_the_operator_s_entry_goes_first() -> None:
    """Field by field: what the operator leaves out comes from the next one who knows."""
    known = KnownModels({"vendor/m": ModelFacts(prices=CHEAP)}, SHIPPED, {})

    facts = known.facts("vendor", "m")

    assert (facts.prices, facts.context_window, facts.max_output_tokens) == (CHEAP, 100, 7)


def test_the_vendor_s_list_goes_before_the_shipped_catalog() -> None:
    """The vendor knows its model's size today; the file knows it from its own date."""
    facts = KnownModels({}, SHIPPED, {}).facts("vendor", "m", ModelFacts(context_window=200))

    assert (facts.context_window, facts.capabilities) == (200, ("chat",))


def test_a_star_stands_for_models_without_an_entry() -> None:
    """The operator's star goes before the shipped one, and an entry before both."""
    told = {"vendor/*": ModelFacts(prices=Prices(input=0, output=0))}

    assert KnownModels({}, SHIPPED, {}).facts("vendor", "other").prices == CHEAP
    assert KnownModels(told, SHIPPED, {}).facts("vendor", "other").prices == Prices(input=0, output=0)
    assert KnownModels(told, SHIPPED, {}).facts("vendor", "m").prices == DEAR


def test_a_provider_can_have_another_vendor_s_models() -> None:
    """A provider of any name can say that its models are those of one in the catalog."""
    known = KnownModels({}, SHIPPED, {"eu": "vendor"})

    assert known.facts("eu", "m").prices == DEAR
    assert known.facts("us", "m") == ModelFacts()
    assert list(known.shipped("eu")) == ["m"]


def test_stars_are_not_models() -> None:
    """They say something of models, and are none."""
    known = KnownModels({"vendor/a/b": ModelFacts(), "vendor/*": ModelFacts(), "other/c": ModelFacts()}, SHIPPED, {})

    assert list(known.told("vendor")) == ["a/b"]
    assert list(known.shipped("vendor")) == ["m"]
