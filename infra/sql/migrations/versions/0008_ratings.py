"""What customers think of products: one row for each of both."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "ratings",
        sa.Column("rating_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("rating", sa.SmallInteger, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("rating_id", name="pk_ratings"),
        schema="catalog",
    )
    op.create_index("ix_ratings_product_id", "ratings", ["product_id"], schema="catalog")
    op.create_index("ix_ratings_customer_id", "ratings", ["customer_id"], schema="catalog")


def downgrade() -> None:
    """Drop it; the log has all of it."""
    op.drop_table("ratings", schema="catalog")
