"""Which provider answers for which name."""

from typing import Any

import pytest

from gateway.catalog.known import KnownModels
from gateway.config import ProviderSettings
from gateway.dispatch.catalog import Catalog
from gateway.errors import GatewayError, ModelNotFound, ProviderNotFound
from gateway.providers.custom import CustomProvider


def catalog(**models: tuple[str, ...]) -> Catalog:
    """Two providers, `one` and `two`, with models; aliases of both."""
    names = models or {"one": ("small", "org/large"), "two": ("small", "other")}
    providers: dict[str, Any] = {
        name: (CustomProvider(name), ProviderSettings(kind="custom", models=listed)) for name, listed in names.items()
    }
    aliases = {"fast": ["one/small", "two/other"], "one/alias": ["two/x"], "bare": ["other"]}
    return Catalog(providers, aliases, KnownModels({}, {}, {}))


@pytest.mark.parametrize(
    ("model", "provider", "targets"),
    [
        pytest.param("one/small", "", ["one:small"], id="prefixed"),
        pytest.param("one/anything", "", ["one:anything"], id="prefixed and unlisted"),
        pytest.param("one/org/large", "", ["one:org/large"], id="a slash in the model"),
        pytest.param("other", "", ["two:other"], id="bare"),
        pytest.param("org/large", "", ["one:org/large"], id="bare with a slash"),
        pytest.param("small", "", ["one:small"], id="bare in two: the first"),
        pytest.param("fast", "", ["one:small", "two:other"], id="alias"),
        pytest.param("bare", "", ["two:other"], id="alias of a bare name"),
        pytest.param("one/alias", "", ["two:x"], id="an alias goes before a prefix"),
        pytest.param("anything", "two", ["two:anything"], id="provider in the path"),
        pytest.param("two/other", "two", ["two:other"], id="provider in path and name"),
        pytest.param("one/small", "two", ["two:one/small"], id="another provider's name in the path"),
        pytest.param("fast", "two", ["two:fast"], id="aliases do not count on a provider's path"),
    ],
)
def test_a_name_is_resolved(model: str, provider: str, targets: list[str]) -> None:
    """In the order to try them."""
    found = catalog().resolve(model, provider)

    assert [f"{target.provider.name}:{target.model}" for target in found] == targets


@pytest.mark.parametrize(
    ("model", "provider", "error", "text"),
    [
        pytest.param("nope", "", ModelNotFound, "one/small", id="unknown"),
        pytest.param("nope/x", "", ModelNotFound, "one, two", id="unknown prefix"),
        pytest.param("one/", "", ModelNotFound, "names no model", id="empty name"),
        pytest.param("small", "nope", ProviderNotFound, "one, two", id="unknown provider in the path"),
        pytest.param("two/", "two", ModelNotFound, "names no model", id="empty name on a path"),
    ],
)
def test_an_unknown_name_lists_what_exists(model: str, provider: str, error: type[GatewayError], text: str) -> None:
    """The caller can mend it without asking anyone."""
    with pytest.raises(error, match=text):
        catalog().resolve(model, provider)


def test_a_long_list_is_cut() -> None:
    """An error is not a directory."""
    with pytest.raises(ModelNotFound) as caught:
        catalog(one=tuple(f"m{number:02}" for number in range(100))).resolve("nope")

    assert "m19, …" in caught.value.message
    assert "m20" not in caught.value.message


def test_an_alias_s_targets_without_a_provider_are_left_out() -> None:
    """A configuration can name providers that are not enabled here; an alias of nothing else does not exist."""
    providers: dict[str, Any] = {"one": (CustomProvider("one"), ProviderSettings(kind="custom"))}
    aliases = {"fast": ["nope/a", "one/b"], "gone": ["nope/a"]}
    found = Catalog(providers, aliases, KnownModels({}, {}, {}))

    assert [target.model for target in found.resolve("fast")] == ["b"]
    assert set(found.aliases) == {"fast"}
