"""What the gateway itself needs: looked at in the background, so that asking for it costs nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.storage.database import Database
from gateway.storage.migrate import revisions
from gateway.telemetry.metrics import Metrics

_log = structlog.get_logger("gateway.health")
_PAUSE_S: Final = 1.0
_LIMIT_S: Final = 2.0
_LOOKS: Final = 2
"""How many looks in a row must fail: a single one may tell of our own load."""

Status = Literal["ok", "degraded", "failed"]
Ping = Callable[[], Awaitable[object]]
"""Asks for a sign of life, and raises something if there is none."""


class Dependency(msgspec.Struct, frozen=True):
    """How one thing is that the gateway needs. `degraded`: calls go on without it. `detail` holds no secret."""

    name: str
    status: Status = "ok"
    detail: str = ""


class Dependencies:
    """Database, its schema, and Redis where there is one.

    `writes` tells whether the ledger reaches the database. Without `needs_redis` calls go on while Redis is away.
    `metrics` gets what is seen.
    """

    def __init__(
        self,
        database: Database,
        ping_redis: Ping | None,
        metrics: Metrics,
        *,
        needs_redis: bool,
        writes: Callable[[], bool],
    ) -> None:
        self._database = database
        self._ping_redis = ping_redis
        self._metrics = metrics
        self._needs_redis = needs_redis
        self._writes = writes
        self._older = revisions()[:-1]
        self._failures: Counter[str] = Counter()
        self._seen = {name: Dependency(name) for name in ("database", "migrations")}
        if ping_redis is not None:
            self._seen["redis"] = Dependency("redis")

    @property
    def all(self) -> tuple[Dependency, ...]:
        """How they were when looked at last, in a fixed order."""
        return tuple(self._seen.values())

    @property
    def missing(self) -> tuple[Dependency, ...]:
        """Those without which not every new call can be served."""
        return tuple(each for each in self._seen.values() if each.status == "failed")

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Look at them from time to time until cancelled; call `changed` when something is missing or back."""
        while True:
            before = self.missing
            await asyncio.gather(self._look_at_database(), self._look_at_redis())
            if bool(before) != bool(self.missing):
                await changed()
            await asyncio.sleep(_PAUSE_S)

    async def _look_at_database(self) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S), self._database.reading() as connection:
                await connection.execute(sa.text("SELECT 1"))
                try:
                    found = (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar()
                except SQLAlchemyError:
                    found = None
        except Exception:  # noqa: BLE001  # however it fails, it cannot be used, and the watch goes on
            self._note("database", "failed", "it does not answer")
            return
        if self._writes():
            self._note("database", "ok")
        else:
            self._note("database", "degraded", "it takes no writes; calls wait in the journal")
        if found is None:
            self._note("migrations", "failed", "the database has no schema")
        elif found in self._older:
            self._note("migrations", "failed", "the database's schema is older than this gateway's")
        else:
            self._note("migrations", "ok")  # a newer gateway may have brought it further

    async def _look_at_redis(self) -> None:
        if self._ping_redis is None:
            return
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self._ping_redis()
        except Exception:  # noqa: BLE001  # as above
            if self._needs_redis:
                self._note("redis", "failed", "it does not answer")
            else:
                self._note("redis", "degraded", "it does not answer; each process counts limits alone")
        else:
            self._note("redis", "ok")

    def _note(self, name: str, status: Status, detail: str = "") -> None:
        self._failures[name] = 0 if status == "ok" else self._failures[name] + 1
        if 0 < self._failures[name] < _LOOKS:
            return
        before, self._seen[name] = self._seen[name], Dependency(name, status, detail)
        self._metrics.dependency_seen(name, up=status == "ok")
        if before.status != status:
            write = _log.info if status == "ok" else _log.warning
            write(f"{name} {status}", detail=detail)
