"""Reading the settings: built-in defaults < YAML < environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from gateway.config.environment import ENVIRONMENT
from gateway.config.secret import Secret
from gateway.config.settings import BUILT_IN_PROVIDERS, DEFAULT_KEY_LIMITS, Settings

DEFAULT_CONFIG_PATH: Final = Path("config/gateway.yaml")


class ConfigError(Exception):
    """A setting is wrong. The text is one line, fit to print, and holds no secret."""


def load(environment: Mapping[str, str], path: Path | None = None) -> Settings:
    """Read the settings.

    `path` is the YAML file; without it `GATEWAY_CONFIG` names one, and without that `config/gateway.yaml` is read
    if it exists. Empty environment variables count as unset. Raises ConfigError.
    """
    tree: dict[str, Any] = {
        "providers": {name: dict(provider) for name, provider in BUILT_IN_PROVIDERS.items()},
        "limits": {"key": dict(DEFAULT_KEY_LIMITS)},
    }
    source = config_path(environment, path)
    if source is not None:
        _merge(tree, _read_yaml(source, environment))
        _convert(tree, str(source))
    for variable, (setting, read) in ENVIRONMENT.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            value = read(text)
        except ValueError as exc:
            raise ConfigError(f"{variable} (environment): {exc}") from None
        _put(tree, setting.split("."), value)
        _convert(tree, variable + " (environment)")
    return _convert(tree, "defaults")


def config_path(environment: Mapping[str, str], path: Path | None = None) -> Path | None:
    """Return the YAML file that `load` reads with the same arguments, None for none."""
    if path is not None:
        return path
    named = environment.get("GATEWAY_CONFIG", "").strip()
    if named:
        return Path(named)
    return DEFAULT_CONFIG_PATH if DEFAULT_CONFIG_PATH.exists() else None


def _read_yaml(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(exc).split())}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of settings")
    expanded: dict[str, Any] = _expand(tree, environment, path)
    return expanded


_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(node: Any, environment: Mapping[str, str], path: Path) -> Any:
    """Replace `${NAME}` and `${NAME:-default}` in strings, so that a file can be committed without its secrets."""

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        if environment.get(name):
            return environment[name]
        if default is None:
            raise ConfigError(f"{path}: ${{{name}}} is not set in the environment")
        return str(default)

    if isinstance(node, str):
        return _VARIABLE.sub(value, node)
    if isinstance(node, dict):
        return {key: _expand(child, environment, path) for key, child in node.items()}
    if isinstance(node, list):
        return [_expand(child, environment, path) for child in node]
    return node


def _merge(base: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _convert(tree: dict[str, Any], source: str) -> Settings:
    try:
        return msgspec.convert(tree, Settings, dec_hook=_decode)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{source}: {exc}") from None


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("expected a text")
