"""Ports of the loopback address for what tests start."""

import socket
from typing import Final

_GIVEN: Final[set[int]] = set()


def free_port() -> int:
    """Return a port that nobody listened on a moment ago, and another one each time: the system may tell one twice."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port
