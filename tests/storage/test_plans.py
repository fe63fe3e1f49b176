"""How PostgreSQL finds a call that ends, while it knows little of the ledger."""

import pytest
import sqlalchemy as sa

from gateway.storage import call_rows
from gateway.storage.database import open_database
from gateway.storage.migrate import migrate
from gateway.storage.records import Settlement
from tests.support.databases import postgres_database
from tests.support.ledger_records import reservation, settlement

_READ = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'calls'"


def _store_and_count(connection: sa.Connection, ends: list[Settlement]) -> int:
    """Return how many rows of calls were read for it."""
    call_rows.store(connection, ends)
    return int(connection.exec_driver_sql(_READ).scalar_one())


@pytest.mark.parametrize("analyzed", [False, True], ids=["unknown", "known to be empty"])
async def test_a_call_that_ends_is_found_by_its_id(postgres: str, analyzed: bool) -> None:
    """Neither the other calls are read for it nor those that are open, whatever the statistics say."""
    async with postgres_database(postgres) as url, open_database(url) as database:
        await migrate(database)
        if analyzed:
            async with database.writing() as connection:
                await connection.execute(sa.text("ANALYZE"))
        calls = [str(number) for number in range(300)]
        await database.write(call_rows.store, [reservation(call) for call in calls])

        read = await database.write(_store_and_count, [settlement(call) for call in calls])

    assert read <= 2 * len(calls)
