"""The catalogue's tables: products, stock, ratings, purchases, and the event log."""

import sqlalchemy as sa

from shared.catalog.events import ON_TOPIC, UPCASTS, CatalogEvent
from shared.frame.messaging.codec import EventCodec
from shared.frame.sql.columns import Amount, UtcDateTime, every_table, schema_metadata, text
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.inbox import Inbox, inbox_table
from shared.frame.write_side.log_table import event_log_table

SCHEMA = "catalog"
METADATA = schema_metadata(SCHEMA)

PRODUCTS = sa.Table(
    "products",
    METADATA,
    sa.Column("product_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("name", text(200), nullable=False),
    sa.Column("description", text(2000), nullable=False),
    sa.Column("unit_price", Amount, nullable=False),
    sa.Column("currency", sa.Unicode(3), nullable=False),
    sa.Column("category", text(100), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Index("ix_products_category", "category", "product_id"),
)

STOCK = sa.Table(
    "stock",
    METADATA,
    sa.Column("stock_id", sa.Uuid, primary_key=True),
    sa.Column("product_id", sa.Uuid, sa.ForeignKey(PRODUCTS.c.product_id), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("on_hand", sa.Integer, nullable=False),
    sa.Column("reserved", sa.Integer, nullable=False),
    sa.Column("waiting", sa.Integer, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("product_id", name="uq_stock_product_id"),
    # the aggregate has the rules; these constraints stop a bug in it
    sa.CheckConstraint("reserved >= 0 AND reserved <= on_hand AND waiting >= 0", name="ck_stock_not_oversold"),
    sa.Index(
        "ix_stock_waiting",
        "changed_at",
        "product_id",
        mssql_include=["on_hand", "reserved", "version"],
        mssql_where=sa.text("waiting > 0"),
        sqlite_where=sa.text("waiting > 0"),
    ),
)

ORDERED_STOCK = sa.Table(
    "ordered_stock",
    METADATA,
    sa.Column("product_id", sa.Uuid, sa.ForeignKey(STOCK.c.product_id), primary_key=True),
    sa.Column("order_id", sa.Uuid, primary_key=True, index=True),
    sa.Column("submitted_at", UtcDateTime, nullable=False),
    sa.Column("reserved", sa.Integer, nullable=False),
    sa.Column("waiting", sa.Integer, nullable=False),
    sa.Column("shipped", sa.Integer, nullable=False),
    sa.CheckConstraint("reserved >= 0 AND waiting >= 0 AND shipped >= 0", name="ck_ordered_stock_not_negative"),
)
for _name, _where in (("ix_ordered_stock_waiting", "waiting > 0"), ("ix_ordered_stock_reserved", "reserved > 0")):
    sa.Index(
        _name,
        ORDERED_STOCK.c.product_id,
        ORDERED_STOCK.c.submitted_at,
        ORDERED_STOCK.c.order_id,
        mssql_where=sa.text(_where),
        sqlite_where=sa.text(_where),
    )

RATINGS = sa.Table(
    "ratings",
    METADATA,
    sa.Column("rating_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("product_id", sa.Uuid, nullable=False, index=True),
    sa.Column("customer_id", sa.Uuid, nullable=False, index=True),
    sa.Column("rating", sa.SmallInteger, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

PURCHASES = sa.Table(
    "purchases",
    METADATA,
    sa.Column("purchase_id", sa.Uuid, primary_key=True),
    sa.Column("product_id", sa.Uuid, nullable=False),
    sa.Column("order_id", sa.Uuid, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_purchases_latest", "product_id", "at", "order_id"),
)
"""Products of submitted orders that have several."""

ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("status", sa.Unicode(20), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)
"""The statuses of orders, by ordering's events that have arrived; `revision` counts these events."""

INBOX = Inbox(inbox_table(METADATA))

CODEC = EventCodec[CatalogEvent](ON_TOPIC, UPCASTS)
LOG = EventLog[CatalogEvent](event_log_table(METADATA), CODEC)
EVERY_TABLE = every_table(METADATA)
