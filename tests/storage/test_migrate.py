"""The schema: from empty, from every earlier version, by several processes at once."""

import asyncio

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.storage.database import open_database
from gateway.storage.migrate import alembic_config, migrate
from gateway.storage.tables import Table


def _difference(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))


async def test_every_version_comes_up_to_the_tables_in_code(database_text: str) -> None:
    """Each revision in turn, with a repeat; at the end the database is what the code says."""
    revisions = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]
    async with open_database(database_text) as database:
        for revision in reversed(revisions):
            await migrate(database, revision)
            await migrate(database, revision)
        async with database.writing() as connection:
            difference = await connection.run_sync(_difference)

    assert revisions
    assert difference == []


async def test_processes_that_start_together_migrate_once(database_text: str) -> None:
    """They take turns, and the later ones find nothing to do."""
    async with open_database(database_text) as one, open_database(database_text) as two:
        await asyncio.gather(migrate(one), migrate(two), migrate(one))
        async with two.reading() as connection:
            tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())

    assert set(Table.metadata.tables) < set(tables)
