"""The SQL tables.

Times are Unix milliseconds in UTC. Money is integer nano-dollars (10**-9 USD). Lists and settings are JSON text, so
that SQLite and PostgreSQL have one schema.
"""

from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES: Final = {
    "ix": "ix_%(column_0_N_label)s",
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}


_OPEN: Final = "state = 'open'"


class Table(DeclarativeBase):
    """Base of all tables: integers have 64 bits."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger, str: String, bool: Boolean}


class Project(Table):
    """A group of keys that shares limits."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[int]


class Key(Table):
    """Who may call, without the secret. A null list of providers or models means all of them."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    admin: Mapped[bool] = mapped_column(default=False)
    providers: Mapped[str | None] = mapped_column(Text)
    models: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int]
    expires_at: Mapped[int | None]
    disabled_at: Mapped[int | None]


class Quota(Table):
    """The limits of one key or project, named as in `gateway.config.LimitSpec`: 0 is no limit, null is unset."""

    __tablename__ = "quotas"

    scope: Mapped[str] = mapped_column(primary_key=True)
    """`key` or `project`."""
    scope_id: Mapped[str] = mapped_column(primary_key=True)
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    concurrent: Mapped[int | None]
    requests_per_day: Mapped[int | None]
    requests_per_month: Mapped[int | None]
    spend_nano_per_month: Mapped[int | None]
    strategy: Mapped[str | None]
    updated_at: Mapped[int]


class KeySecret(Table):
    """One secret of a key, as a keyed hash. During a rotation a key has two, the older of which expires."""

    __tablename__ = "key_secrets"

    digest: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("keys.id"), index=True)
    hint: Mapped[str]
    """The last four characters, to recognise a secret by."""
    created_at: Mapped[int]
    expires_at: Mapped[int | None]


class StoredSecret(Table):
    """A secret that must be read again, encrypted: the pepper of the key hashes, and providers' keys."""

    __tablename__ = "stored_secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    ciphertext: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[int]


class Call(Table):
    """One call: its reservation while it runs, its usage and cost once it is settled.

    `state` is `open` while the call runs; `settled` with what it used; `released` when it failed before any token and
    costs nothing; `expired` when the gateway died under it and it was settled at its reservation.
    """

    __tablename__ = "calls"

    id: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str]
    owner: Mapped[str]
    """The journal of the process that runs the call."""
    state: Mapped[str]
    key_id: Mapped[str]
    project_id: Mapped[str | None]
    provider: Mapped[str]
    model: Mapped[str]
    operation: Mapped[str]
    payer: Mapped[str]
    """`gateway` or `client`: whose provider key was used. A client's own key costs the gateway nothing."""
    started_at: Mapped[int]
    day: Mapped[int] = mapped_column(Integer)
    """UTC day of `started_at`, as 20251231."""
    lease_until: Mapped[int]
    reserved_prompt_tokens: Mapped[int]
    reserved_completion_tokens: Mapped[int]
    reserved_nano: Mapped[int]
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    cached_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    reasoning_tokens: Mapped[int] = mapped_column(default=0)
    cost_nano: Mapped[int] = mapped_column(default=0)
    usage_source: Mapped[str] = mapped_column(default="")
    """Who counted: `provider`, `gateway`, or `bound` where nobody could."""
    price_source: Mapped[str] = mapped_column(default="")
    """`stored`, `catalog`, or `default` for a model without a known price."""
    outcome: Mapped[str] = mapped_column(default="")
    """`OK`, `CANCELLED` or a reason of the error table."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    first_token_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int | None] = mapped_column(Integer)
    settled_at: Mapped[int | None]

    __table_args__ = (
        Index("ix_calls_started", "started_at"),
        # Pages through one key's calls.
        Index("ix_calls_key_started", "key_id", "started_at", "id"),
        Index("ix_calls_request", "request_id"),
        # Partial, so that looking for lost calls costs nothing however many are settled.
        Index("ix_calls_open", "lease_until", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
    )


class UsageDay(Table):
    """What the ended calls of a day sum up to. Triggers add each call in the transaction that ends it.

    Each owner adds to rows of its own, so that processes do not wait for each other. A call without a project has an
    empty `project_id`, since a primary key takes no null.
    """

    __tablename__ = "usage_days"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, index=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    """Calls that used something; `failed_requests` are the released ones."""
    failed_requests: Mapped[int]
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    cost_nano: Mapped[int]

    __table_args__ = ({"sqlite_with_rowid": False},)


class ProviderHealth(Table):
    """One check of a provider, as one process saw it, and how calls at it went in the five minutes before."""

    __tablename__ = "provider_health"

    id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    checked_at: Mapped[int]
    checked_by: Mapped[str]
    """The journal of the process that checked."""
    up: Mapped[bool]
    reason: Mapped[str]
    """Why it is not up: a reason of the error table; empty when it is."""
    latency_ms: Mapped[int] = mapped_column(Integer)
    recent_calls: Mapped[int] = mapped_column(Integer)
    recent_failed_calls: Mapped[int] = mapped_column(Integer)

    __table_args__ = (
        Index("ix_provider_health_checked", "checked_at", "id"),
        Index("ix_provider_health_provider", "provider", "checked_at", "id"),
    )


class ProviderEntry(Table):
    """What operators say of a provider, before the configuration. `settings` is a JSON object of fields of
    `gateway.config.ProviderSettings`, none of them secret.
    """

    __tablename__ = "providers"

    name: Mapped[str] = mapped_column(primary_key=True)
    settings: Mapped[str] = mapped_column(Text)
    disabled: Mapped[bool]
    updated_at: Mapped[int]


class PriceEntry(Table):
    """What a model costs from a time on. `prices` is a JSON object of `gateway.catalog.entries.Prices`."""

    __tablename__ = "prices"

    id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    model: Mapped[str]
    valid_from: Mapped[int]
    prices: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int]

    __table_args__ = (
        Index("ix_prices_model", "provider", "model", "valid_from", unique=True),
        # Pages through all of them.
        Index("ix_prices_valid_from", "valid_from", "id"),
    )


class PreferenceEntry(Table):
    """Which model a key means by a name. The key may be one of the settings, which has no row in `keys`."""

    __tablename__ = "model_preferences"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    updated_at: Mapped[int]


class Revision(Table):
    """How often something was changed, so that every process notices: see `gateway.storage.revisions`."""

    __tablename__ = "revisions"

    subject: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
