"""A migrated database of each kind, and a clock that the test moves."""

from collections.abc import AsyncIterator

import pytest

from gateway.storage.database import Database, open_database
from gateway.storage.migrate import migrate

NOW = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


class Clock:
    """Tells Unix milliseconds."""

    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def database(database_text: str) -> AsyncIterator[Database]:
    """An empty database with the current schema."""
    async with open_database(database_text) as opened:
        await migrate(opened)
        yield opened
