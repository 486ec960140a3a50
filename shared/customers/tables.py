"""Where customers and their event log are kept."""

from typing import get_args

import sqlalchemy as sa

from shared.customers.events import CustomerEvent
from shared.messaging.codec import EventCodec
from shared.messaging.columns import UtcDateTime, schema_metadata, text
from shared.messaging.event_log import EventLog, event_log_table

SCHEMA = "customers"
METADATA = schema_metadata(SCHEMA)

CUSTOMERS = sa.Table(
    "customers",
    METADATA,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("name", text(200), nullable=False),
    sa.Column("email", text(320), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

CODEC = EventCodec[CustomerEvent](get_args(CustomerEvent.__value__))
LOG = EventLog[CustomerEvent](event_log_table(METADATA), CODEC)
