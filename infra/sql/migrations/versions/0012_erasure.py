"""Erasure of customers: when one is due, what was erased, and whose orders are being erased."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; nobody is erased yet."""
    op.add_column("customers", sa.Column("erase_at", UtcDateTime), schema="customers")
    op.add_column("customers", sa.Column("erased", sa.Boolean, nullable=False, server_default="0"), schema="customers")
    op.add_column("orders", sa.Column("erased", sa.Boolean, nullable=False, server_default="0"), schema="ordering")
    op.add_column(
        "customers", sa.Column("erasure", sa.SmallInteger, nullable=False, server_default="0"), schema="ordering"
    )
    for schema, name, column, where in (
        ("customers", "ix_customers_erase_at", "erase_at", "erase_at IS NOT NULL"),
        ("ordering", "ix_customers_erasure", "erasure", "erasure = 1"),
    ):
        only = sa.text(where)
        op.create_index(name, "customers", [column], schema=schema, mssql_where=only, sqlite_where=only)


def downgrade() -> None:
    """Drop it; the logs have all of it."""
    op.drop_index("ix_customers_erasure", "customers", schema="ordering")
    op.drop_index("ix_customers_erase_at", "customers", schema="customers")
    op.drop_column("customers", "erasure", schema="ordering", mssql_drop_default=True)
    op.drop_column("orders", "erased", schema="ordering", mssql_drop_default=True)
    op.drop_column("customers", "erased", schema="customers", mssql_drop_default=True)
    op.drop_column("customers", "erase_at", schema="customers")
