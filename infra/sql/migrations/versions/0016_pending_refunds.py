"""Which payments wait for a bank alone: for refunds that the provider has begun."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; the next look at a payment tells."""
    op.add_column("payments", sa.Column("pending", sa.Boolean, nullable=False, server_default="0"), schema="payments")


def downgrade() -> None:
    """Drop it; the provider tells it again."""
    op.drop_column("payments", "pending", schema="payments", mssql_drop_default=True)
