"""A migrated database of each kind."""

from collections.abc import AsyncIterator

import pytest

from gateway.storage.database import Database, open_database
from gateway.storage.migrate import migrate


@pytest.fixture
async def database(database_text: str) -> AsyncIterator[Database]:
    """An empty database with the current schema."""
    async with open_database(database_text) as opened:
        await migrate(opened)
        yield opened
