"""Addresses for e-mail that Azure SQL compares as the code does, and not by rules of a language.

By its default collation þor@example.com is thor@example.com: one could not register, and was shown the other's data.
"""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import exact_text, text

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Compare them exactly, as SQLite does anyway."""
    _alter(exact_text(640))


def downgrade() -> None:
    """Compare them as before; this fails if there are two by now that were one before."""
    _alter(text(320))


def _alter(type_: sa.types.TypeEngine[str]) -> None:
    if op.get_context().dialect.name != "mssql":
        return
    op.drop_constraint("pk_emails", "emails", schema="customers", type_="primary")  # a key's column cannot be altered
    op.alter_column("emails", "address", type_=type_, nullable=False, schema="customers")
    op.create_primary_key("pk_emails", "emails", ["address"], schema="customers")
