"""Prices that operators store: each holds for one model from a time on."""

import bisect
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from gateway.catalog.entries import Prices
from gateway.config import ConfigError
from gateway.errors import EntryNotFound, InvalidRequest
from gateway.overrides.outage import answering
from gateway.storage.database import Database, unbroken
from gateway.storage.revisions import count_up
from gateway.storage.tables import PriceEntry

MOST_NANO: Final = 10**15
"""A million dollars for a million tokens: what the dearest call costs still fits into 64 bits."""
_TABLE: Final[Any] = PriceEntry.__table__
_ROW: Final = (_TABLE.c.provider, _TABLE.c.model, _TABLE.c.valid_from)


class StoredPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price as it is stored. Times are Unix milliseconds."""

    id: str
    provider: str
    model: str
    prices: Prices
    valid_from: int
    created_at: int


class PriceStore:
    """The prices in the database. `clock` tells Unix milliseconds. Every method raises Overloaded while it is away."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    @unbroken
    async def put(self, provider: str, model: str, prices: Prices, valid_from: int | None = None) -> StoredPrice:
        """Store a price from a time on, now without one, in place of an earlier one from the same time.

        Raises InvalidRequest for a time before 1970.
        """
        now = self._clock()
        if valid_from is not None and valid_from < 0:
            raise InvalidRequest("Invalid value for 'start_time': expected a time since 1970.", param="start_time")
        price = StoredPrice(
            id="price_" + secrets.token_hex(8),
            provider=provider,
            model=model,
            prices=prices,
            valid_from=now if valid_from is None else valid_from,
            created_at=now,
        )
        same = sa.and_(*(column == getattr(price, column.name) for column in _ROW))
        values = {**msgspec.structs.asdict(price), "prices": msgspec.json.encode(prices).decode()}
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "prices")  # first: whoever stores the same one waits here
                await connection.execute(sa.delete(_TABLE).where(same))
                await connection.execute(sa.insert(_TABLE).values(**values))
        return price

    async def list(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int | None = None,
    ) -> Sequence[StoredPrice]:
        """Return prices by their start: all of them, or up to `limit` after a start and an id."""
        query = sa.select(_TABLE).order_by(_TABLE.c.valid_from, _TABLE.c.id).limit(limit)
        if provider is not None:
            query = query.where(_TABLE.c.provider == provider)
        if model is not None:
            query = query.where(_TABLE.c.model == model)
        if after is not None:
            query = query.where(sa.tuple_(_TABLE.c.valid_from, _TABLE.c.id) > sa.tuple_(*map(sa.literal, after)))
        with answering():
            async with self._database.reading() as connection:
                return [_stored(row) for row in await connection.execute(query)]

    @unbroken
    async def delete(self, price_id: str) -> None:
        """Forget a price. Raises EntryNotFound."""
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "prices")
                done = await connection.execute(sa.delete(_TABLE).where(_TABLE.c.id == price_id))
        if done.rowcount == 0:
            raise EntryNotFound(f"There is no stored price '{price_id[:100]}'.", param="price_id")


class PriceList:
    """The stored prices in memory. `clock` tells Unix milliseconds."""

    def __init__(self, store: PriceStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._prices: dict[tuple[str, str], tuple[list[int], list[Prices]]] = {}

    async def load(self) -> None:
        """Read all prices anew. Raises Overloaded, or ConfigError for one that this version cannot read."""
        prices: dict[tuple[str, str], tuple[list[int], list[Prices]]] = {}
        for each in await self._store.list():
            starts, of_model = prices.setdefault((each.provider, each.model), ([], []))
            starts.append(each.valid_from)
            of_model.append(each.prices)
        self._prices = prices

    def price(self, provider: str, model: str) -> Prices | None:
        """Return what the model costs now by the stored prices; None if they do not say."""
        found = self._prices.get((provider, model))
        if found is None:
            return None
        starts, prices = found
        place = bisect.bisect_right(starts, self._clock())
        return prices[place - 1] if place else None


def _stored(row: Any) -> StoredPrice:
    try:
        prices = msgspec.json.decode(row.prices, type=Prices)
    except msgspec.ValidationError as exc:  # a later version may have stored it
        raise ConfigError(f"stored price '{row.id}' of '{row.provider}/{row.model}': {exc}") from None
    return StoredPrice(
        id=row.id,
        provider=row.provider,
        model=row.model,
        prices=prices,
        valid_from=row.valid_from,
        created_at=row.created_at,
    )
