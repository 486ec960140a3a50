"""Find the payments of which a step is due without a look at each that is held."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ONLY = sa.text("look_at IS NOT NULL")


def upgrade() -> None:
    """Add an index that tells what is due; it takes the place of the one that tells only when to look."""
    op.create_index(
        "ix_payments_to_look_at",
        "payments",
        ["look_at"],
        schema="payments",
        mssql_include=["status", "capture_requested", "void_requested", "changed_at", "pending"],
        mssql_where=ONLY,
        sqlite_where=ONLY,
    )
    op.drop_index("ix_payments_look_at", "payments", schema="payments")


def downgrade() -> None:
    """Go back to the one that tells only when to look."""
    op.create_index(
        "ix_payments_look_at", "payments", ["look_at"], schema="payments", mssql_where=ONLY, sqlite_where=ONLY
    )
    op.drop_index("ix_payments_to_look_at", "payments", schema="payments")
