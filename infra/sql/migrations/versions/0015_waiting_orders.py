"""Find products that orders wait for without a look at all others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        "ix_stock_waiting",
        "stock",
        ["changed_at", "product_id"],
        schema="catalog",
        mssql_include=["on_hand", "reserved", "version"],
        mssql_where=sa.text("waiting > 0"),
        sqlite_where=sa.text("waiting > 0"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_stock_waiting", "stock", schema="catalog")
