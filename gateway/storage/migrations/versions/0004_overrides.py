"""What operators and callers store beside the settings: providers, prices, preferences. And what a first run finds."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SUBJECTS = ("configuration", "providers", "prices", "preferences")


def upgrade() -> None:
    op.create_table(
        "providers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_providers"),
    )
    op.create_table(
        "prices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prices"),
    )
    op.create_index("ix_prices_model", "prices", ["provider", "model", "valid_from"], unique=True)
    op.create_index("ix_prices_valid_from", "prices", ["valid_from", "id"])
    op.create_table(
        "model_preferences",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "name", name="pk_model_preferences"),
    )
    revisions = op.create_table(
        "revisions",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_revisions"),
    )
    op.bulk_insert(revisions, [{"subject": subject, "number": 0} for subject in _SUBJECTS])
    _seed_project()


def _seed_project() -> None:
    """Make the project `default`, so that a first team has one whose limits can be set. An own one stays as it is."""
    projects = sa.table("projects", sa.column("id"), sa.column("limits"), sa.column("created_at"))
    bind = op.get_bind()
    if bind.scalar(sa.select(projects.c.id).where(projects.c.id == "default")) is None:
        now = time.time_ns() // 1_000_000
        bind.execute(projects.insert().values(id="default", limits="{}", created_at=now))
