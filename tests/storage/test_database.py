"""Which database, and what a wrong one says."""

import asyncio
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
