"""The first schema: each context's tables and its event log."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import Amount, UtcDateTime, exact_text, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMAS = ("ordering", "catalog", "customers")


def upgrade() -> None:
    """Create everything."""
    for schema in SCHEMAS:
        if op.get_context().dialect.name == "mssql":
            op.execute(f"CREATE SCHEMA {schema}")
        _create_event_log(schema)
    _create_ordering()
    op.create_table(
        "products",
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("name", text(200), nullable=False),
        sa.Column("description", text(2000), nullable=False),
        sa.Column("unit_price", Amount, nullable=False),
        sa.Column("currency", sa.Unicode(3), nullable=False),
        sa.Column("category", text(100), nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("product_id", name="pk_products"),
        schema="catalog",
    )
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("name", text(200), nullable=False),
        sa.Column("email", text(320), nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name="pk_customers"),
        schema="customers",
    )


def _create_event_log(schema: str) -> None:
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
        sa.UniqueConstraint("event_id", name="uq_event_log_event_id"),
        sa.UniqueConstraint("aggregate_id", "aggregate_version", name="uq_event_log_aggregate_version"),
        schema=schema,
    )
    for name, columns, unique, where in (
        ("uq_event_log_command", ["command_id"], True, "command_fingerprint IS NOT NULL"),
        ("ix_event_log_unpublished", ["sequence"], False, "published_at IS NULL"),
        ("ix_event_log_unpublished_aggregate", ["aggregate_id", "aggregate_version"], False, "published_at IS NULL"),
    ):
        only = sa.text(where)
        op.create_index(name, "event_log", columns, unique=unique, schema=schema, mssql_where=only, sqlite_where=only)


def _create_ordering() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Unicode(20), nullable=False),
        sa.Column("currency", sa.Unicode(3)),
        sa.Column("total", Amount, nullable=False),
        sa.Column("lines_ever", sa.Integer, nullable=False),
        sa.Column("street", text(200), nullable=False),
        sa.Column("city", text(100), nullable=False),
        sa.Column("postal_code", text(20), nullable=False),
        sa.Column("region", text(100)),
        sa.Column("country", sa.Unicode(2)),
        sa.Column("cancel_reason", text(500)),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_orders"),
        schema="ordering",
    )
    op.create_index("ix_orders_customer_id", "orders", ["customer_id"], schema="ordering")
    op.create_table(
        "order_lines",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("product_name", text(200), nullable=False),
        sa.Column("product_version", sa.BigInteger, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("unit_price", Amount, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["ordering.orders.order_id"], name="fk_order_lines_orders"),
        sa.PrimaryKeyConstraint("order_id", "product_id", name="pk_order_lines"),
        schema="ordering",
    )
    op.create_index("ix_order_lines_product_id", "order_lines", ["product_id"], schema="ordering")
    op.create_table(
        "products",
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("name", text(200), nullable=False),
        sa.Column("name_version", sa.BigInteger, nullable=False),
        sa.Column("unit_price", Amount, nullable=False),
        sa.Column("currency", sa.Unicode(3), nullable=False),
        sa.Column("price_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("product_id", name="pk_products"),
        schema="ordering",
    )
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("name", text(200), nullable=False),
        sa.Column("name_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name="pk_customers"),
        schema="ordering",
    )
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_inbox"),
        schema="ordering",
    )


def downgrade() -> None:
    """Drop everything."""
    for table in ("order_lines", "orders", "products", "customers", "inbox"):
        op.drop_table(table, schema="ordering")
    op.drop_table("products", schema="catalog")
    op.drop_table("customers", schema="customers")
    for schema in SCHEMAS:
        op.drop_table("event_log", schema=schema)
        if op.get_context().dialect.name == "mssql":
            op.execute(f"DROP SCHEMA {schema}")
