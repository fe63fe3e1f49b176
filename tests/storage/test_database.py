"""Which database, and what a wrong one says."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from gateway.storage.database import Database, DatabaseError, database_url, open_database, unbroken


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        pytest.param("sqlite:///data/gateway.db", "sqlite+aiosqlite", id="sqlite"),
        pytest.param("postgres://u:p@h/d", "postgresql+asyncpg", id="postgres"),
        pytest.param("postgresql://u:p@h/d", "postgresql+asyncpg", id="postgresql"),
        pytest.param("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg", id="asyncpg"),
    ],
)
def test_the_driver_follows_from_the_database(text: str, driver: str) -> None:
    """Operators write the URL that other tools take too."""
    assert database_url(text).drivername == driver


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("mysql://u:canary@h/d", "not supported", id="another database"),
        pytest.param("canary", "not a URL", id="no URL"),
        pytest.param("sqlite://", "needs a file", id="memory"),
        pytest.param("postgresql://u:canary@127.0.0.1:9/d", "cannot be opened", id="nobody there"),
        pytest.param("sqlite:////proc/canary/gateway.db", "cannot be made", id="no folder"),
    ],
)
async def test_a_wrong_database_is_one_line_without_its_password(text: str, words: str) -> None:
    """The line names the setting and says what is wrong."""
    with pytest.raises(DatabaseError, match=words) as caught:
        async with open_database(text):
            pass

    assert "DATABASE_URL" in str(caught.value)
    assert "u:canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """It is not overwritten."""
    path = tmp_path / "gateway.db"
    path.write_bytes(b"something else " * 100)
    with pytest.raises(DatabaseError):
        async with open_database(f"sqlite:///{path}"):
            pass

    assert path.read_bytes().startswith(b"something else")


async def test_a_new_file_that_another_process_is_at_is_waited_for(tmp_path: Path) -> None:
    """Workers that start together find no database, and each makes it. SQLite refuses the second one at once."""
    path = tmp_path / "gateway.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(_journal_mode(path))
        await asyncio.sleep(0.2)
        assert not opening.done()
        other.execute("COMMIT")
        assert await opening == "wal"


async def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """Whoever comes first, all of them have it."""
    for number in range(10):
        path = tmp_path / f"{number}.db"
        assert await asyncio.gather(*(_journal_mode(path) for _ in range(8))) == ["wal"] * 8


async def _journal_mode(path: Path) -> str | None:
    async with open_database(f"sqlite:///{path}") as database, database.reading() as connection:
        mode: str | None = await connection.scalar(sa.text("PRAGMA journal_mode"))
        return mode


async def test_each_commit_is_synced(database_text: str) -> None:
    """A power cut takes no transaction back."""
    async with open_database(database_text) as database, database.writing() as connection:
        asked = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"
        answer = (await connection.execute(sa.text(asked))).scalar()

    assert answer == (2 if database.is_sqlite else "on")


class _Counter:
    """Writes as the gateway's stores do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @unbroken
    async def add(self, rows: int) -> None:
        async with self._database.writing() as connection:
            await connection.execute(sa.text("INSERT INTO counted VALUES (:one)"), [{"one": 1}] * rows)


async def test_a_cancelled_write_leaves_no_lock(database_text: str) -> None:
    """It goes on to its end, whenever its caller is cancelled, and the next one does not wait long."""
    random = Random(1)
    async with open_database(database_text) as database:
        async with database.writing() as connection:
            await connection.execute(sa.text("CREATE TABLE counted (one INTEGER)"))
        counter = _Counter(database)
        for _ in range(40):
            begun = asyncio.create_task(counter.add(1000))
            await asyncio.sleep(random.random() * 0.005)
            begun.cancel()
            await asyncio.wait([begun])
            async with asyncio.timeout(4):
                await counter.add(1)
        async with database.reading() as connection:
            rows = (await connection.execute(sa.text("SELECT count(*) FROM counted"))).scalar_one()

    assert rows % 1000 == 40
    assert rows > 1000
