"""Since when a customer's orders are being erased, so that an erasure that does not end is told of."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; of an erasure that is under way it is not known, and its orders tell alone."""
    op.add_column("customers", sa.Column("erasing_since", UtcDateTime), schema="ordering")


def downgrade() -> None:
    """Drop it; the customers' log has it."""
    op.drop_column("customers", "erasing_since", schema="ordering")
