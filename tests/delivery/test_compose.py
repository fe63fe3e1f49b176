"""compose.yaml and .env.example name only what exists."""

import re
from typing import Any

import pytest
import yaml

from gateway.config import ENVIRONMENT, load
from tests.support.command import ROOT
from tests.test_readme import OUTSIDE_SETTINGS

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE_TEXT = (ROOT / ".env.example").read_text()
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE_TEXT, re.MULTILINE))
DEFAULTS = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE_TEXT, re.MULTILINE))


def test_every_variable_exists() -> None:
    """No variable of the gateway's is misspelt, in either file."""
    used = {*SERVICES["gateway"]["environment"], *EXAMPLE}

    assert used <= {*ENVIRONMENT, *OUTSIDE_SETTINGS}


def test_the_example_has_every_setting() -> None:
    """Once; those that it leaves out by `#` stand there with their defaults."""
    assert sorted([*EXAMPLE, *DEFAULTS]) == sorted(ENVIRONMENT)
    assert load(DEFAULTS) == load({})


def test_the_settings_load() -> None:
    """The example's values, compose's values and its YAML file, together."""
    settings = load({**EXAMPLE, **SERVICES["gateway"]["environment"]}, ROOT / "deploy/compose/gateway.yaml")

    assert "dummy" in settings.enabled_providers()


def test_secrets_are_examples_only() -> None:
    """What can be paid with is empty; git ignores the file that it is copied to."""
    assert [
        name for name, value in EXAMPLE.items() if "_API_KEY" in name and value and name != "ALLOWED_API_KEYS"
    ] == []
    assert "\n.env\n" in (ROOT / ".gitignore").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_what_it_seems(name: str) -> None:
    """Images have exact versions, ports are loopback's, mounted files and services waited for exist."""
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w./-]+:(version-)?v?\d+\.\d[\w.-]*", service["image"])
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), port
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for waited, how in service.get("depends_on", {}).items():
        assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[waited]


def test_addresses_inside_name_services() -> None:
    """Of settings, of the YAML file, and of Prometheus's targets, with the ports that the settings have."""
    (scrape,) = yaml.safe_load((ROOT / "deploy/compose/prometheus.yaml").read_text())["scrape_configs"]
    (target,) = scrape["static_configs"][0]["targets"]
    addresses = " ".join(SERVICES["gateway"]["environment"].values())
    addresses += (ROOT / "deploy/compose/gateway.yaml").read_text()
    hosts = set(re.findall(r"(?:@|//)(\w+):\d+", addresses.replace("gateway:gateway@", "")))

    assert hosts == {"postgres", "redis", "phoenix", "upstream"}
    assert target == f"gateway:{load({}).service.metrics_port}"
    assert f":{SERVICES['upstream']['command'][-1]}/v1" in addresses


def test_the_grace_period_is_longer_than_draining() -> None:
    """Docker's SIGKILL must not come before the gateway has ended its streams."""
    service = load({}).service

    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > (
        service.shutdown_delay_s + service.shutdown_grace_s
    )
