"""Brings a database to the current schema, from empty or from any earlier version."""

import functools
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from gateway.storage.database import Database

_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6C6C6D67
"""PostgreSQL's advisory lock for migrations: processes that start together take turns."""


def alembic_config() -> Config:
    """Return Alembic's configuration, which no file holds."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return the revisions of the schema that this code knows, oldest first."""
    found = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return tuple(reversed([script.revision for script in found]))


async def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to `revision` in one transaction. Several processes may do so at once."""
    async with database.writing() as connection:
        if not database.is_sqlite:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade, revision)


def _upgrade(connection: sa.Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
