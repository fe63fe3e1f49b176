"""How many files, and so connections, the kernel lets a process have open."""

import resource
from typing import Final

_FOR_OTHERS: Final = 200
"""Kept free of callers' connections, for databases, providers and files."""


def allow_open_files() -> None:
    """Raise the soft limit to the hard one, for this process and the ones it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def affordable(connections: int) -> int:
    """Return how many of so many connections the hard limit allows.

    A server that takes more finds no file for the next one: Envoy then spins and its callers wait, instead of being
    refused.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(hard - _FOR_OTHERS, hard // 2))
