"""Worker processes: started together, restarted when they crash, replaced one by one, stopped together."""

import asyncio
import contextlib
import ctypes
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter

from gateway.crowds import Crowds, watch_crowds
from gateway.telemetry.page import scrape

_log = structlog.get_logger("gateway.workers")
_START_LIMIT_S: Final = 60.0
_POLL_S: Final = 0.05
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 60.0
"""A worker that ran this long before it crashed is restarted after the first pause again."""
_LOOK_S: Final = 2.0
_PR_SET_PDEATHSIG: Final = 1


class WorkerStartError(Exception):
    """A worker ended, or was not ready in time, at its start. The text is one line, fit to print."""


class WorkerEndedError(Exception):
    """The only worker ended by itself. The text is one line, fit to print."""


class Patience(NamedTuple):
    """How many seconds a process has to end before it is killed."""

    stop: float
    """When the gateway stops."""
    hand_over: float
    """When another process has taken its place, and its calls in hand run to their own ends."""


class _Counts:
    """What the row of workers itself measures."""

    def __init__(self, workers: int, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            made = Counter(f"llmgateway_worker_{name}", text, ("worker",), registry=registry)
            for index in range(workers):
                made.labels(str(index))
            return made

        self.restarts: Final = counter("restarts", "Workers that ended by themselves.")
        self.replacements: Final = counter("replacements", "Workers in whose place a new process was put.")


class Worker:
    """One place in the row of workers, and the process that fills it.

    The process listens on sockets of its own, which take over the place's names when it is ready: so callers of
    `socket` and `metrics_socket` change over to a new process in one step, and calls in hand stay with the old one.
    """

    def __init__(
        self,
        index: int,
        folder: Path,
        environment: Mapping[str, str],
        patience: Patience,
        counts: _Counts,
        *,
        module: str,
    ) -> None:
        self.name: Final = str(index)
        self._module = module
        self.socket: Final = folder / f"worker-{index}.sock"
        self.metrics_socket: Final = folder / f"worker-{index}.metrics"
        self._environment = environment
        self._patience = patience
        self._counts = counts
        self._process: asyncio.subprocess.Process | None = None
        self._leaving: set[asyncio.subprocess.Process] = set()
        self._ends: asyncio.Queue[tuple[asyncio.subprocess.Process, float]] = asyncio.Queue()
        """The processes that ended, and when they had started to serve, by the event loop's clock."""
        self._waiting: set[asyncio.Task[None]] = set()
        self.crowds: Crowds | None = None
        """What looks for crowds at the process; None where that cannot be."""
        self._starts = 0
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start a process and return when it serves at this place. Raises WorkerStartError; then nothing changed."""
        self._starts += 1
        socket, metrics_socket = (
            path.with_name(f"{path.name}.{self._starts}") for path in (self.socket, self.metrics_socket)
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, "serve", "--shared-port",
            "--socket", str(socket), "--metrics-socket", str(metrics_socket),
            env=self._environment, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            await _until_serving(process, metrics_socket)
        except BaseException:
            await stop_process(process, 0)
            raise
        socket.rename(self.socket)
        metrics_socket.rename(self.metrics_socket)
        self._process = process
        self.crowds = watch_crowds(process.pid)
        waiting = asyncio.create_task(self._until_ended(process))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    async def _until_ended(self, process: asyncio.subprocess.Process) -> None:
        began = asyncio.get_running_loop().time()
        await process.wait()
        self._ends.put_nowait((process, began))

    async def keep(self, *, restart: bool) -> None:
        """Start the process again whenever it ends by itself, until cancelled.

        Without `restart`: raise WorkerEndedError then.
        """
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE_S
        while True:
            process, began = await self._ends.get()
            async with self._lock:  # a new process that is starting takes its place first
                if process is not self._process:
                    continue
                if not restart:
                    raise WorkerEndedError(f"the gateway {how_it_ended(process.returncode or 0)}")
                if clock() - began > _STEADY_S:
                    pause = _FIRST_PAUSE_S
                pause = await self._restart(process, pause)

    async def _restart(self, ended: asyncio.subprocess.Process, pause: float) -> float:
        how = how_it_ended(ended.returncode or 0)
        while True:
            self._counts.restarts.labels(self.name).inc()
            _log.error("worker ended by itself", worker=self.name, how=how, restart_in_s=round(pause, 1))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            try:
                await self.start()
            except WorkerStartError as exc:
                how = str(exc)
            else:
                _log.info("worker serves again", worker=self.name)
                return pause

    async def replace(self) -> asyncio.subprocess.Process:
        """Put a new process in place of this one, and return this one, which is to `leave`.

        Raises WorkerStartError; then the old one stays.
        """
        async with self._lock:
            old = self._process
            assert old is not None, "replaced before its start"  # noqa: S101  # narrows the type
            await self.start()
        self._leaving.add(old)
        self._counts.replacements.labels(self.name).inc()
        return old

    async def leave(self, old: asyncio.subprocess.Process) -> None:
        """Return when a process that was replaced has finished its calls and ended."""
        await self._stopped(old, self._patience.hand_over, signal.SIGUSR2)
        self._leaving.discard(old)

    def reload(self) -> None:
        """Have the process load its settings again."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """Stop the process, if there is one, when its calls have ended."""
        processes = self._leaving if self._process is None else {self._process, *self._leaving}
        await asyncio.gather(*(self._stopped(process, self._patience.stop) for process in processes))

    async def _stopped(
        self, process: asyncio.subprocess.Process, patience: float, number: signal.Signals = signal.SIGTERM
    ) -> None:
        if process.returncode is None:
            await stop_process(process, patience, number)
            if process.returncode:
                _log.error("worker did not stop well", worker=self.name, how=how_it_ended(process.returncode))


class Workers:
    """A row of workers. `registry` gets what the row itself measures."""

    def __init__(
        self,
        count: int,
        folder: Path,
        environment: Mapping[str, str],
        patience: Patience,
        registry: CollectorRegistry,
        *,
        module: str = "gateway",
    ) -> None:
        counts = _Counts(count, registry)
        self._workers: Final = [
            Worker(index, folder, environment, patience, counts, module=module) for index in range(count)
        ]

    @property
    def sockets(self) -> tuple[str, ...]:
        return tuple(str(worker.socket) for worker in self._workers)

    @property
    def metrics_sockets(self) -> dict[str, Path]:
        return {worker.name: worker.metrics_socket for worker in self._workers}

    async def start(self) -> None:
        """Return when all serve. Raises WorkerStartError."""
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(worker.start())
        except* WorkerStartError as errors:
            raise errors.exceptions[0] from None

    async def keep(self) -> None:
        """Restart workers that crash, until cancelled.

        A single one is not restarted, for nobody serves meanwhile: whoever started the gateway shall know. Raises
        WorkerEndedError.
        """
        restart = len(self._workers) > 1
        await asyncio.gather(*(worker.keep(restart=restart) for worker in self._workers))

    def reload(self) -> None:
        """Have each worker load its settings again."""
        _log.info("reloading the settings of every worker")
        for worker in self._workers:
            worker.reload()

    async def replace(self) -> None:
        """Replace one worker after the other, and return when the old ones have finished their calls.

        A new one that does not start ends the round; the old one stays.
        """
        async with asyncio.TaskGroup() as leaving:
            for worker in self._workers:
                old = await self._replaced(worker)
                if old is None:
                    return
                leaving.create_task(self._left(worker, old))

    async def keep_small(self) -> None:
        """Replace each worker that keeps too much of what a crowd of connections left, until cancelled."""
        await asyncio.gather(*(self._keep_small(worker) for worker in self._workers))

    async def _keep_small(self, worker: Worker) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            crowds = worker.crowds
            if crowds is not None and crowds.look(_LOOK_S):
                _log.info(
                    "a crowd has gone and left memory in use: replacing the worker",
                    worker=worker.name,
                    rested_mib=crowds.rested >> 20,
                    kept_mib=crowds.kept >> 20,
                )
                old = await self._replaced(worker)
                if old is not None:
                    await self._left(worker, old)

    async def _replaced(self, worker: Worker) -> asyncio.subprocess.Process | None:
        """Put a new process in a worker's place and return the old one; None when the new one does not start."""
        try:
            return await worker.replace()
        except WorkerStartError as exc:
            _log.error(
                "replacing workers ended: a new one does not start", worker=worker.name, reason=str(exc)
            )  # the text says it all
            return None

    async def _left(self, worker: Worker, old: asyncio.subprocess.Process) -> None:
        await worker.leave(old)
        _log.info("worker replaced", worker=worker.name)

    async def stop(self) -> None:
        """Stop all when their calls have ended."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))


async def _until_serving(process: asyncio.subprocess.Process, metrics_socket: Path) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + _START_LIMIT_S
    while True:
        if process.returncode is not None:
            raise WorkerStartError(f"a worker {how_it_ended(process.returncode)} at its start")
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            await scrape(metrics_socket)
            return
        if clock() > deadline:
            raise WorkerStartError(f"a worker was not ready within {_START_LIMIT_S:.0f} seconds")
        await asyncio.sleep(_POLL_S)


async def stop_process(
    process: asyncio.subprocess.Process, grace: float, number: signal.Signals = signal.SIGTERM
) -> None:
    """Send a signal that ends it; kill the process when it has not ended a little after `grace` seconds."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        async with asyncio.timeout(grace + 5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def how_it_ended(code: int) -> str:
    """Return the end of a sentence that tells how a process ended."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def die_with_parent() -> None:
    """Have the kernel end this child with the supervisor, even if that is killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
