"""Lines of a child, passed on whole to standard error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from select import PIPE_BUF

from gateway.telemetry.forwarding import forwarded_lines


@contextmanager
def error_pipe(flags: int = 0) -> Iterator[int]:
    """Make standard error a pipe and yield what reads it; when the block is left nobody writes to it any more."""
    reading, writing = os.pipe2(flags)
    with os.fdopen(writing, "w") as file, redirect_stderr(file):
        yield reading


def test_lines_come_whole_and_in_order() -> None:
    """However they were cut; what has no end is no line."""
    text = b"".join(b"%d %s\n" % (number, b"x" * (number % 300)) for number in range(200))
    with error_pipe() as pipe, forwarded_lines() as output:
        for start in range(0, len(text), 777):
            os.write(output, text[start : start + 777])
        os.write(output, b"cut")

    with os.fdopen(pipe, "rb") as file:
        assert file.read() == text


def test_each_write_holds_whole_lines() -> None:
    """Of a size that the kernel keeps together, so that lines of others cannot come in between."""
    line = b"y" * 999 + b"\n"
    with error_pipe(os.O_DIRECT) as pipe, forwarded_lines() as output:  # a read brings what one write wrote
        os.write(output, 40 * line)
    with os.fdopen(pipe, "rb", buffering=0) as file:
        writes = list(iter(lambda: file.read(PIPE_BUF), b""))

    assert b"".join(writes) == 40 * line
    assert {len(write) % len(line) for write in writes} == {0}
    assert len(writes) < 20


def test_a_child_can_write_when_nobody_reads_any_more() -> None:
    """Its lines are dropped: it must not wait for ever."""
    with error_pipe() as pipe, forwarded_lines() as output:
        os.close(pipe)
        for _ in range(100):
            os.write(output, b"z" * (PIPE_BUF - 1) + b"\n")
