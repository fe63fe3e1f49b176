"""What a crowd of connections leaves in a worker's memory, and whether that is too much.

For each connection of its busiest moment gRPC keeps a free handle in its epoll poller's list, 128 bytes in two pieces,
and each piece holds a page: ten thousand connections leave 60 to 100 MB that no allocator can give back. A new process
has none of it. (`GRPC_POLL_STRATEGY=poll` has no such list; but a call among ten thousand idle connections then takes
3 ms longer.)
"""

import contextlib
from typing import Final

from gateway.process_usage import cpu_s, most_open_files, open_files, resident

_CROWD: Final = 1024
"""More open files than this at once are a crowd."""
_FEW: Final = 1 / 8
"""The part of a crowd, or of the most files there ever were, that may be open at rest."""
_QUIET: Final = 0.1
"""The share of a core below which a process is at rest."""
_LOOKS: Final = 4
"""How many looks in a row it has to be at rest: time for it to give back by itself what it can."""
_KEPT: Final = 1.1


class Crowds:
    """Looks at one process, from outside. Made when it has started, which is its first rest."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        self.rested = resident(pid)
        """Its resident memory when it was last at rest before its first crowd, in bytes."""
        self.kept = self.rested
        """Its resident memory at the last look."""
        self._cpu_s = cpu_s(pid)
        self._room = most_open_files(pid)
        self._had_crowd = False
        self._crowded = False
        self._looks = 0

    def look(self, passed: float) -> bool:
        """Return whether a crowd has gone and the process has kept over 10 % more than before its first.

        It is told once for each crowd. `passed` are the seconds since the last look. False when the process has ended.
        """
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return self._look(passed)
        return False

    def _look(self, passed: float) -> bool:
        used, self._cpu_s = self._cpu_s, cpu_s(self.pid)
        room, self._room = self._room, most_open_files(self.pid)
        files = open_files(self.pid)
        self.kept = resident(self.pid)
        crowd = files > _CROWD or self._room > max(room, _CROWD)  # now, or since the last look
        at_rest = self._cpu_s - used < _QUIET * passed and files <= _FEW * max(self._room, _CROWD)
        if crowd or not at_rest:
            self._looks = 0
            self._crowded = self._crowded or crowd
            self._had_crowd = self._had_crowd or crowd
            return False
        if not self._had_crowd:
            self.rested = self.kept
        self._looks += 1
        if not self._crowded or self._looks < _LOOKS:
            return False
        self._crowded = False
        return self.kept > _KEPT * self.rested


def watch_crowds(pid: int) -> Crowds | None:
    """Return what looks at a process that has just started; None where there is no `/proc`, or it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Crowds(pid)
    return None
