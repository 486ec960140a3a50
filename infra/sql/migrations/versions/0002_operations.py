"""The audit trail of operations."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime, exact_text, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "operations"


def upgrade() -> None:
    """Create it."""
    if op.get_context().dialect.name == "mssql":
        op.execute(f"CREATE SCHEMA {SCHEMA}")
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), nullable=False),
        sa.Column("action_id", sa.Uuid, nullable=False),
        sa.Column("step", exact_text(10), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", text(255), nullable=False),
        sa.Column("correlation_id", sa.Unicode(128), nullable=False),
        sa.Column("action", sa.Unicode(50), nullable=False),
        sa.Column("subject", sa.Unicode(200), nullable=False),
        sa.Column("details", sa.Unicode, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
        sa.UniqueConstraint("action_id", "step", name="uq_audit_action_id_step"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("audit", schema=SCHEMA)
    if op.get_context().dialect.name == "mssql":
        op.execute(f"DROP SCHEMA {SCHEMA}")
