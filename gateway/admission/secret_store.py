"""Secrets in the database, encrypted: the pepper of the key hashes, and providers' keys."""

import secrets
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.admission.vault import Vault
from gateway.config import Secret
from gateway.storage.database import INSERTS, Database, unbroken
from gateway.storage.revisions import count_up
from gateway.storage.tables import StoredSecret

_PEPPER: Final = "pepper"
_PROVIDER: Final = "provider/"


class SecretStore:
    """Reads and writes stored secrets. `clock` tells Unix milliseconds."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], int]) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    @unbroken
    async def pepper(self) -> bytes:
        """Return the key of the key hashes, made at first use. Raises VaultError."""
        async with self._database.writing() as connection:
            await self._put(connection, _PEPPER, secrets.token_hex(32), replace=False)
            sealed = await connection.scalar(sa.select(StoredSecret.ciphertext).where(StoredSecret.name == _PEPPER))
        return bytes.fromhex(self._vault.unseal(str(sealed)))

    async def provider_keys(self) -> dict[str, Secret]:
        """Return the stored provider keys by provider. Raises VaultError."""
        query = sa.select(StoredSecret.name, StoredSecret.ciphertext).where(StoredSecret.name.startswith(_PROVIDER))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {name.removeprefix(_PROVIDER): Secret(self._vault.unseal(sealed)) for name, sealed in rows}

    async def stored_at(self) -> dict[str, int]:
        """Return since when provider keys are stored, by provider, in Unix milliseconds."""
        query = sa.select(StoredSecret.name, StoredSecret.updated_at).where(StoredSecret.name.startswith(_PROVIDER))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(StoredSecret.name))).all()
        return {name.removeprefix(_PROVIDER): updated_at for name, updated_at in rows}

    @unbroken
    async def put_provider_key(self, provider: str, key: Secret) -> None:
        """Store a provider's key in place of an earlier one."""
        async with self._database.writing() as connection:
            await count_up(connection, "providers")
            await self._put(connection, _PROVIDER + provider, key.reveal(), replace=True)

    @unbroken
    async def delete_provider_key(self, provider: str) -> bool:
        """Forget a provider's key; tell whether there was one."""
        async with self._database.writing() as connection:
            await count_up(connection, "providers")
            return await forget_provider_key(connection, provider)

    @unbroken
    async def reencrypt(self) -> int:
        """Encrypt every secret anew with the first master key, in one transaction, and return how many there are.

        After that the older master keys are of no use. Raises VaultError.
        """
        async with self._database.writing() as connection:
            rows = (await connection.execute(sa.select(StoredSecret.name, StoredSecret.ciphertext))).all()
            for name, sealed in rows:
                await self._put(connection, name, self._vault.unseal(sealed), replace=True)
        return len(rows)

    async def _put(self, connection: AsyncConnection, name: str, text: str, *, replace: bool) -> None:
        values = {"ciphertext": self._vault.seal(text), "updated_at": self._clock()}
        insert = INSERTS[connection.dialect.name](StoredSecret).values(name=name, **values)
        if replace:
            await connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
        else:
            await connection.execute(insert.on_conflict_do_nothing())


async def forget_provider_key(connection: AsyncConnection, provider: str) -> bool:
    """Forget a provider's key as part of a transaction; tell whether there was one."""
    done = await connection.execute(sa.delete(StoredSecret).where(StoredSecret.name == _PROVIDER + provider))
    return done.rowcount > 0
