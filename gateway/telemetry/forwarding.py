"""Lines of a child process that writes them in pieces of any size, passed on whole."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import BinaryIO, Final

from gateway.telemetry.logs import pieces

_AT_ONCE: Final = 65536
_LAST_LINES_S: Final = 1.0


@contextmanager
def forwarded_lines() -> Iterator[int]:
    """Yield a file descriptor for a child to write to: its lines go on to standard error, where others write too.

    They go in a thread of their own: whoever reads standard error may let a writer wait, and the event loop must not.
    When nobody can read there any more they are dropped, as is a line without an end.
    """
    reading, writing = os.pipe()
    # A second file: what two threads write to one may be in one piece.
    target = open(sys.stderr.fileno(), "wb", closefd=False)  # noqa: SIM115  # the thread's, which may outlive the block
    thread = Thread(target=_forward, args=(reading, target), name="forwarded lines", daemon=True)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join(_LAST_LINES_S)


def _forward(reading: int, target: BinaryIO) -> None:
    with open(reading, "rb", buffering=0) as source:
        rest = b""
        while data := source.read(_AT_ONCE):
            *lines, rest = (rest + data).split(b"\n")
            for piece in pieces(lines):
                with suppress(OSError):
                    target.write(piece)
                    target.flush()
