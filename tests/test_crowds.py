"""A process that keeps what a crowd left is told from one that does not, and from one that has only grown."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.crowds import Crowds, watch_crowds

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc, which is Linux's")
PLAYED = """
import os, sys
files, memory = [], []
print(flush=True)
for line in sys.stdin:
    word, number = line.split()
    if word == "open":
        files += [os.dup(0) for _ in range(int(number))]
    elif word == "close":
        while files:
            os.close(files.pop())
    elif word == "grow":
        memory.append(bytes([1]) * int(number))
    print(flush=True)
"""
CROWD, GROWTH = 2000, 64 * 1024 * 1024
AT_REST, BUSY = 60.0, 0.0
"""What seconds have passed since the last look: with it, little CPU time or too much of it."""


class Player:
    """A process that opens files and grows as it is told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def does(self, *commands: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for command in commands:
            self.process.stdin.write(f"{command}\n".encode())
            await self.process.stdout.readline()


@pytest.fixture
async def player() -> AsyncIterator[Player]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PLAYED),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * CROWD), hard)),
    )
    assert process.stdout is not None
    await process.stdout.readline()
    yield Player(process)
    if process.returncode is None:
        process.kill()
    await process.communicate()


def looks(crowds: Crowds, passed: float = AT_REST) -> list[bool]:
    """Return what ten looks tell."""
    return [crowds.look(passed) for _ in range(10)]


async def test_a_crowd_that_leaves_memory_in_use_is_told_once(player: Player) -> None:
    """A while after it has gone, in which the process can give back by itself."""
    crowds = Crowds(player.process.pid)
    await player.does(f"open {CROWD}", f"grow {GROWTH}")
    assert not any(looks(crowds))
    await player.does("close 0")

    assert looks(crowds) == [False, False, False, True, *[False] * 6]
    assert crowds.kept - crowds.rested > GROWTH * 0.9


async def test_a_crowd_that_came_and_went_between_two_looks_is_noticed(player: Player) -> None:
    """The kernel remembers for how many files there was room."""
    crowds = Crowds(player.process.pid)
    await player.does(f"open {CROWD}", f"grow {GROWTH}", "close 0")

    assert any(looks(crowds))


async def test_each_crowd_is_judged_by_what_there_was_before_the_first(player: Player) -> None:
    """Or each of them could leave a little."""
    crowds = Crowds(player.process.pid)
    await player.does(f"open {CROWD}", "close 0")
    assert not any(looks(crowds))
    await player.does(f"grow {GROWTH}")
    assert not any(looks(crowds))
    await player.does(f"open {CROWD}")
    assert not any(looks(crowds))
    await player.does("close 0")

    assert any(looks(crowds))


async def test_growth_without_a_crowd_is_what_a_process_needs(player: Player) -> None:
    """Caches that get warm replace nobody, before a crowd or without one."""
    crowds = Crowds(player.process.pid)
    await player.does("open 100", f"grow {GROWTH}")
    assert not any(looks(crowds))
    await player.does(f"open {CROWD}", "close 0")

    assert not any(looks(crowds))


async def test_a_process_that_is_not_at_rest_is_not_judged(player: Player) -> None:
    """It is busy, or much of the crowd is still there: what it uses now is no measure."""
    crowds = Crowds(player.process.pid)
    await player.does(f"open {CROWD}", f"grow {GROWTH}", "close 0")
    assert not any(looks(crowds, BUSY))
    await player.does("open 500")
    assert not any(looks(crowds))
    await player.does("close 0")

    assert any(looks(crowds))


async def test_a_process_that_has_ended_has_kept_nothing(player: Player) -> None:
    """Nor is there anything to look at when it ends at its start."""
    crowds = watch_crowds(player.process.pid)
    assert crowds is not None
    player.process.kill()
    await player.process.wait()

    assert not crowds.look(AT_REST)
    assert watch_crowds(player.process.pid) is None
