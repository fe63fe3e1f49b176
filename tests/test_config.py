"""Settings: defaults < YAML < environment, and one clear line for everything that is wrong."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import __main__ as command_line
from gateway.config import ENVIRONMENT, ConfigError, Secret, Settings, load, masked


def read(tmp_path: Path, yaml: str = "", **environment: str) -> Settings:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml)
    return load(environment, path)


def test_nothing_set_is_a_working_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback, with a key required, and the built-in provider alone."""
    monkeypatch.chdir(tmp_path)
    settings = load({})

    assert (settings.service.host, settings.service.port, settings.service.grpc_port) == ("127.0.0.1", 8080, 50051)
    assert settings.access.require_auth
    assert set(settings.enabled_providers()) == {"custom"}


VALUES = {
    "SERVICE_HOST": ("0.0.0.0", "0.0.0.0"),
    "SERVICE_PORT": ("81", 81),
    "GRPC_PORT": ("82", 82),
    "METRICS_PORT": ("83", 83),
    "ADMIN_HOST": ("::1", "::1"),
    "ADMIN_PORT": ("0", 0),
    "MAX_BODY_BYTES": ("2048", 2048),
    "SHUTDOWN_GRACE_S": ("1.5", 1.5),
    "ALLOWED_API_KEYS": (" a , b ,, ", (Secret("a"), Secret("b"))),
    "REQUIRE_AUTH": ("no", False),
    "CORS_ALLOW_ORIGINS": ("https://a.example", ("https://a.example",)),
    "ENABLE_SECURITY_HEADERS": ("0", False),
    "AI_GATEWAY_REQUEST_TIMEOUT": ("2500", 2.5),
    "REQUEST_TIMEOUT_S": ("7", 7.0),
    "STREAM_TIMEOUT_S": ("8", 8.0),
    "FIRST_TOKEN_TIMEOUT_S": ("9", 9.0),
    "STREAM_IDLE_TIMEOUT_S": ("10", 10.0),
    "STREAM_GATHER_MS": ("2", 0.002),
    "AI_GATEWAY_MAX_RETRIES": ("4", 4),
    "OPENAI_API_KEY": ("sk-x", Secret("sk-x")),
    "OPENAI_BASE_URL": ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
    "OPENAI_MODEL": ("m1, m2", ("m1", "m2")),
    "OPENAI_MAX_TOKENS": ("99", 99),
    "LOG_LEVEL": ("DEBUG", "debug"),
    "LOG_FORMAT": ("Console", "console"),
}


@pytest.mark.parametrize("variable", VALUES)
def test_every_variable_is_read(tmp_path: Path, variable: str) -> None:
    """Into the setting that the table names."""
    text, expected = VALUES[variable]
    node: Any = read(tmp_path, **{variable: text})
    for name in ENVIRONMENT[variable][0].split("."):
        node = node[name] if isinstance(node, dict) else getattr(node, name)

    assert node == expected


def test_the_variables_shared_with_others_are_tested() -> None:
    """A new variable needs a row above, unless its own provider's tests have it."""
    assert set(VALUES) <= set(ENVIRONMENT)


def test_the_later_spelling_of_a_setting_wins(tmp_path: Path) -> None:
    """Seconds over milliseconds."""
    settings = read(tmp_path, REQUEST_TIMEOUT_S="7", AI_GATEWAY_REQUEST_TIMEOUT="2500")

    assert settings.time.request_s == 7


def test_the_environment_goes_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    """Setting by setting, not group by group."""
    yaml = "service: {port: 1, grpc_port: 2}\nproviders: {openai: {models: [a]}}"
    settings = read(tmp_path, yaml, SERVICE_PORT="9", OPENAI_API_KEY="k")

    assert (settings.service.port, settings.service.grpc_port, settings.service.metrics_port) == (9, 2, 9464)
    assert settings.providers["openai"].models == ("a",)
    assert settings.providers["openai"].base_url == "https://api.openai.com/v1"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    """As compose files write it."""
    assert read(tmp_path, "service: {port: 5}", SERVICE_PORT="  ").service.port == 5


def test_a_file_can_take_secrets_from_the_environment(tmp_path: Path) -> None:
    """`${NAME}` and `${NAME:-default}`."""
    yaml = """
providers:
  vendor: {kind: openai, base_url: "http://${HOST:-127.0.0.1}/v1", api_key: "${VENDOR_KEY}", models: ["${A:-a}"]}
"""
    vendor = read(tmp_path, yaml, VENDOR_KEY="sk-v").providers["vendor"]

    assert (vendor.base_url, vendor.api_key.reveal(), vendor.models) == ("http://127.0.0.1/v1", "sk-v", ("a",))
    with pytest.raises(ConfigError, match="VENDOR_KEY"):
        read(tmp_path, yaml)


@pytest.mark.parametrize(
    ("variables", "enabled"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"OPENAI_API_KEY": "k"}, True, id="key"),
        pytest.param({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, True, id="a server without keys"),
        pytest.param({"OPENAI_MODEL": "m"}, False, id="only a model"),
    ],
)
def test_a_vendor_s_public_address_needs_a_key(tmp_path: Path, variables: dict[str, str], enabled: bool) -> None:
    """A provider that cannot answer is not offered."""
    assert ("openai" in read(tmp_path, **variables).enabled_providers()) == enabled


def test_the_file_is_found_where_it_is_named_or_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`GATEWAY_CONFIG`, else `config/gateway.yaml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/gateway.yaml").write_text("service: {port: 1}")
    (tmp_path / "other.yaml").write_text("service: {port: 2}")

    assert load({}).service.port == 1
    assert load({"GATEWAY_CONFIG": "other.yaml"}).service.port == 2


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("SERVICE_PORT", "eighty", "expected an integer"),
        ("SERVICE_PORT", "70000", "<= 65535"),
        ("SERVICE_PORT", "-1", ">= 0"),
        ("REQUEST_TIMEOUT_S", "soon", "expected a number"),
        ("REQUEST_TIMEOUT_S", "0", "> 0"),
        ("REQUEST_TIMEOUT_S", "inf", "<= "),
        ("REQUEST_TIMEOUT_S", "nan", "0"),
        ("REQUIRE_AUTH", "maybe", "expected true or false"),
        ("AI_GATEWAY_MAX_RETRIES", "1000", "<= 10"),
        ("MAX_BODY_BYTES", "1", ">= 1024"),
        ("LOG_LEVEL", "loud", "'loud'"),
        ("LOG_FORMAT", "xml", "'xml'"),
        ("OPENAI_MAX_TOKENS", "0", ">= 1"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_right(tmp_path: Path, variable: str, text: str, says: str) -> None:
    """One line: where it came from and what would do."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, **{variable: text})

    message = str(caught.value)
    assert message.startswith(f"{variable} (environment): ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        pytest.param("service: [", "is not YAML", id="broken"),
        pytest.param("- a", "expected a mapping", id="list"),
        pytest.param("service: {prot: 1}", "unknown field `prot`", id="unknown"),
        pytest.param("service: {port: a}", "$.service.port", id="wrong type"),
        pytest.param("service:", "got `null`", id="empty group"),
        pytest.param("1: 2", "", id="number as name"),
        pytest.param("providers: {Bad Name: {kind: custom}}", "providers", id="bad provider name"),
        pytest.param("providers: {x: {kind: other}}", "'other'", id="unknown kind"),
        pytest.param("providers: {x: {base_url: a}}", "`kind`", id="no kind"),
        pytest.param("aliases: {fast: []}", "aliases", id="alias without targets"),
        pytest.param("access: {api_keys: [[1]]}", "expected a text", id="list as key"),
        pytest.param("time: {request_s: .inf}", "$.time.request_s", id="endless"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, yaml: str, says: str) -> None:
    """The file, the place, and no traceback."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, yaml)

    message = str(caught.value)
    assert message.startswith(str(tmp_path / "gateway.yaml"))
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: None, "cannot be read", id="missing"),
        pytest.param(lambda path: path.mkdir(), "cannot be read", id="folder"),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8", id="binary"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Any, says: str) -> None:
    """With the reason."""
    path = tmp_path / "named.yaml"
    make(path)
    with pytest.raises(ConfigError, match=says):
        load({"GATEWAY_CONFIG": str(path)})


SECRETS = """
access: {api_keys: [sk-canary-1]}
providers:
  vendor: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: sk-canary-2, headers: {x-key: sk-canary-3}}
"""


def test_secrets_do_not_show(tmp_path: Path) -> None:
    """Neither in a repr nor in what `check-config` prints."""
    settings = read(tmp_path, SECRETS)
    shown = repr(settings) + json.dumps(masked(settings)) + str(settings)

    assert "canary" not in shown
    assert masked(settings)["providers"]["vendor"]["api_key"] == "***"
    assert masked(settings)["providers"]["custom"]["api_key"] == ""


def test_an_error_does_not_quote_a_secret(tmp_path: Path) -> None:
    """A secret in the wrong place is not printed either."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "access: {api_keys: sk-canary-1}")

    assert "canary" not in str(caught.value)


def test_equal_secrets_are_equal() -> None:
    """They are values: comparable, hashable, false when empty."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")


def test_only_secrets_are_masked() -> None:
    """Anything else that is not plain data is a mistake of ours."""

    class Odd(msgspec.Struct):
        value: Any

    with pytest.raises(TypeError):
        masked(Odd(object()))  # type: ignore[arg-type]  # the mistake


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = command_line.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_check_config_prints_what_is_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, secrets masked."""
    path = tmp_path / "gateway.yaml"
    path.write_text(SECRETS)
    code, output, _ = run(capsys, "--config", str(path), "check-config")

    assert code == 0
    assert json.loads(output)["service"]["port"] == 8080
    assert "canary" not in output


def test_a_wrong_file_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For every command."""
    path = tmp_path / "gateway.yaml"
    path.write_text("sevice: {}")
    code, output, errors = run(capsys, "--config", str(path), "check-config")

    assert (code, output) == (2, "")
    assert errors == f"llmgateway: {path}: Object contains unknown field `sevice`\n"


def test_envoy_config_prints_what_envoy_gets(capsys: pytest.CaptureFixture[str]) -> None:
    """With the sockets that are named."""
    code, output, _ = run(capsys, "envoy-config", "--upstream", "/run/a.sock", "--upstream", "/run/b.sock")

    assert code == 0
    assert "/run/a.sock" in output
    assert "/run/b.sock" in output
