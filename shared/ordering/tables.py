"""Ordering's tables: orders, the event log, fulfilments, and copies of the other contexts' data."""

from typing import Any

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.read_side.past import snapshot_table
from shared.frame.sql.columns import Amount, JsonText, UtcDateTime, every_table, schema_metadata, text
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.inbox import Inbox, inbox_table
from shared.frame.write_side.log_table import event_log_table
from shared.ordering.events import ON_TOPIC, UPCASTS, OrderEvent, OrderStatus

SCHEMA = "ordering"
METADATA = schema_metadata(SCHEMA)

ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False, index=True),
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
    # the state of its payment; null for an order on account
    sa.Column("payment_version", sa.BigInteger),
    sa.Column("payment_status", sa.Unicode(20)),
    sa.Column("payment_attempt", sa.Integer),
    sa.Column("refunded", Amount),
    sa.Column("erased", sa.Boolean, nullable=False, server_default="0"),
)

UNDER_WAY: list[Any] = [sa.literal_column(f"'{each}'") for each in (OrderStatus.SUBMITTED, OrderStatus.CONFIRMED)]
"""The statuses of orders that are carried out before their customer's data is erased. Drafts bind nobody."""

ORDER_LINES = sa.Table(
    "order_lines",
    METADATA,
    sa.Column("order_id", sa.Uuid, sa.ForeignKey(ORDERS.c.order_id), primary_key=True),
    sa.Column("product_id", sa.Uuid, primary_key=True, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("product_name", text(200), nullable=False),
    sa.Column("product_version", sa.BigInteger, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("unit_price", Amount, nullable=False),
    # its stock, as the catalogue's events tell; version 0 if no stock is kept
    sa.Column("stock_version", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("reserved", sa.Integer, nullable=False, server_default="0"),
    sa.Column("waiting", sa.Integer, nullable=False, server_default="0"),
    sa.Column("shipped", sa.Integer, nullable=False, server_default="0"),
)

PRODUCTS = sa.Table(
    "products",
    METADATA,
    sa.Column("product_id", sa.Uuid, primary_key=True),
    sa.Column("name", text(200), nullable=False),
    sa.Column("name_version", sa.BigInteger, nullable=False),
    sa.Column("unit_price", Amount, nullable=False),
    sa.Column("currency", sa.Unicode(3), nullable=False),
    sa.Column("price_version", sa.BigInteger, nullable=False),
)

CUSTOMERS = sa.Table(
    "customers",
    METADATA,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("name", text(200), nullable=False),
    sa.Column("name_version", sa.BigInteger, nullable=False),
    sa.Column("default_address_id", sa.Uuid),
    sa.Column("default_version", sa.BigInteger, nullable=False),
    sa.Column("erasure", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("erasing_since", UtcDateTime),
)
"""`erasure`: 0: none; 1: orders are being erased; 2: done. `erasing_since` is null if it began before the column."""
sa.Index(
    "ix_customers_erasure",
    CUSTOMERS.c.erasure,
    mssql_where=sa.text("erasure = 1"),
    sqlite_where=sa.text("erasure = 1"),
)

CUSTOMER_ADDRESSES = sa.Table(
    "customer_addresses",
    METADATA,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("address_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("street", text(200)),
    sa.Column("city", text(100)),
    sa.Column("postal_code", text(20)),
    sa.Column("region", text(100)),
    sa.Column("country", sa.Unicode(2)),
)
"""A row without a street is a removed address: the row stays, so that no late event brings the address back."""

FULFILMENTS = sa.Table(
    "fulfilments",
    METADATA,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Unicode(20), nullable=False),
    sa.Column("waits_for", sa.Unicode(100), nullable=False),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("deadline", sa.Unicode(20)),
    sa.Column("due_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("facts", JsonText, nullable=False),
)
"""The fulfilments: the known facts as JSON, and the columns by which lists and deadlines search."""

for _name, _columns, _where in (
    ("ix_fulfilments_due", ["due_at", "order_id"], "due_at IS NOT NULL"),
    ("ix_fulfilments_running", ["begun_at", "order_id"], "ended_at IS NULL"),
):
    _only = sa.text(_where)
    sa.Index(_name, *(FULFILMENTS.c[column] for column in _columns), mssql_where=_only, sqlite_where=_only)

SNAPSHOTS = snapshot_table(METADATA)

INBOX = Inbox(inbox_table(METADATA))

CODEC = EventCodec[OrderEvent](ON_TOPIC, UPCASTS)
LOG = EventLog[OrderEvent](event_log_table(METADATA), CODEC)
EVERY_TABLE = every_table(METADATA)
