"""What is stored of a provider, over what is configured."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ConfigError, ProviderSettings, Secret, Settings
from gateway.http.client import HttpClient
from gateway.overrides.provider_settings import StoredProvider, WrongProviderError, in_force, with_stored
from gateway.providers.registry import builder_of
from tests.fuzz.answers import bounded

CONFIGURED = ProviderSettings(
    kind="openai",
    base_url="https://vendor.test/v1",
    api_key=Secret("sk-canary"),
    headers={"x-key": Secret("sk-canary")},
    models=("a",),
    max_output_tokens=5,
)
KINDS = get_args(ProviderSettings.__annotations__["kind"])


def stored(name: str = "one", **given: Any) -> StoredProvider:
    return StoredProvider(name=name, given=given)


def test_what_is_not_said_stays_as_configured() -> None:
    """Key and headers too, while the address is the same."""
    settings = in_force(stored(models=["b"], base_url=CONFIGURED.base_url), CONFIGURED)

    assert (settings.models, settings.max_output_tokens) == (("b",), 5)
    assert (settings.api_key, settings.headers) == (CONFIGURED.api_key, CONFIGURED.headers)


def test_no_secret_goes_to_another_address() -> None:
    """Neither key nor headers."""
    settings = in_force(stored(base_url="https://elsewhere.test/v1"), CONFIGURED)

    assert settings.secrets() == []
    assert settings.max_output_tokens == 5


@pytest.mark.parametrize("field", ["api_key", "headers", "chunk_delay_s"])
def test_a_secret_cannot_be_stored_here(field: str) -> None:
    """Nor what only tests need: a row that somebody wrote by hand is refused by its field."""
    with pytest.raises(WrongProviderError, match="cannot be stored") as caught:
        in_force(stored(**{field: ""}), CONFIGURED)

    assert caught.value.field == field


def test_providers_are_added_changed_and_taken_away() -> None:
    """Configured ones keep their place, because the first one that has a model answers for it."""
    settings = Settings(providers={"one": CONFIGURED, "two": CONFIGURED, "three": CONFIGURED})
    new = {"kind": "openai", "base_url": "http://127.0.0.1"}
    disabled = StoredProvider(name="two", given={"kind": "odd"}, disabled=True)
    merged = with_stored(settings, [stored("four", **new), stored("one", models=["b"]), disabled])

    assert list(merged.providers) == ["one", "three", "four"]
    assert merged.providers["one"].models == ("b",)
    assert merged.providers["three"] == CONFIGURED


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param({"kind": "odd"}, "kind", id="kind"),
        pytest.param({"max_output_tokens": "many"}, "max_output_tokens", id="number"),
        pytest.param({"models": "a"}, "models", id="list"),
        pytest.param({"from_the_future": 1}, "from_the_future", id="unknown field"),
        pytest.param({"base_url": "nowhere"}, "base_url", id="address"),
    ],
)
def test_what_fits_no_more_is_named(given: dict[str, Any], field: str) -> None:
    """Row and field, in one line."""
    with pytest.raises(ConfigError, match=f"^stored provider 'one': .*{field}") as caught:
        with_stored(Settings(providers={"one": CONFIGURED}), [stored(**given)])

    assert "\n" not in str(caught.value)


def test_a_provider_that_is_configured_no_more_is_named() -> None:
    """What was stored of it is not enough for one of its own."""
    with pytest.raises(ConfigError, match="stored provider 'one': kind"):
        with_stored(Settings(), [stored(models=["b"])])


ADDRESSES = st.from_regex(r"https?://[a-z0-9.\[\]:@-]{1,12}(:\d{0,6})?(/[!-~]{0,8})?", fullmatch=True) | st.text(
    max_size=20
).map(lambda text: "http://" + text)


@bounded(300)
@given(address=ADDRESSES, kind=st.sampled_from(KINDS))
async def test_whatever_address_is_taken_can_be_built(address: str, kind: Any) -> None:
    """So storing it cannot break a reload, here or anywhere."""
    try:
        settings = in_force(stored(kind=kind, base_url=address), None)
    except WrongProviderError:
        return
    async with HttpClient(5.0) as client:
        await builder_of(settings)("one", settings, client).aclose()
