"""Memory goes back to the system when load has gone.

glibc keeps what was freed below something that is still in use, for ever: after ten thousand connections about 250 MB,
of which `malloc_trim` gives back all whole pages, some 150 MB in 50 ms.
"""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.process_usage import cpu_s, resident

_log = structlog.get_logger("gateway.memory")
_PAUSE_S: Final = 2.0
_QUIET: Final = 0.1
"""The share of a core below which a process is quiet: giving back costs a busy one more than it is worth."""
_GROWTH: Final = 1.05
_PATIENCE: Final = 16
"""How many looks at most until a process is asked again that has not grown."""

Trim = Callable[[int], int]


def find_trim() -> Trim | None:
    """Return the C library's `malloc_trim`; None where there is none, as in musl or on macOS."""
    trim: Trim | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


async def give_back(trim: Trim | None, *, pause: float = _PAUSE_S) -> None:
    """Have this process give back what it freed, as `keep_small` says. Ends at once without `trim`."""
    if trim is None:
        _log.info("freed memory is not given back", reason="the C library has no malloc_trim")
        return

    async def release() -> None:
        await asyncio.to_thread(trim, 0)  # in a thread, because it takes 50 ms; it does not need the interpreter

    await keep_small(os.getpid(), release, pause=pause)


async def keep_small(pid: int, release: Callable[[], Awaitable[None]], *, pause: float = _PAUSE_S) -> None:
    """Look at a process every `pause` seconds; release when it is quiet and uses more than when it had started.

    What it keeps may have been in use at that moment, by idle connections for one, and it does not show when it is
    free. So the process is asked again after ever more looks, and at once when it has grown. Ends with the process, and
    at once where there is no `/proc`.
    """
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        at_first = kept = resident(pid)
        looks, patience = 0, 1
        while True:
            used = cpu_s(pid)
            await asyncio.sleep(pause)
            if cpu_s(pid) - used > _QUIET * pause or (now := resident(pid)) <= at_first * _GROWTH:
                continue
            looks += 1
            if now > kept * _GROWTH:
                patience = 1
            elif looks < patience:
                continue
            await release()
            kept, looks, patience = resident(pid), 0, min(2 * patience, _PATIENCE)
