"""The gateway as an operator starts it: `python -m gateway run`, in processes of its own."""

import asyncio
import functools
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.command import PORTS
from tests.support.ports import free_port
from tests.support.stack import WITHOUT_LIMITS, private_state

KEY = "sk-test-0123456789"
_ROOT = Path(__file__).parents[2]
_START_LIMIT_S = 90
_STOP_LIMIT_S = 25
"""Less than the grace that running calls get unless a test sets another."""


@dataclass
class GatewayProcess:
    """A running gateway. `config` is its YAML file, `lines` what it has written so far."""

    process: asyncio.subprocess.Process
    port: int
    grpc_port: int
    metrics_port: int
    config: Path
    lines: list[str] = field(default_factory=list)
    _written: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ended: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def until(self, test: Callable[[], bool], limit: float = 90) -> None:
        """Return when `test` is true; it is asked after each line that the gateway writes, and at its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit), self._written:
                await self._written.wait_for(lambda: self._ended or test())
        assert test(), "\n".join(["it did not come to that:", *self.lines])

    async def until_event(self, name: str, count: int = 1) -> None:
        """Return when the log has `count` lines of this event."""
        await self.until(lambda: sum(event["event"] == name for event in self.events) >= count)

    async def exit_code(self) -> int:
        async with asyncio.timeout(_STOP_LIMIT_S):
            return await self.process.wait()

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]

    @asynccontextmanager
    async def unread(self) -> AsyncIterator[None]:
        """Nobody reads what it writes until the block is left."""
        async with self._written:
            yield

    async def read(self, output: asyncio.StreamReader) -> None:
        async for line in output:
            async with self._written:
                self.lines.append(line.decode().rstrip())
                self._written.notify_all()
        async with self._written:
            self._ended = True
            self._written.notify_all()


def _limit_open_files(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


@asynccontextmanager
async def running_gateway(
    directory: Path,
    *arguments: str,
    yaml: str = "",
    environment: Mapping[str, str] | None = None,
    command: str = "run",
    open_files: int | None = None,
) -> AsyncIterator[GatewayProcess]:
    """Start `python -m gateway` with free ports and yield it when it is ready; end it afterwards.

    `open_files` is the hard limit that it gets.
    """
    config = directory / "gateway.yaml"
    config.write_text(yaml)
    ports = [free_port() for _ in PORTS]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", command, *arguments),
        env={
            **os.environ,
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'generated'}",
            "GATEWAY_CONFIG": str(config),
            "ALLOWED_API_KEYS": KEY,
            **dict(zip(PORTS, map(str, ports), strict=True)),
            **WITHOUT_LIMITS,
            **private_state(directory),
            **(environment or {}),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=None if open_files is None else functools.partial(_limit_open_files, open_files),
    )
    assert process.stdout is not None
    gateway = GatewayProcess(process, ports[0], ports[1], ports[2], config)
    reading = asyncio.create_task(gateway.read(process.stdout))
    try:
        await gateway.until(lambda: any("is ready" in line for line in gateway.lines), _START_LIMIT_S)
        yield gateway
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await gateway.exit_code()
        except TimeoutError:
            process.kill()
            await process.wait()
        await reading


def chat(session: aiohttp.ClientSession, url: str, text: str, **fields: Any) -> Any:
    """Ask the model `custom/echo` to repeat `text`; to be used with `async with`."""
    return session.post(
        url + "/v1/chat/completions",
        json={"model": "custom/echo", "messages": [{"role": "user", "content": text}], **fields},
        headers={"authorization": f"Bearer {KEY}"},
    )


async def stream(
    session: aiohttp.ClientSession, url: str, text: str, started: Callable[[], None] = lambda: None
) -> list[str]:
    """Return the payloads of a whole stream; call `started` at the first one."""
    async with chat(session, url, text, stream=True) as response:
        assert response.status == 200, await response.text()
        payloads: list[str] = []
        async for line in response.content:
            if line.startswith(b"data: "):
                if not payloads:
                    started()
                payloads.append(line[6:].decode().strip())
        return payloads
