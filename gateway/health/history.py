"""Brings checks into the database without making any check wait for it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog

from gateway.storage import provider_health
from gateway.storage.database import OUTAGE, Database, unbroken
from gateway.storage.provider_health import ProviderCheck

_log = structlog.get_logger("gateway.health")
_BACKLOG: Final = 10_000
"""Checks that wait while the database is away; then the oldest are given up."""
_GATHER_S: Final = 0.2
_PRUNE_S: Final = 3600.0
_WRITE_LIMIT_S: Final = 10.0
_DAY_MS: Final = 86_400_000


class CheckHistory:
    """The checks of this process on their way into the database.

    `clock` tells Unix milliseconds. While the database is away it is tried again every `retry_s` seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], int], keep_days: int, *, retry_s: float = 5.0) -> None:
        self.keep_days = keep_days
        """How long checks are kept there, whoever made them."""
        self._database = database
        self._clock = clock
        self._retry_s = retry_s
        self._waiting: deque[ProviderCheck] = deque(maxlen=_BACKLOG)
        self._dirty = asyncio.Event()
        self._prune_at = 0

    def add(self, check: ProviderCheck) -> None:
        """Store a check soon."""
        self._waiting.append(check)
        self._dirty.set()

    async def write_forever(self) -> None:
        """Bring checks into the database until cancelled."""
        away = False
        while True:
            await self._dirty.wait()
            await asyncio.sleep(self._retry_s if away else _GATHER_S)
            self._dirty.clear()
            try:
                async with asyncio.timeout(_WRITE_LIMIT_S):
                    await self._write()
            except OUTAGE as exc:
                if not away:
                    _log.warning("checks of providers wait", error=type(exc).__name__)
                away = True
                self._dirty.set()
            else:
                away = False

    @unbroken
    async def _write(self) -> None:
        checks = list(self._waiting)
        now = self._clock()
        async with self._database.writing() as connection:
            if checks:
                await provider_health.store(connection, checks)
            if now >= self._prune_at:
                await provider_health.prune(connection, now - self.keep_days * _DAY_MS)
        self._prune_at = now + int(_PRUNE_S * 1000) if now >= self._prune_at else self._prune_at
        stored = {check.id for check in checks}
        while self._waiting and self._waiting[0].id in stored:
            self._waiting.popleft()


@contextlib.asynccontextmanager
async def writing(history: CheckHistory) -> AsyncIterator[CheckHistory]:
    """Store the history's checks in the background until the block is left; what still waits then is given up."""
    writer = asyncio.create_task(history.write_forever())
    try:
        yield history
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
