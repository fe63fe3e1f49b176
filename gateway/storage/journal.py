"""A process's own write-ahead file: what it holds survives the process, before any database has it.

An append is one `write(2)` into the page cache, so a killed process loses nothing and no call waits for a database. A
file is only for the time until its lines are in the database. Each process has its own, and holds a lock on it while
it lives: whoever can take the lock knows that the owner is dead and may finish its work, and nobody else can.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOCK: Final = ".lock"
_SEGMENT: Final = ".journal"


class Journal:
    """The journal of one process, in segments: `NAME.1.journal`, `NAME.2.journal`, ..."""

    def __init__(self, folder: Path) -> None:
        """Start a new journal in `folder`. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name: Final = f"{time.time_ns() // 1_000_000:x}-{secrets.token_hex(4)}"
        self._folder = folder
        self._lock = _take_lock(folder / (self.name + _LOCK), create=True)
        self._number = 0
        self._first = 1
        self._file = -1
        self.size = 0
        self.rotate()

    def append(self, line: bytes) -> None:
        """Add one line, which ends with a newline, whole or not at all. Raises OSError."""
        written = os.write(self._file, line)
        if written != len(line):  # a full disk takes part of a line
            os.ftruncate(self._file, self.size)
            raise OSError(f"{written} of {len(line)} bytes written")
        self.size += written

    def rotate(self) -> int:
        """Go on in a new segment and return the number of the one before. Raises OSError."""
        path = self._path(self._number + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self.size = 0
        self._number += 1
        return self._number - 1

    def drop(self, number: int) -> None:
        """Delete the segments up to `number`: their lines are in the database."""
        for old in range(self._first, number + 1):
            self._path(old).unlink(missing_ok=True)
        self._first = number + 1

    def close(self, *, delete: bool) -> None:
        """Let go of the journal; `delete` it when all its lines are in the database."""
        os.close(self._file)
        if delete:
            self.drop(self._number)
            (self._folder / (self.name + _LOCK)).unlink(missing_ok=True)
        os.close(self._lock)

    def _path(self, number: int) -> Path:
        return self._folder / f"{self.name}.{number}{_SEGMENT}"


class Orphan:
    """The journal of a dead process, locked by this one."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name: Final = name
        self._folder = folder

    def lines(self) -> Iterator[bytes]:
        """Yield every line that was written, in order."""
        for path in self._segments():
            with path.open("rb") as file:
                yield from file

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
