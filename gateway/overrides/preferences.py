"""Which models keys mean by names: stored by keys themselves or for them, and known in memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from gateway.errors import EntryNotFound, InvalidRequest
from gateway.overrides.outage import answering
from gateway.storage.database import Database, unbroken
from gateway.storage.revisions import count_up
from gateway.storage.tables import PreferenceEntry

MOST: Final = 100
"""How many preferences a key can have: every process holds all of them in memory."""
_PIECE: Final = 500
_TABLE: Final[Any] = PreferenceEntry.__table__


class Preference(msgspec.Struct, frozen=True):
    """One preference as it is stored. `updated_at` is Unix milliseconds."""

    key_id: str
    name: str
    model: str
    updated_at: int


class PreferenceStore:
    """The preferences in the database. `clock` tells Unix milliseconds.

    Every method raises Overloaded while the database is away.
    """

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    @unbroken
    async def put(self, key_id: str, name: str, model: str) -> Preference:
        """Store that `key_id` means `model` by `name`.

        Raises InvalidRequest for a name too many, and for one with a provider's prefix.
        """
        if "/" in name:
            raise InvalidRequest("Invalid value for 'name': 'provider/model' always means that model.", param="name")
        preference = Preference(key_id, name, model, self._clock())
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "preferences")  # first: whoever stores one too waits here
                await connection.execute(sa.delete(_TABLE).where(*_named(key_id, name)))
                held = sa.select(sa.func.count()).select_from(_TABLE).where(_TABLE.c.key_id == key_id)
                if (await connection.scalar(held) or 0) >= MOST:
                    raise InvalidRequest(f"A key can have up to {MOST} preferences.", param="name")
                await connection.execute(sa.insert(_TABLE).values(**msgspec.structs.asdict(preference)))
        return preference

    async def list(self, key_id: str) -> Sequence[Preference]:
        """Return the preferences of a key by name."""
        query = sa.select(_TABLE).where(_TABLE.c.key_id == key_id).order_by(_TABLE.c.name)
        with answering():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
        return [Preference(row.key_id, row.name, row.model, row.updated_at) for row in rows]

    async def models(self) -> dict[str, dict[str, str]]:
        """Return the models of all keys by key and name, read in pieces: a great many do not hold up calls."""
        models: dict[str, dict[str, str]] = {}
        with answering():
            async with self._database.reading() as connection:
                result = await connection.stream(sa.select(_TABLE.c.key_id, _TABLE.c.name, _TABLE.c.model))
                async for rows in result.partitions(_PIECE):
                    for key_id, name, model in rows:
                        models.setdefault(key_id, {})[name] = model
        return models

    @unbroken
    async def delete(self, key_id: str, name: str) -> None:
        """Forget a preference. Raises EntryNotFound."""
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "preferences")
                done = await connection.execute(sa.delete(_TABLE).where(*_named(key_id, name)))
        if done.rowcount == 0:
            raise EntryNotFound(f"The key has no preference for '{name[:100]}'.", param="name")


class Preferences:
    """All preferences in memory."""

    def __init__(self, store: PreferenceStore) -> None:
        self._store = store
        self._models: Mapping[str, Mapping[str, str]] = {}

    async def load(self) -> None:
        """Read all preferences anew. Raises Overloaded."""
        self._models = await self._store.models()

    def meant(self, key_id: str, name: str) -> str:
        """Return the model that a key means by `name`: that name itself, if it says nothing else."""
        of_key = self._models.get(key_id)
        return name if of_key is None else of_key.get(name, name)


def _named(key_id: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _TABLE.c.key_id == key_id, _TABLE.c.name == name
