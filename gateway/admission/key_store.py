"""Stored API keys: made, found, listed, disabled, rotated. The secret itself is never stored."""

import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from gateway.admission.quota_rows import ScopedQuota, put_quota
from gateway.config import LimitSpec, Secret
from gateway.storage.database import INSERTS, Database, unbroken
from gateway.storage.tables import Key, KeySecret, Project

PREFIX: Final = "sk-gw-"
_HINT: Final = 4


class UnknownKeyError(Exception):
    """No key or project has this id."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored. None for providers or models means all; a model is a pattern of `provider/model`.

    Times are Unix milliseconds.
    """

    id: str
    name: str
    project_id: str | None = None
    admin: bool = False
    providers: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    limits: LimitSpec = LimitSpec()
    project_limits: LimitSpec = LimitSpec()
    created_at: int = 0
    expires_at: int | None = None
    disabled_at: int | None = None

    def valid(self, now: int) -> bool:
        """Whether the key may be used at `now`."""
        return self.disabled_at is None and (self.expires_at is None or now < self.expires_at)


class StoredProject(msgspec.Struct, frozen=True):
    """A project as it is stored."""

    id: str
    limits: LimitSpec
    created_at: int


class FoundKey(msgspec.Struct, frozen=True):
    """A key found by one of its secrets, and until when that secret holds."""

    key: StoredKey
    secret_expires_at: int | None

    def valid(self, now: int) -> bool:
        """Whether key and secret may be used at `now`."""
        return self.key.valid(now) and (self.secret_expires_at is None or now < self.secret_expires_at)


def digest(pepper: bytes, key: str) -> bytes:
    """Return the keyed hash by which a key is stored and found (HMAC-SHA256)."""
    return hmac.digest(pepper, key.encode(), "sha256")


class KeyStore:
    """The keys in the database. `clock` tells Unix milliseconds."""

    def __init__(self, database: Database, pepper: bytes, clock: Callable[[], int]) -> None:
        self._database = database
        self._pepper = pepper
        self._clock = clock

    @unbroken
    async def create(
        self,
        name: str,
        *,
        project_id: str | None = None,
        admin: bool = False,
        providers: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
        limits: LimitSpec | None = None,
        lifetime_s: int | None = None,
    ) -> tuple[StoredKey, Secret]:
        """Make a key and return it with its secret, which cannot be read again. A new project is made on the way."""
        now = self._clock()
        key = StoredKey(
            id="key_" + secrets.token_hex(8),
            name=name,
            project_id=project_id,
            admin=admin,
            providers=tuple(providers) if providers is not None else None,
            models=tuple(models) if models is not None else None,
            limits=limits or LimitSpec(),
            created_at=now,
            expires_at=now + lifetime_s * 1000 if lifetime_s is not None else None,
        )
        async with self._database.writing() as connection:
            if project_id is not None:
                await _add_project(connection, project_id, now)
            await connection.execute(
                sa.insert(Key).values(
                    id=key.id,
                    name=key.name,
                    project_id=key.project_id,
                    admin=key.admin,
                    providers=_json(key.providers),
                    models=_json(key.models),
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                )
            )
            await put_quota(connection, "key", key.id, key.limits, now)
            secret = await self._add_secret(connection, key.id, now)
        return key, secret

    async def find(self, hashed: bytes) -> FoundKey | None:
        """Return the key that has this hash, valid or not."""
        query = _SELECT.add_columns(KeySecret.expires_at).join(KeySecret).where(KeySecret.digest == hashed.hex())
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return FoundKey(_stored(row), row[-1]) if row is not None else None

    async def list(
        self, *, project_id: str | None = None, after: tuple[int, str] | None = None, limit: int | None = None
    ) -> list[StoredKey]:
        """Return keys, oldest first: all of them, or up to `limit` of a project's after a time of making and an id."""
        query = _SELECT.order_by(Key.created_at, Key.id).limit(limit)
        if project_id is not None:
            query = query.where(Key.project_id == project_id)
        if after is not None:
            query = query.where(sa.tuple_(Key.created_at, Key.id) > sa.tuple_(*map(sa.literal, after)))
        async with self._database.reading() as connection:
            return [_stored(row) for row in await connection.execute(query)]

    async def get(self, key_id: str) -> StoredKey:
        """Return one key. Raises UnknownKeyError."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_SELECT.where(Key.id == key_id))).first()
        if row is None:
            raise UnknownKeyError(key_id)
        return _stored(row)

    @unbroken
    async def disable(self, key_id: str) -> None:
        """End a key at once, with all its secrets. Raises UnknownKeyError."""
        change = sa.update(Key).where(Key.id == key_id).values(disabled_at=self._clock())
        async with self._database.writing() as connection:
            if (await connection.execute(change)).rowcount == 0:
                raise UnknownKeyError(key_id)

    @unbroken
    async def rotate(self, key_id: str, overlap_s: int) -> Secret:
        """Give a key a new secret; the earlier ones hold for `overlap_s` more seconds. Raises UnknownKeyError."""
        now = self._clock()
        end = now + overlap_s * 1000
        async with self._database.writing() as connection:
            await _check(connection, key_id)
            await connection.execute(
                sa.update(KeySecret)
                .where(KeySecret.key_id == key_id, sa.or_(KeySecret.expires_at.is_(None), KeySecret.expires_at > end))
                .values(expires_at=end)
            )
            return await self._add_secret(connection, key_id, now)

    @unbroken
    async def set_limits(self, key_id: str, limits: LimitSpec) -> None:
        """Replace a key's limits. Raises UnknownKeyError."""
        async with self._database.writing() as connection:
            await _check(connection, key_id)
            await put_quota(connection, "key", key_id, limits, self._clock())

    async def projects(self) -> Sequence[StoredProject]:
        """Return all projects by their ids."""
        query = sa.select(Project.id, Project.created_at, *_PROJECT_QUOTA.columns).order_by(Project.id)
        query = query.outerjoin(_PROJECT_QUOTA.table, _PROJECT_QUOTA.of(Project.id))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [StoredProject(row.id, _PROJECT_QUOTA.limits(row), row.created_at) for row in rows]

    @unbroken
    async def set_project_limits(self, project_id: str, limits: LimitSpec) -> None:
        """Give a project its limits; a new one is made."""
        now = self._clock()
        async with self._database.writing() as connection:
            await _add_project(connection, project_id, now)
            await put_quota(connection, "project", project_id, limits, now)

    async def _add_secret(self, connection: Any, key_id: str, now: int) -> Secret:
        secret = PREFIX + secrets.token_urlsafe(32)
        await connection.execute(
            sa.insert(KeySecret).values(
                digest=digest(self._pepper, secret).hex(), key_id=key_id, hint=secret[-_HINT:], created_at=now
            )
        )
        return Secret(secret)


_KEY_QUOTA: Final = ScopedQuota("key")
_PROJECT_QUOTA: Final = ScopedQuota("project")
_SELECT: Final = (
    sa.select(
        Key.id,
        Key.name,
        Key.project_id,
        Key.admin,
        Key.providers,
        Key.models,
        Key.created_at,
        Key.expires_at,
        Key.disabled_at,
        *_KEY_QUOTA.columns,
        *_PROJECT_QUOTA.columns,
    )
    .outerjoin(_KEY_QUOTA.table, _KEY_QUOTA.of(Key.id))
    .outerjoin(_PROJECT_QUOTA.table, _PROJECT_QUOTA.of(Key.project_id))
)


async def _add_project(connection: Any, project_id: str, now: int) -> None:
    insert = INSERTS[connection.dialect.name](Project).values(id=project_id, created_at=now)
    await connection.execute(insert.on_conflict_do_nothing())


async def _check(connection: Any, key_id: str) -> None:
    if await connection.scalar(sa.select(sa.literal(1)).where(Key.id == key_id)) is None:
        raise UnknownKeyError(key_id)


def _stored(row: Any) -> StoredKey:
    return StoredKey(
        id=row.id,
        name=row.name,
        project_id=row.project_id,
        admin=bool(row.admin),
        providers=_names(row.providers),
        models=_names(row.models),
        limits=_KEY_QUOTA.limits(row),
        project_limits=_PROJECT_QUOTA.limits(row),
        created_at=row.created_at,
        expires_at=row.expires_at,
        disabled_at=row.disabled_at,
    )


def _json(value: Any) -> str | None:
    return msgspec.json.encode(value).decode() if value is not None else None


def _names(text: str | None) -> tuple[str, ...] | None:
    return msgspec.json.decode(text, type=tuple[str, ...]) if text is not None else None
