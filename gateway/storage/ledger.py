"""The ledger: one durable row a call, written without making any call wait.

A record is safe once `reserve` or `settle` returns: it is in this process's journal. A writer task brings the journal
into the database, the records of many calls in one transaction. While the database is away the records wait; calls go
on until the backlog is full.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import DataError, IntegrityError

from gateway.errors import Overloaded
from gateway.storage import call_rows
from gateway.storage.database import OUTAGE, Database, unbroken
from gateway.storage.journal import Journal, Orphan, orphans
from gateway.storage.records import Reservation, Settlement, Total
from gateway.telemetry.logs import of_request

_log = structlog.get_logger("gateway.ledger")

Record = Reservation | Settlement

_GATHER_S: Final = 0.25
"""How long the writer gathers records for one transaction."""
_BATCH: Final = 2000
_BACKLOG: Final = 100_000
_RETRY_S: Final = (0.1, 0.2, 0.5, 1.0)
_SWEEP_S: Final = 15.0
_CLOSE_S: Final = 10.0
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Record)


class Ledger:
    """Where calls are written down. Make one with `open_ledger`; `clock` tells Unix milliseconds."""

    def __init__(self, database: Database, folder: Path, clock: Callable[[], int]) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._journal = Journal(folder)
        self.owner: Final = self._journal.name
        """The name that this process's open calls carry."""
        self._pending: list[Record] = []
        self._storing = 0
        self._dirty = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stored = asyncio.Condition()
        self._stored_count = 0
        self.available = True
        self.open = 0
        """Calls that were written down here and have not ended."""

    @property
    def backlog(self) -> int:
        """How many records wait for the database."""
        return len(self._pending) + self._storing

    def reserve(self, reservation: Reservation) -> None:
        """Write down a call that starts. Raises Overloaded when that cannot be made durable."""
        if len(self._pending) + self._storing >= _BACKLOG:
            raise Overloaded("The gateway cannot reach its database, and its backlog is full.", retry_after=5)
        try:
            self._journal.append(_ENCODER.encode(reservation) + b"\n")
        except OSError as exc:
            _log.error("journal not writable", error=exc.strerror or str(exc), **of_request())  # one line says it all
            raise Overloaded("The gateway cannot write its journal.", retry_after=5) from exc
        self._add(reservation)
        self.open += 1

    def settle(self, settlement: Settlement) -> None:
        """Write down how a call ended. Never raises: what the journal does not take still reaches the database."""
        try:
            self._journal.append(_ENCODER.encode(settlement) + b"\n")
        except OSError as exc:
            _log.error("journal not writable", error=exc.strerror or str(exc), **of_request())  # as above
        self._add(settlement)
        self.open -= 1

    async def flush(self) -> None:
        """Wait until everything written so far is in the database."""
        wanted = self._stored_count + self.backlog
        self._hurry.set()
        async with self._stored:
            await self._stored.wait_for(lambda: self._stored_count >= wanted)

    async def totals(self, since: int) -> list[Total]:
        """Return the sums of the calls since a time, for counters that start anew."""
        async with self._database.reading() as connection:
            return await call_rows.totals(connection, since)

    @unbroken
    async def recover(self) -> int:
        """Finish the work of dead processes and return how many calls were settled at their reservation.

        Their journals are brought into the database first, so that a call which they settled stays as they settled it.
        """
        lost = []
        for orphan in orphans(self._folder):
            records = list(_records(orphan))
            for start in range(0, len(records), _BATCH):
                await self._store(records[start : start + _BATCH])
            lost += await self._database.write(call_rows.expire, self._clock(), orphan.name)
            orphan.delete()
            _log.info("journal recovered", journal=orphan.name, records=len(records))
        lost += await self._database.write(call_rows.expire, self._clock())
        for call in lost:
            _log.warning("call lost", call_id=call.id, request_id=call.request_id, cost_nano=call.cost_nano)
        return len(lost)

    async def write_forever(self) -> None:
        """Bring records into the database until cancelled."""
        while True:
            await self._dirty.wait()
            if len(self._pending) < _BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), _GATHER_S)
            self._hurry.clear()
            self._dirty.clear()
            await self._write_pending()

    async def sweep_forever(self) -> None:
        """Look for lost calls from time to time until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self.recover()
            except OUTAGE as exc:
                _log.warning("lost calls not looked for", error=type(exc).__name__)

    async def close(self) -> None:
        """Write what is left, for a bounded time; what remains stays in the journal for the next start."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._write_pending()
        except TimeoutError:
            _log.error("records left in the journal", records=len(self._pending) + self._storing)
        self._journal.close(delete=not self.backlog)

    def _add(self, record: Record) -> None:
        if not self._pending:
            self._dirty.set()
        self._pending.append(record)

    async def _write_pending(self) -> None:
        full = self._journal.full  # its lines are all in this batch, or in an earlier one
        batch, self._pending = self._pending, []
        self._storing = len(batch)
        try:
            for start in range(0, len(batch), _BATCH):
                part = batch[start : start + _BATCH]
                await self._store_at_last(part)
                self._storing -= len(part)
                self._stored_count += len(part)
        except BaseException:
            self._pending = batch[len(batch) - self._storing :] + self._pending
            self._storing = 0
            raise
        self._journal.drop(full)
        async with self._stored:
            self._stored.notify_all()

    async def _store_at_last(self, records: list[Record]) -> None:
        attempt = 0
        while True:
            try:
                await self._store(records)
            except Exception as exc:  # noqa: BLE001  # whatever it is, neither the records nor this task may be lost
                if attempt == 0:
                    why = str(getattr(exc, "orig", ""))[:200]  # the driver's own words, without the records
                    _log.warning(
                        "records wait", error=type(exc).__name__, why=why, exc_info=not isinstance(exc, OUTAGE)
                    )
                self.available = False
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                if not self.available:
                    _log.info("database back")
                self.available = True
                return

    @unbroken
    async def _store(self, records: list[Record]) -> None:
        """Store the records in one transaction; one that no database takes must not hold up the others."""
        try:
            await self._database.write(call_rows.store, records)
        except (DataError, IntegrityError):
            if len(records) == 1:
                _log.exception("record refused by the database", call_id=records[0].id)
                return
            for record in records:
                await self._store([record])


def _records(orphan: Orphan) -> list[Record]:
    records: list[Record] = []
    for line in orphan.lines():
        try:
            records.append(_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            _log.warning("journal line not readable", journal=orphan.name)
    return records


@contextlib.asynccontextmanager
async def open_ledger(database: Database, folder: Path, clock: Callable[[], int]) -> AsyncIterator[Ledger]:
    """Yield a ledger that has finished the work of dead processes; on leaving, its records are stored."""
    ledger = Ledger(database, folder, clock)
    tasks: list[asyncio.Task[None]] = []
    try:
        await ledger.recover()
        tasks += [asyncio.create_task(ledger.write_forever()), asyncio.create_task(ledger.sweep_forever())]
        yield ledger
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ledger.close()
