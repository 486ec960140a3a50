"""Which payments are erased: nothing that is said of their customer is noted any more."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; nobody is erased yet."""
    op.add_column("payments", sa.Column("erased", sa.Boolean, nullable=False, server_default="0"), schema="payments")


def downgrade() -> None:
    """Drop it; the log has it."""
    op.drop_column("payments", "erased", schema="payments", mssql_drop_default=True)
