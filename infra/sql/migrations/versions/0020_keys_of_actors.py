"""Idempotency keys that belong to their callers: a customer could use up those of the shop's own systems."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import exact_text

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SCHEMAS = ("payments", "customers", "catalog", "ordering")
"""Altering a column, and dropping an index, keep everybody out of a log until all of this is over (Sch-M), so that no
way of building an index would help. The log that orders are written to is locked last, for its own index alone."""
ONLY = sa.text("command_fingerprint IS NOT NULL")


def upgrade() -> None:
    """Let each actor have a key once; it finds a key alone, too, as the release before looks for it."""
    for schema in SCHEMAS:
        _alter_actor(exact_text(255), schema)
        _index("uq_event_log_command_actor", ["command_id", "actor"], schema)
        op.drop_index("uq_event_log_command", "event_log", schema=schema)


def downgrade() -> None:
    """Let all have a key once; this fails if two have used one by now."""
    for schema in SCHEMAS:
        _index("uq_event_log_command", ["command_id"], schema)
        op.drop_index("uq_event_log_command_actor", "event_log", schema=schema)
        _alter_actor(sa.Unicode(255), schema)


def _index(name: str, columns: list[str], schema: str) -> None:
    op.create_index(name, "event_log", columns, unique=True, mssql_where=ONLY, sqlite_where=ONLY, schema=schema)


def _alter_actor(type_: sa.types.TypeEngine[str], schema: str) -> None:
    """Compare actors unit by unit, or by the rules of a language; SQLite does the former anyway."""
    if op.get_context().dialect.name == "mssql":
        op.alter_column("event_log", "actor", type_=type_, nullable=False, schema=schema)
