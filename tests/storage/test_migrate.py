"""The schema: from empty, from every earlier version, by several processes at once."""

import asyncio

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.storage.database import open_database
from gateway.storage.migrate import alembic_config, migrate
from gateway.storage.tables import Project, Revision, Table


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


async def test_a_first_run_finds_one_project_and_nothing_else(database_text: str) -> None:
    """As docs/operations.md says; the counters of changes stand at nought."""
    async with open_database(database_text) as database:
        await migrate(database)
        async with database.reading() as connection:
            counts = {
                name: await connection.scalar(sa.select(sa.func.count()).select_from(table))
                for name, table in Table.metadata.tables.items()
            }
            project = (await connection.execute(sa.select(Project.id, Project.limits))).one()
            revisions = (await connection.execute(sa.select(Revision.number))).scalars().all()

    assert {name: count for name, count in counts.items() if count} == {"projects": 1, "revisions": 4}
    assert tuple(project) == ("default", "{}")
    assert set(revisions) == {0}


async def test_a_project_that_is_called_default_already_stays_as_it_is(database_text: str) -> None:
    """An upgrade changes no limits."""
    async with open_database(database_text) as database:
        await migrate(database, "0003")
        async with database.writing() as connection:
            own = {"id": "default", "limits": '{"concurrent":1}', "created_at": 1}
            await connection.execute(sa.insert(Project).values(**own))
        await migrate(database)
        async with database.reading() as connection:
            found = (await connection.execute(sa.select(Project.id, Project.limits, Project.created_at))).one()

    assert found._asdict() == own
