"""What `/proc` tells of a process: of this one and of others."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.process_usage import cpu_s, most_open_files, open_files, resident

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc, which is Linux's")
BYTES = 64 * 1024 * 1024


def test_memory_in_use_is_seen() -> None:
    """In bytes."""
    before = resident(os.getpid())
    more = b"\1" * BYTES
    assert BYTES * 0.9 < resident(os.getpid()) - before < BYTES * 1.5
    del more


def test_cpu_time_is_seen() -> None:
    """As the interpreter's own clock has it."""
    began, used = os.times(), cpu_s(os.getpid())
    while (now := os.times()).user - began.user < 0.1:
        pass
    spent = now.user + now.system - began.user - began.system
    assert abs(cpu_s(os.getpid()) - used - spent) < 0.05


def test_open_files_are_counted_and_the_most_is_remembered() -> None:
    """The most there ever were stays when they are closed."""
    before = open_files(os.getpid())
    descriptors = [os.dup(0) for _ in range(300)]
    assert open_files(os.getpid()) == before + 300
    most = most_open_files(os.getpid())
    for descriptor in descriptors:
        os.close(descriptor)

    assert open_files(os.getpid()) == before
    assert before + 300 <= most == most_open_files(os.getpid())


async def test_another_process_is_seen_until_it_has_ended() -> None:
    """Then it is an error that says so."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    assert resident(child.pid) > 0
    await child.communicate(b"\n")
    for read in (resident, cpu_s, open_files, most_open_files):
        with pytest.raises((FileNotFoundError, ProcessLookupError)):
            read(child.pid)
