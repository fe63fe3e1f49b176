"""Start the processes that are measured, wait until they answer, and end each of them by its process id."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from bench import cpu

_STOP_S: Final = 15.0
_LOG_TAIL: Final = 20
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
ROOT: Final = Path(__file__).parent.parent


class Failed(Exception):
    """The benchmark cannot go on; the text says why and holds the end of the process's log."""


class Process:
    """A child process, its output in a log file. Leaving the `with` block ends it and whatever it started."""

    def __init__(
        self, name: str, command: Sequence[str], home: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        """Start `command` in `home` with a clean environment plus `settings`: the caller's own has no effect."""
        self.name = name
        self._log = home / f"{name}.log"
        environment = {key: os.environ[key] for key in _KEPT if key in os.environ}
        environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", **(settings or {})}
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                command,
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then ends things in order
            )
        self.pid = self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        family = {pid: cpu.started(pid) for pid in cpu.tree(self.pid)}
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_STOP_S)
        for pid, started in family.items():
            if started is not None and cpu.started(pid) == started:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._child.wait(_STOP_S)

    def wait_until_ready(self, port: int, path: str | None, deadline_s: float) -> None:
        """Wait until `port` accepts, and answers `path` with 200 if given. Raises Failed past the deadline."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            self.check()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if _answers(port, path):
                    return
            time.sleep(0.05)  # between two looks, bounded by the deadline above
        raise Failed(f"{self.name} was not ready after {deadline_s:.0f} s\n{self._tail()}")

    def check(self) -> None:
        """Raise Failed when the process has ended."""
        if self._child.poll() is not None:
            raise Failed(f"{self.name} ended with status {self._child.returncode}\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _answers(port: int, path: str | None) -> bool:
    if path is None:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status == 200
