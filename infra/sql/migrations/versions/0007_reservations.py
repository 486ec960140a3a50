"""What the catalogue hears of orders, and what orders know of their lines' stock."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LINE_STOCK = ("stock_version", "reserved", "waiting", "shipped")


def upgrade() -> None:
    """Create the catalogue's inbox and orders, empty; lines have nothing that is known of their stock."""
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_inbox"),
        schema="catalog",
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.Unicode(20), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_orders"),
        schema="catalog",
    )
    for name in LINE_STOCK:
        kind = sa.BigInteger() if name == "stock_version" else sa.Integer()
        op.add_column(
            "order_lines",
            sa.Column(name, kind, server_default="0", nullable=False),
            schema="ordering",
        )


def downgrade() -> None:
    """Take it away; the logs have all of it."""
    for name in LINE_STOCK:
        op.drop_column("order_lines", name, schema="ordering", mssql_drop_default=True)
    op.drop_table("orders", schema="catalog")
    op.drop_table("inbox", schema="catalog")
