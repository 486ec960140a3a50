"""What was ordered together, from which related products follow; and the products of a category, found by an index."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "purchases",
        sa.Column("purchase_id", sa.Uuid, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("purchase_id", name="pk_purchases"),
        schema="catalog",
    )
    op.create_index("ix_purchases_product_id_at", "purchases", ["product_id", "at"], schema="catalog")
    op.create_index("ix_purchases_order_id", "purchases", ["order_id"], schema="catalog")
    op.create_index("ix_products_category", "products", ["category"], schema="catalog")


def downgrade() -> None:
    """Drop both; the log has what was ordered together."""
    op.drop_index("ix_products_category", "products", schema="catalog")
    op.drop_table("purchases", schema="catalog")
