"""Tells every process that something stored has changed: a number a subject, which each change counts up."""

from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.database import Database
from gateway.storage.tables import Revision

Subject = Literal["configuration", "providers", "prices", "preferences"]
Revisions = dict[str, int]
_NEXT: Final = Revision.number + 1


async def count_up(connection: AsyncConnection, subject: Subject) -> None:
    """Note a change, in the transaction that makes it.

    Transactions on one subject take turns from here on, so a reader who sees a number sees all changes up to it.
    """
    await connection.execute(sa.update(Revision).where(Revision.subject == subject).values(number=_NEXT))


async def read_revisions(database: Database) -> Revisions:
    """Return the number of each subject."""
    async with database.reading() as connection:
        rows = (await connection.execute(sa.select(Revision.subject, Revision.number))).all()
    return {row.subject: row.number for row in rows}
