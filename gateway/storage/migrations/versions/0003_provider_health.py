"""The history of the providers' checks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_health",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_by", sa.String(), nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("recent_calls", sa.Integer(), nullable=False),
        sa.Column("recent_failed_calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_health"),
    )
    op.create_index("ix_provider_health_checked", "provider_health", ["checked_at", "id"])
    op.create_index("ix_provider_health_provider", "provider_health", ["provider", "checked_at", "id"])
