"""Memory goes back to the system when load has gone.

glibc keeps what was freed below something that is still in use, for ever: after ten thousand connections about 250 MB,
of which `malloc_trim` gives back all whole pages, some 150 MB in 50 ms. What stays is 128 bytes in use for each
connection of the busiest moment, each of which holds a page; by number and size gRPC's, which uses them again.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger("gateway.memory")
_PAUSE_S: Final = 5.0
_QUIET: Final = 0.1
"""The share of a core below which a process is quiet: giving back costs a busy one more than it is worth."""
_GROWTH: Final = 1.05
_STATM: Final = Path("/proc/self/statm")

Trim = Callable[[int], int]


def find_trim() -> Trim | None:
    """Return the C library's `malloc_trim`; None where there is none, as in musl or on macOS."""
    trim: Trim | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim if trim is not None and _STATM.exists() else None


async def give_back(trim: Trim | None, *, pause: float = _PAUSE_S) -> None:
    """Look every `pause` seconds; trim when quiet and when more is in use than after the last time. Never returns.

    The first look is when the process has started and tells what it needs. Ends at once without `trim`.
    """
    if trim is None:
        _log.info("freed memory is not given back", reason="the C library has no malloc_trim")
        return
    needed = resident()
    while True:
        used = time.process_time()
        await asyncio.sleep(pause)
        if time.process_time() - used > _QUIET * pause or resident() <= needed * _GROWTH:
            continue
        await asyncio.to_thread(trim, 0)  # in a thread, because it takes 50 ms; it does not need the interpreter
        needed = resident()


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
