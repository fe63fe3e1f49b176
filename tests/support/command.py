"""Runs `python -m gateway` as a user does: a process of its own, in its own process group."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 40
STOP_LIMIT_S = 30
PORTS = ("SERVICE_PORT", "GRPC_PORT", "METRICS_PORT", "ADMIN_PORT")
_OURS = re.compile(
    r"^(SERVICE|ADMIN_|GRPC|METRICS|MAX_|SHUTDOWN|ALLOWED|REQUIRE|CORS|ENABLE|AI_|DATABASE_|REDIS_|JOURNAL_|GATEWAY_|UNKNOWN_|REQUEST_|PROVIDER_|STREAM_|FIRST_|LOG_)"
)


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the process environment with these settings and no others of the gateway's."""
    inherited = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    paths = os.pathsep.join((str(ROOT), str(ROOT / "generated")))
    return {**inherited, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **settings}


async def finished(*arguments: str, settings: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run one command to its end; return exit code, output and error output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        env=environment_of(settings or {}),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), START_LIMIT_S)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@dataclass
class Command:
    """A running `python -m gateway run`. `banner` is what it printed when it was ready."""

    process: asyncio.subprocess.Process
    banner: str
    log: Path
    ports: dict[str, int] = field(default_factory=dict)
    database: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['SERVICE_PORT']}"

    @property
    def key(self) -> str:
        found = re.search(r"development key (\S+)", self.banner)
        assert found, self.banner
        return found[1]

    def children(self) -> dict[str, int]:
        """Return the pids of the worker and of Envoy."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, name, parent = _stat(path)
                command = path.with_name("cmdline").read_bytes()
            except OSError:
                continue
            if parent == self.process.pid:
                found["worker" if b"gateway" in command and b"serve" in command else name] = pid
        return found

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the worker's log lines so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    async def interrupt(self) -> int:
        """Press Ctrl-C: SIGINT to the whole process group, as a terminal does. Return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end and return the exit code."""
        return await asyncio.wait_for(self.process.wait(), STOP_LIMIT_S)


def _stat(path: Path) -> tuple[int, str, int]:
    text = path.read_text()
    start, end = text.index("("), text.rindex(")")
    return int(text[:start]), text[start + 1 : end], int(text[end + 2 :].split()[1])


@asynccontextmanager
async def running_command(
    directory: Path, settings: Mapping[str, str] | None = None, *arguments: str
) -> AsyncIterator[Command]:
    """Start `run` on free ports and yield it when it says that it is ready; end it afterwards."""
    ports = {name: free_port() for name in PORTS}
    log = directory / "stderr.log"
    database = f"sqlite:///{directory}/gateway.db"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", *arguments),
            env=environment_of(
                {"DATABASE_URL": database, **{name: str(port) for name, port in ports.items()}, **(settings or {})}
            ),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        banner = await asyncio.wait_for(_banner(process), START_LIMIT_S)
        assert banner, f"not ready:\n{log.read_text()}"
        yield Command(process, banner, log, ports, database)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_LIMIT_S)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _banner(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    lines = []
    while line := (await process.stdout.readline()).decode():
        lines.append(line)
        if "-d '" in line:
            return "".join(lines)
    return ""
