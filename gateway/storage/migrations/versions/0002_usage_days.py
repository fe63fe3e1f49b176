"""Sums of calls by day, kept by triggers.

A trigger runs in the transaction that ends a call, whoever ends it and however often a batch is repeated, so the sums
always equal the rows. A later migration that makes `calls` anew must make the triggers anew as well.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = "key_id, day, project_id, provider, model, owner"
_COUNTS = (
    "requests",
    "failed_requests",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cost_nano",
)
_VALUES = """{0}key_id, {0}day, coalesce({0}project_id, ''), {0}provider, {0}model, {0}owner,
    CASE {0}state WHEN 'released' THEN 0 ELSE 1 END, CASE {0}state WHEN 'released' THEN 1 ELSE 0 END,
    {0}prompt_tokens, {0}cached_tokens, {0}completion_tokens, {0}reasoning_tokens, {0}cost_nano"""
_SUMS = ", ".join(f"{name} = usage_days.{name} + excluded.{name}" for name in _COUNTS)
_ADD = f"""INSERT INTO usage_days ({_KEY}, {", ".join(_COUNTS)}) VALUES ({_VALUES.format("NEW.")})
    ON CONFLICT ({_KEY}) DO UPDATE SET {_SUMS}"""  # noqa: S608  # made of the names above
_BACKFILL = f"""INSERT INTO usage_days ({_KEY}, {", ".join(_COUNTS)})
    SELECT {_KEY}, {", ".join(f"sum({name})" for name in _COUNTS)} FROM (
        SELECT key_id, day, coalesce(project_id, '') AS project_id, provider, model, owner,
            CASE state WHEN 'released' THEN 0 ELSE 1 END AS requests,
            CASE state WHEN 'released' THEN 1 ELSE 0 END AS failed_requests,
            {", ".join(_COUNTS[2:])}
        FROM calls WHERE state <> 'open'
    ) AS ended GROUP BY {_KEY}"""  # noqa: S608  # as above
_ON_INSERT = "AFTER INSERT ON calls"
_ON_UPDATE = "AFTER UPDATE OF state ON calls"
_INSERTED = "NEW.state <> 'open'"
_ENDED = "OLD.state = 'open' AND NEW.state <> 'open'"
_TRIGGERS = {
    "sqlite": (
        f"CREATE TRIGGER calls_inserted {_ON_INSERT} WHEN {_INSERTED} BEGIN {_ADD}; END",
        f"CREATE TRIGGER calls_ended {_ON_UPDATE} WHEN {_ENDED} BEGIN {_ADD}; END",
    ),
    "postgresql": (
        f"CREATE FUNCTION add_usage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_ADD}; RETURN NULL; END $$",
        f"CREATE TRIGGER calls_inserted {_ON_INSERT} FOR EACH ROW WHEN ({_INSERTED}) EXECUTE FUNCTION add_usage()",
        f"CREATE TRIGGER calls_ended {_ON_UPDATE} FOR EACH ROW WHEN ({_ENDED}) EXECUTE FUNCTION add_usage()",
    ),
}


def upgrade() -> None:
    op.create_table(
        "usage_days",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.PrimaryKeyConstraint(*_KEY.split(", "), name="pk_usage_days"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_days_day", "usage_days", ["day"])
    op.execute(_BACKFILL)
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
    # The sums answer what the wide index was for; a page of one key's calls needs a narrow one.
    op.drop_index("ix_calls_key_day", "calls")
    op.create_index("ix_calls_key_started", "calls", ["key_id", "started_at", "id"])
