"""CPU seconds and resident memory of a whole process tree, read from /proc (Linux only)."""

import os
from pathlib import Path
from typing import NamedTuple

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Positions in /proc/PID/stat, counted after the closing bracket of the command's name (proc(5)).
_PPID, _UTIME, _STIME, _CUTIME, _CSTIME, _STARTED, _RSS = 1, 11, 12, 13, 14, 19, 21


class Usage(NamedTuple):
    """What a process tree has used since it started.

    `cpu_s` is user plus system time of all threads of all processes that live, and of children that ended and were
    waited for. `rss_bytes` is the sum of resident sizes: pages that two processes share count twice.
    """

    cpu_s: float
    rss_bytes: int


def tree(root: int) -> list[int]:
    """The process ids of `root` and all its living descendants, parents first; empty when `root` is gone."""
    children: dict[int, list[int]] = {}
    alive = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            alive.add(int(entry.name))
            children.setdefault(int(fields[_PPID]), []).append(int(entry.name))
    found = [root] if root in alive else []
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def usage(root: int) -> Usage:
    """What the tree under `root` has used so far. Raises ProcessLookupError when `root` is gone."""
    ticks = pages = 0
    pids = tree(root)
    if not pids:
        raise ProcessLookupError(root)
    for pid in pids:
        if fields := _stat(pid):
            ticks += sum(int(fields[at]) for at in (_UTIME, _STIME, _CUTIME, _CSTIME))
            pages += int(fields[_RSS])
    return Usage(ticks / _TICKS_PER_SECOND, pages * _PAGE_BYTES)


def started(pid: int) -> int | None:
    """When `pid` started, in ticks since boot: tells a process from a later one with the same id. None = it is gone."""
    fields = _stat(pid)
    return int(fields[_STARTED]) if fields and fields[0] != "Z" else None


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended while we looked
    return text.rpartition(")")[2].split()
