"""The stock of products, and what orders have of it."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both, empty: no product's stock is kept yet."""
    op.create_table(
        "stock",
        sa.Column("stock_id", sa.Uuid, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("on_hand", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("reserved >= 0 AND reserved <= on_hand AND waiting >= 0", name="ck_stock_not_oversold"),
        sa.PrimaryKeyConstraint("stock_id", name="pk_stock"),
        sa.UniqueConstraint("product_id", name="uq_stock_product_id"),
        sa.ForeignKeyConstraint(["product_id"], ["catalog.products.product_id"], name="fk_stock_products"),
        schema="catalog",
    )
    op.create_table(
        "ordered_stock",
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("submitted_at", UtcDateTime, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("shipped", sa.Integer, nullable=False),
        sa.CheckConstraint("reserved >= 0 AND waiting >= 0 AND shipped >= 0", name="ck_ordered_stock_not_negative"),
        sa.PrimaryKeyConstraint("product_id", "order_id", name="pk_ordered_stock"),
        sa.ForeignKeyConstraint(["product_id"], ["catalog.stock.product_id"], name="fk_ordered_stock_stock"),
        schema="catalog",
    )
    op.create_index("ix_ordered_stock_order_id", "ordered_stock", ["order_id"], schema="catalog")
    for name, where in (("ix_ordered_stock_waiting", "waiting > 0"), ("ix_ordered_stock_reserved", "reserved > 0")):
        only = sa.text(where)
        op.create_index(
            name,
            "ordered_stock",
            ["product_id", "submitted_at", "order_id"],
            schema="catalog",
            mssql_where=only,
            sqlite_where=only,
        )


def downgrade() -> None:
    """Drop both; the log has all of it."""
    op.drop_table("ordered_stock", schema="catalog")
    op.drop_table("stock", schema="catalog")
