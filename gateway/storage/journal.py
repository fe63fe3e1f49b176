"""A process's own write-ahead file: what it holds survives the process, before any database has it.

An append copies a line into a file that is mapped into memory. Its pages belong to the system, so a killed process
loses nothing, and no call waits for a database; a power cut may lose what the system had not written out. A file is
only for the time until its lines are in the database. Each process has its own, and holds a lock on it while it lives:
whoever can take the lock knows that the owner is dead and may finish its work, and nobody else can.
"""

import contextlib
import fcntl
import mmap
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOCK: Final = ".lock"
_SEGMENT: Final = ".journal"
SEGMENT_BYTES: Final = 1 << 20


class Journal:
    """The journal of one process, in segments: `NAME.1.journal`, `NAME.2.journal`, ...

    A segment has its full size from the start, so that a full disk is an error of opening it and never of an append;
    what is not written of it is NUL. A `write(2)` for each line would cost several times as much, most of it for
    giving up the interpreter's lock and getting it back.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Start a new journal in `folder`. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name: Final = f"{time.time_ns() // 1_000_000:x}-{secrets.token_hex(4)}"
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._lock = _take_lock(folder / (self.name + _LOCK), create=True)
        self._number = 1
        self._first = 1
        self._end = 0
        self._map = self._segment(1, segment_bytes)

    @property
    def full(self) -> int:
        """The number of the last segment that takes no more lines; 0 if there is none."""
        return self._number - 1

    def append(self, line: bytes) -> None:
        """Add one line, which ends with a newline, whole or not at all. Raises OSError."""
        end = self._end + len(line)
        if end > len(self._map):
            self._next_segment(len(line))
            end = len(line)
        self._map[self._end : end] = line
        self._end = end

    def drop(self, number: int) -> None:
        """Delete the segments up to `number`: their lines are in the database."""
        for old in range(self._first, number + 1):
            self._path(old).unlink(missing_ok=True)
        self._first = max(self._first, number + 1)

    def close(self, *, delete: bool) -> None:
        """Let go of the journal; `delete` it when all its lines are in the database."""
        self._map.close()
        if delete:
            self.drop(self._number)
            (self._folder / (self.name + _LOCK)).unlink(missing_ok=True)
        os.close(self._lock)

    def _next_segment(self, need: int) -> None:
        new = self._segment(self._number + 1, max(need, self._segment_bytes))
        self._map.close()
        self._map = new
        self._number += 1
        self._end = 0

    def _segment(self, number: int, size: int) -> mmap.mmap:
        path = self._path(number)
        try:
            with open(path, "xb+", opener=_private) as file:  # Path.open takes no opener
                file.write(bytes(size))
                file.flush()
                return mmap.mmap(file.fileno(), size)
        except OSError:
            path.unlink(missing_ok=True)  # the next append tries again
            raise

    def _path(self, number: int) -> Path:
        return self._folder / f"{self.name}.{number}{_SEGMENT}"


class Orphan:
    """The journal of a dead process, locked by this one."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name: Final = name
        self._folder = folder

    def lines(self) -> Iterator[bytes]:
        """Yield every line that was written, in order.

        A process can be killed while it copies a line. That line was not promised to anybody; what is there of it
        is yielded, for the caller to find unreadable.
        """
        for path in self._segments():
            yield from path.read_bytes().rstrip(b"\0").splitlines(keepends=True)

    def delete(self) -> None:
        """Delete it: its lines are in the database."""
        for path in self._segments():
            path.unlink(missing_ok=True)
        (self._folder / (self.name + _LOCK)).unlink(missing_ok=True)

    def _segments(self) -> list[Path]:
        paths = self._folder.glob(f"{self.name}.*{_SEGMENT}")
        return sorted(paths, key=lambda path: int(path.name.split(".")[-2]))


def orphans(folder: Path) -> Iterator[Orphan]:
    """Yield the journals whose processes are dead, each locked while the caller handles it."""
    for path in sorted(folder.glob("*" + _LOCK)):
        try:
            lock = _take_lock(path)
        except OSError:  # its owner lives, or another process finished it
            continue
        try:
            yield Orphan(folder, path.name.removesuffix(_LOCK))
        finally:
            os.close(lock)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _take_lock(path: Path, *, create: bool = False) -> int:
    """Return a locked file. Raises OSError when another process has it, or has deleted it meanwhile."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_nlink == 0:
            raise FileNotFoundError(path)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(file)
        raise
    return file
