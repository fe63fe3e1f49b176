"""What a process uses, from Linux's `/proc`: this one or another of the same user.

Each function raises OSError where there is no such process, or no `/proc`.
"""

import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_A_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Return its resident memory in bytes."""
    return int(_read(pid, "statm").split()[1]) * _PAGE_BYTES


def cpu_s(pid: int) -> float:
    """Return the CPU time that it has used since its start, in seconds, to a hundredth."""
    after_name = _read(pid, "stat").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_A_S


def open_files(pid: int) -> int:
    """Return how many files it has open."""
    with os.scandir(_PROC / str(pid) / "fd") as files:
        return sum(1 for _ in files)


def most_open_files(pid: int) -> int:
    """Return for how many files it has had room since its start: the most at once, rounded up to a power of two."""
    return next(int(line[7:]) for line in _read(pid, "status").splitlines() if line.startswith("FDSize:"))


def _read(pid: int, name: str) -> str:
    return (_PROC / str(pid) / name).read_text()
