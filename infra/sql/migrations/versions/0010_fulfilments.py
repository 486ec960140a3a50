"""How far the fulfilment of each order is, and what its payment has come to."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import Amount, JsonText, UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and add the columns; orders of before are on account, and have no fulfilment."""
    op.create_table(
        "fulfilments",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Unicode(20), nullable=False),
        sa.Column("waits_for", sa.Unicode(100), nullable=False),
        sa.Column("begun_at", UtcDateTime, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("deadline", sa.Unicode(20)),
        sa.Column("due_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("facts", JsonText, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_fulfilments"),
        schema="ordering",
    )
    for name, columns, where in (
        ("ix_fulfilments_due", ["due_at", "order_id"], "due_at IS NOT NULL"),
        ("ix_fulfilments_running", ["begun_at", "order_id"], "ended_at IS NULL"),
    ):
        only = sa.text(where)
        op.create_index(name, "fulfilments", columns, schema="ordering", mssql_where=only, sqlite_where=only)
    for column in (
        sa.Column("payment_version", sa.BigInteger),
        sa.Column("payment_status", sa.Unicode(20)),
        sa.Column("payment_attempt", sa.Integer),
        sa.Column("refunded", Amount),
    ):
        op.add_column("orders", column, schema="ordering")


def downgrade() -> None:
    """Drop them; the log has what payments have come to."""
    for column in ("refunded", "payment_attempt", "payment_status", "payment_version"):
        op.drop_column("orders", column, schema="ordering")
    op.drop_table("fulfilments", schema="ordering")
