"""Where the catalogue keeps its products and their event log."""

from typing import get_args

import sqlalchemy as sa

from shared.catalog.events import ProductEvent
from shared.messaging.codec import EventCodec
from shared.messaging.columns import Amount, UtcDateTime, schema_metadata, text
from shared.messaging.event_log import EventLog, event_log_table

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
)

CODEC = EventCodec[ProductEvent](get_args(ProductEvent.__value__))
LOG = EventLog[ProductEvent](event_log_table(METADATA), CODEC)
