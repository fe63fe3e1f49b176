"""Limits of keys and projects in a table of their own: an amount a column, money in nano-dollars.

Before, each stood in its key's or project's row as JSON, with dollars as text.
"""

import json
import time
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COUNTED = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent",
    "requests_per_day",
    "requests_per_month",
)


def upgrade() -> None:
    quotas = op.create_table(
        "quotas",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("scope_id", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in _COUNTED),
        sa.Column("spend_nano_per_month", sa.BigInteger(), nullable=True),
        sa.Column("strategy", sa.String(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "scope_id", name="pk_quotas"),
    )
    now = time.time_ns() // 1_000_000
    bind = op.get_bind()
    for scope, table in (("key", "keys"), ("project", "projects")):
        limited = sa.text(f"SELECT id, limits FROM {table} WHERE limits <> '{{}}'")  # noqa: S608  # the names above
        rows = [
            {"scope": scope, "scope_id": scope_id, "updated_at": now, **_columns(json.loads(limits))}
            for scope_id, limits in bind.execute(limited)
        ]
        op.bulk_insert(quotas, rows)
        op.drop_column(table, "limits")


def _columns(limits: dict[str, int | str]) -> dict[str, int | str | None]:
    spend = limits.get("spend_per_month")
    return {
        **{name: limits.get(name) for name in (*_COUNTED, "strategy")},
        "spend_nano_per_month": None if spend is None else int(Decimal(spend) * 1_000_000_000),
    }
