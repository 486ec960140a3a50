"""Snapshots of what orders were: a cache that reads of the past begin at (ADR 23)."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it, empty."""
    op.create_table(
        "snapshots",
        sa.Column("aggregate_id", sa.Uuid, nullable=False),
        sa.Column("shape", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("aggregate_version", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("latest", UtcDateTime, nullable=False),
        sa.Column("document", sa.Unicode, nullable=False),
        sa.PrimaryKeyConstraint("aggregate_id", "shape", "aggregate_version", name="pk_snapshots"),
        schema="ordering",
    )


def downgrade() -> None:
    """Drop it; the log has all of it."""
    op.drop_table("snapshots", schema="ordering")
