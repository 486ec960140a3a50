"""Where ordering keeps orders, their event log, and its copy of what it needs to know of the other contexts."""

from typing import get_args

import sqlalchemy as sa

from shared.messaging.codec import EventCodec
from shared.messaging.columns import Amount, UtcDateTime, schema_metadata, text
from shared.messaging.event_log import EventLog, event_log_table
from shared.messaging.inbox import Inbox, inbox_table
from shared.ordering.events import OrderEvent

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
)

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
)

INBOX = Inbox(inbox_table(METADATA))

CODEC = EventCodec[OrderEvent](get_args(OrderEvent.__value__))
LOG = EventLog[OrderEvent](event_log_table(METADATA), CODEC)
