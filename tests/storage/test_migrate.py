"""The schema: from empty, from every earlier version, by several processes at once."""

import asyncio

import msgspec
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.admission.key_store import KeyStore, StoredProject
from gateway.config import LimitSpec
from gateway.storage.database import open_database
from gateway.storage.migrate import alembic_config, migrate
from gateway.storage.tables import Project, Revision, Table

LIMITS = LimitSpec(
    requests_per_minute=1,
    tokens_per_minute=2,
    concurrent=0,
    requests_per_day=4,
    requests_per_month=5,
    spend_per_month="999999.999999999",
    strategy="token_bucket",
)
_OLD_LIMITS = msgspec.json.encode(LIMITS).decode()
_OLD_PROJECTS = sa.table("projects", *map(sa.column, ("id", "limits", "created_at")))
_OLD_KEYS = sa.table("keys", *map(sa.column, ("id", "name", "project_id", "admin", "limits", "created_at")))


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
            project = await connection.scalar(sa.select(Project.id))
            revisions = (await connection.execute(sa.select(Revision.number))).scalars().all()

    assert {name: count for name, count in counts.items() if count} == {"projects": 1, "revisions": 4}
    assert project == "default"
    assert set(revisions) == {0}


async def test_a_project_that_is_called_default_already_stays_as_it_is(database_text: str) -> None:
    """An upgrade changes no limits."""
    async with open_database(database_text) as database:
        await migrate(database, "0003")
        async with database.writing() as connection:
            await connection.execute(sa.insert(_OLD_PROJECTS).values(id="default", limits=_OLD_LIMITS, created_at=1))
        await migrate(database)
        projects = await KeyStore(database, b"pepper", int).projects()

    assert projects == [StoredProject("default", LIMITS, 1)]


async def test_limits_of_earlier_versions_stay(database_text: str) -> None:
    """They stood as JSON in the rows of keys and projects; amounts of dollars come over to the nano-dollar."""
    async with open_database(database_text) as database:
        await migrate(database, "0004")
        key = {"id": "key_1", "name": "one", "project_id": "default", "admin": False, "created_at": 1}
        async with database.writing() as connection:
            await connection.execute(sa.update(_OLD_PROJECTS).values(limits='{"concurrent":7}'))
            await connection.execute(sa.insert(_OLD_KEYS).values(**key, limits=_OLD_LIMITS))
            await connection.execute(sa.insert(_OLD_KEYS).values(**key | {"id": "key_2"}, limits="{}"))
        await migrate(database)
        one, two = await KeyStore(database, b"pepper", int).list()

    assert (one.limits, one.project_limits) == (LIMITS, LimitSpec(concurrent=7))
    assert (two.limits, two.project_limits) == (LimitSpec(), LimitSpec(concurrent=7))
