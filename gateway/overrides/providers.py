"""What operators say of providers while the gateway runs: stored, checked as the configuration is, never a secret."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.admission.secret_store import forget_provider_key
from gateway.config import ProviderSettings
from gateway.errors import EntryNotFound, InvalidRequest
from gateway.overrides.outage import answering
from gateway.overrides.provider_settings import StoredProvider, WrongProviderError, in_force
from gateway.storage.database import Database, unbroken
from gateway.storage.revisions import count_up
from gateway.storage.tables import ProviderEntry

_TABLE: Final[Any] = ProviderEntry.__table__


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as it is in force, and who says so. `updated_at` is Unix milliseconds, None if nothing is stored."""

    name: str
    settings: ProviderSettings
    disabled: bool = False
    source: Literal["configuration", "stored", "both"]
    updated_at: int | None = None


async def stored_providers(database: Database) -> Sequence[StoredProvider]:
    """Return what is stored of providers, by their names."""
    async with database.reading() as connection:
        rows = (await connection.execute(sa.select(_TABLE).order_by(_TABLE.c.name))).all()
    return [_stored(row) for row in rows]


class StoredProviders:
    """Changes what is stored of providers. `configured` are those of the configuration.

    Every method raises Overloaded while the database is away. What they change is in force after the next reload.
    """

    def __init__(
        self, database: Database, configured: Mapping[str, ProviderSettings], clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._configured = configured
        self._clock = clock

    async def views(self) -> list[ProviderView]:
        """Return all providers: the configured ones in their order, then the others by their names.

        Raises InvalidRequest for a stored one that does not fit the configuration any more.
        """
        with answering():
            stored = {each.name: each for each in await stored_providers(self._database)}
        names = list(self._configured) + [name for name in stored if name not in self._configured]
        return [self._checked(name, stored.get(name)) for name in names]

    @unbroken
    async def put(self, name: str, given: Mapping[str, Any], *, disabled: bool) -> ProviderView:
        """Replace what is stored of a provider. Its stored key is forgotten if that moves it to another address.

        Raises InvalidRequest.
        """
        new = StoredProvider(name=name, given=given, disabled=disabled, updated_at=self._clock())
        view = self._checked(name, new)
        values = {
            "settings": msgspec.json.encode(given).decode(),
            "disabled": disabled,
            "updated_at": new.updated_at,
        }
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "providers")  # first: whoever changes it too waits here
                before = await self._address(connection, name)
                await connection.execute(sa.delete(_TABLE).where(_TABLE.c.name == name))
                await connection.execute(sa.insert(_TABLE).values(name=name, **values))
                if view.settings.base_url != before:
                    await forget_provider_key(connection, name)
        return view

    @unbroken
    async def delete(self, name: str) -> None:
        """Forget what is stored of a provider, and its key if that moves it. Raises EntryNotFound."""
        with answering():
            async with self._database.writing() as connection:
                await count_up(connection, "providers")
                before = await self._address(connection, name)
                done = await connection.execute(sa.delete(_TABLE).where(_TABLE.c.name == name))
                configured = self._configured.get(name)
                if done.rowcount and before != (configured.base_url if configured is not None else None):
                    await forget_provider_key(connection, name)
        if done.rowcount == 0:
            raise EntryNotFound(f"Nothing is stored of a provider '{name[:100]}'.", param="name")

    async def _address(self, connection: AsyncConnection, name: str) -> str | None:
        """Return where the provider is now; None if there is none."""
        configured = self._configured.get(name)
        address = configured.base_url if configured is not None else None
        row = (await connection.execute(sa.select(_TABLE).where(_TABLE.c.name == name))).first()
        if row is None:
            return address
        return str(_stored(row).given.get("base_url") or address or "")

    def _checked(self, name: str, stored: StoredProvider | None) -> ProviderView:
        try:
            return self._view(name, stored)
        except WrongProviderError as exc:
            if exc.missing:
                raise InvalidRequest(
                    f"Missing required parameter: '{exc.field}'; {exc}.",
                    param=exc.field,
                    code="missing_required_parameter",
                ) from None
            raise InvalidRequest(f"Invalid value for '{exc.field}': {exc}.", param=exc.field) from None

    def _view(self, name: str, stored: StoredProvider | None) -> ProviderView:
        configured = self._configured.get(name)
        if stored is None:
            return ProviderView(name=name, settings=self._configured[name], source="configuration")
        return ProviderView(
            name=name,
            settings=in_force(stored, configured),
            disabled=stored.disabled,
            source="stored" if configured is None else "both",
            updated_at=stored.updated_at,
        )


def _stored(row: Any) -> StoredProvider:
    given = msgspec.json.decode(row.settings, type=dict[str, Any])
    return StoredProvider(name=row.name, given=given, disabled=bool(row.disabled), updated_at=row.updated_at)
