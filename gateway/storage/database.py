"""One database, SQLite or PostgreSQL, behind the same doors: `reading`, `writing`, and `write` for the ledger."""

import asyncio
import contextlib
import functools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

P = ParamSpec("P")
T = TypeVar("T")

OUTAGE: Final = (DBAPIError, PoolTimeoutError, OSError, TimeoutError)
"""What a database that cannot be used raises."""
INSERTS: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""How each dialect inserts: SQLAlchemy's own `insert` knows no `ON CONFLICT`."""
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_TIMEOUT_S: Final = 5.0
_RETRY_S: Final = 0.01


class DatabaseError(Exception):
    """The database cannot be opened. The text is one line, fit to print, and holds no password."""


def database_url(text: str) -> URL:
    """Return the URL with its asynchronous driver. Raises DatabaseError for what is neither SQLite nor PostgreSQL."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise DatabaseError("DATABASE_URL is not a URL") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise DatabaseError(
            f"DATABASE_URL: '{url.drivername}' is not supported; use sqlite:///FILE or postgresql://..."
        )
    if driver.startswith("sqlite") and url.database in {None, "", ":memory:"}:
        raise DatabaseError("DATABASE_URL: SQLite needs a file, as in sqlite:///data/gateway.db")
    return url.set(drivername=driver)


class Database:
    """The engines of one process. SQLite takes one writer at a time; PostgreSQL has a pool for all doors."""

    def __init__(self, url: URL) -> None:
        self.is_sqlite: Final = url.get_backend_name() == "sqlite"
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = ThreadPoolExecutor(1, "ledger")
        self.path: Final = Path(url.database or "") if self.is_sqlite else None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = _sqlite(url, "BEGIN", pool_size=4)
            self._writer = _sqlite(url, "BEGIN IMMEDIATE", pool_size=1)
            self._in_thread = _sqlite_in_thread(url)
        else:
            self._reader = self._writer = create_async_engine(
                url,
                pool_size=8,
                max_overflow=8,
                pool_timeout=_TIMEOUT_S,
                pool_recycle=1800,
                connect_args={"timeout": _TIMEOUT_S, "command_timeout": _TIMEOUT_S},
            )

    async def prepare(self) -> None:
        """Give a new database its mode, which it keeps. Raises what is wrong with it."""
        if self.is_sqlite:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write_ahead)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection for queries."""
        async with self._reader.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in one transaction, committed at the end of the block.

        Nothing may cancel the block: see `unbroken`.
        """
        async with self._writer.begin() as connection:
            yield connection

    async def write(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` gives, done in one transaction. On SQLite it runs in a thread, from begin to commit.

        `writing` hands each statement to a thread and its answer back, which costs the event loop more than the
        statements cost SQLite. Nothing may cancel this either.
        """
        if self.is_sqlite:
            whole = functools.partial(self._write_here, work, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._thread, whole)
        async with self._writer.begin() as connection:
            return await connection.run_sync(work, *args, **kwargs)

    def _write_here(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._in_thread.begin() as connection:
            return work(connection, *args, **kwargs)

    def _write_ahead(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        with contextlib.closing(self._in_thread.raw_connection()) as connection:
            while True:
                try:
                    connection.cursor().execute("PRAGMA journal_mode=WAL")
                except sqlite3.OperationalError as exc:  # when another process is at it, SQLite does not wait
                    if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(_RETRY_S)
                else:
                    return

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` gives. Cancelling the caller leaves it to run to its end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: who still waits for the task raises it

    async def aclose(self) -> None:
        """Close all connections, when what is unbroken has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2 * _TIMEOUT_S)
        await self._reader.dispose()
        await self._writer.dispose()
        if self.is_sqlite:
            self._in_thread.dispose()
        self._thread.shutdown()


class _Stores(Protocol):
    _database: Database


S = TypeVar("S", bound=_Stores)


def unbroken(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Have a method that writes to `self._database` run to its end, even when its caller is cancelled.

    A transaction that is cancelled while SQLite's thread is at work on it would keep the database locked.
    """

    @functools.wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.unbroken(method(self, *args, **kwargs))

    return run


@contextlib.asynccontextmanager
async def open_database(text: str) -> AsyncIterator[Database]:
    """Yield the database that `DATABASE_URL` names, which has been reached once. Raises DatabaseError."""
    url = database_url(text)
    try:
        database = Database(url)
    except OSError as exc:
        raise DatabaseError(f"DATABASE_URL: the folder of {url.database} cannot be made: {exc.strerror}") from None
    try:
        try:
            await database.prepare()
            async with database.reading() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError) as exc:
            where = url.database if database.is_sqlite else url.host or "a local socket"
            raise DatabaseError(
                f"DATABASE_URL: the database at {where} cannot be opened: {type(exc).__name__}"
            ) from None
        yield database
    finally:
        await database.aclose()


def _sqlite(url: URL, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=sa.AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_TIMEOUT_S,
        connect_args={"timeout": _TIMEOUT_S},
    )
    _prepare(engine.sync_engine, begin)
    return engine


def _sqlite_in_thread(url: URL) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername="sqlite"), pool_size=1, max_overflow=0, connect_args={"timeout": _TIMEOUT_S}
    )
    _prepare(engine, "BEGIN IMMEDIATE")
    return engine


def _prepare(engine: sa.Engine, begin: str) -> None:
    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        cursor = connection.cursor()
        # FULL syncs each commit, as PostgreSQL does: the ledger's journal goes when its records are committed.
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begins(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)
