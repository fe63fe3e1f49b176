"""What operators do with keys and limits while the gateway runs."""

import contextlib
from collections.abc import Collection, Iterator, Sequence

from gateway.admission.key_ring import KeyRing
from gateway.admission.key_store import KeyStore, StoredKey, StoredProject, UnknownKeyError
from gateway.admission.secret_store import SecretStore
from gateway.admission.vault import VaultError
from gateway.config import LimitSpec, Secret
from gateway.errors import InternalError, KeyNotFound, Overloaded, ProviderNotFound
from gateway.storage.database import OUTAGE


class Administration:
    """Changes what is stored, and makes this process see it at once.

    `providers` are the configured ones. Every method raises Overloaded while the database is away, and KeyNotFound for
    an unknown id.
    """

    def __init__(self, keys: KeyStore, secrets: SecretStore, ring: KeyRing, providers: Collection[str]) -> None:
        self._keys = keys
        self._secrets = secrets
        self._ring = ring
        self._providers = providers

    async def create_key(
        self,
        name: str,
        *,
        project_id: str | None,
        admin: bool,
        providers: Sequence[str] | None,
        models: Sequence[str] | None,
        limits: LimitSpec,
        lifetime_s: int | None,
    ) -> tuple[StoredKey, Secret]:
        """Make a key and return it with its secret, which cannot be read again."""
        with _answering():
            return await self._keys.create(
                name,
                project_id=project_id,
                admin=admin,
                providers=providers,
                models=models,
                limits=limits,
                lifetime_s=lifetime_s,
            )

    async def keys(self, *, project_id: str | None, after: tuple[int, str] | None, limit: int) -> list[StoredKey]:
        """Return a page of keys, oldest first."""
        with _answering():
            return await self._keys.list(project_id=project_id, after=after, limit=limit)

    async def key(self, key_id: str) -> StoredKey:
        """Return one key."""
        with _answering():
            return await self._keys.get(key_id)

    async def disable_key(self, key_id: str) -> StoredKey:
        """End a key."""
        with _answering():
            await self._keys.disable(key_id)
            self._ring.forget()
            return await self._keys.get(key_id)

    async def rotate_key(self, key_id: str, overlap_s: int) -> tuple[StoredKey, Secret]:
        """Give a key a new secret; the earlier ones hold for `overlap_s` more seconds."""
        with _answering():
            secret = await self._keys.rotate(key_id, overlap_s)
            self._ring.forget()
            return await self._keys.get(key_id), secret

    async def limit_key(self, key_id: str, limits: LimitSpec) -> StoredKey:
        """Replace a key's limits."""
        with _answering():
            await self._keys.set_limits(key_id, limits)
            self._ring.forget()
            return await self._keys.get(key_id)

    async def projects(self) -> Sequence[StoredProject]:
        """Return all projects."""
        with _answering():
            return await self._keys.projects()

    async def limit_project(self, project_id: str, limits: LimitSpec) -> StoredProject:
        """Replace a project's limits; a new one is made."""
        with _answering():
            await self._keys.set_project_limits(project_id, limits)
            self._ring.forget()
            return next(project for project in await self._keys.projects() if project.id == project_id)

    async def put_provider_key(self, provider: str, key: Secret) -> None:
        """Store a provider's key. Raises ProviderNotFound."""
        if provider not in self._providers:
            raise ProviderNotFound(f"There is no provider '{provider[:100]}'.", param="provider")
        with _answering():
            await self._secrets.put_provider_key(provider, key)

    async def provider_keys(self) -> dict[str, int]:
        """Return since when provider keys are stored, in Unix milliseconds."""
        with _answering():
            return await self._secrets.stored_at()

    async def delete_provider_key(self, provider: str) -> None:
        """Forget a provider's key."""
        with _answering():
            if not await self._secrets.delete_provider_key(provider):
                raise KeyNotFound(f"No key of provider '{provider[:100]}' is stored.", param="provider")

    async def reencrypt(self) -> int:
        """Encrypt every stored secret with the first master key, and return how many there are."""
        with _answering():
            return await self._secrets.reencrypt()


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except UnknownKeyError as exc:
        raise KeyNotFound(f"There is no key '{str(exc)[:100]}'.", param="key_id") from None
    except VaultError as exc:
        raise InternalError("A stored secret cannot be read with the gateway's master keys.") from exc
    except OUTAGE as exc:
        raise Overloaded("The gateway cannot reach its database now.", retry_after=1) from exc
