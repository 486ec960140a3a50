"""Fewer indexes of the event logs: ids of events, and an aggregate's unpublished ones, follow from its versions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMAS = ("ordering", "catalog", "customers")
AGGREGATE = "ix_event_log_unpublished_aggregate"
EVENT_ID = "uq_event_log_event_id"


def upgrade() -> None:
    """Drop them; every event and its id stays."""
    for schema in SCHEMAS:
        op.drop_index(AGGREGATE, "event_log", schema=schema)
        with op.batch_alter_table("event_log", schema=schema) as table:  # SQLite makes the table anew for it
            table.drop_constraint(EVENT_ID, type_="unique")


def downgrade() -> None:
    """Make them again."""
    for schema in SCHEMAS:
        with op.batch_alter_table("event_log", schema=schema) as table:
            table.create_unique_constraint(EVENT_ID, ["event_id"])
        only = sa.text("published_at IS NULL")
        columns = ["aggregate_id", "aggregate_version"]
        op.create_index(AGGREGATE, "event_log", columns, schema=schema, mssql_where=only, sqlite_where=only)
