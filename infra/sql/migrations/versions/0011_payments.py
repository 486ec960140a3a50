"""Payments: what is asked of them, what the provider did, what was given back."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import Amount, UtcDateTime, exact_text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMA = "payments"


def upgrade() -> None:
    """Create the tables."""
    if op.get_context().dialect.name == "mssql":
        op.execute(f"CREATE SCHEMA {SCHEMA}")
    op.create_table(
        "payments",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("currency", sa.Unicode(3), nullable=False),
        sa.Column("amount", Amount, nullable=False),
        sa.Column("token", sa.Unicode(255), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("status", sa.Unicode(20), nullable=False),
        sa.Column("decline_reason", sa.Unicode(30)),
        sa.Column("reference", sa.Unicode(255)),
        sa.Column("capture_requested", sa.Boolean, nullable=False),
        sa.Column("void_requested", sa.Boolean, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("look_at", UtcDateTime),
        sa.PrimaryKeyConstraint("order_id", name="pk_payments"),
        schema=SCHEMA,
    )
    op.create_index("ix_payments_customer_id", "payments", ["customer_id"], schema=SCHEMA)
    due = sa.text("look_at IS NOT NULL")
    op.create_index("ix_payments_look_at", "payments", ["look_at"], schema=SCHEMA, mssql_where=due, sqlite_where=due)
    op.create_table(
        "refunds",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("refund_id", sa.Uuid, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("amount", Amount, nullable=False),
        sa.Column("made", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "refund_id", name="pk_refunds"),
        sa.ForeignKeyConstraint(["order_id"], [f"{SCHEMA}.payments.order_id"], name="fk_refunds_payments"),
        schema=SCHEMA,
    )
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_inbox"),
        schema=SCHEMA,
    )
    op.create_table(
        "event_log",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("aggregate_id", sa.Uuid, nullable=False),
        sa.Column("aggregate_version", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Unicode(100), nullable=False),
        sa.Column("payload", sa.Unicode, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("command_id", exact_text(255), nullable=False),
        sa.Column("command_fingerprint", sa.BINARY(32).with_variant(sa.LargeBinary(), "sqlite")),
        sa.Column("correlation_id", sa.Unicode(128), nullable=False),
        sa.Column("causation_id", exact_text(255), nullable=False),
        sa.Column("traceparent", sa.Unicode(55)),
        sa.Column("actor", sa.Unicode(255), nullable=False),
        sa.Column("claimed_until", UtcDateTime),
        sa.Column("published_at", UtcDateTime),
        sa.PrimaryKeyConstraint("sequence", name="pk_event_log"),
        sa.UniqueConstraint("aggregate_id", "aggregate_version", name="uq_event_log_aggregate_version"),
        schema=SCHEMA,
    )
    for index, columns, unique, where in (
        ("uq_event_log_command", ["command_id"], True, "command_fingerprint IS NOT NULL"),
        ("ix_event_log_unpublished", ["sequence"], False, "published_at IS NULL"),
    ):
        only = sa.text(where)
        op.create_index(index, "event_log", columns, unique=unique, mssql_where=only, sqlite_where=only, schema=SCHEMA)


def downgrade() -> None:
    """Drop them."""
    for table in ("event_log", "inbox", "refunds", "payments"):
        op.drop_table(table, schema=SCHEMA)
    if op.get_context().dialect.name == "mssql":
        op.execute(f"DROP SCHEMA {SCHEMA}")
