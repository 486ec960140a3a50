"""Where customers and their event log are kept."""

import sqlalchemy as sa

from shared.customers.events import ON_TOPIC, CustomerEvent
from shared.frame.messaging.codec import EventCodec
from shared.frame.sql.columns import UtcDateTime, every_table, exact_text, schema_metadata, text
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.log_table import event_log_table

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
    sa.Column("default_address_id", sa.Uuid),
    sa.Column("language", sa.Unicode(35)),
    sa.Column("currency", sa.Unicode(3)),
    sa.Column("newsletter", sa.Boolean, nullable=False),
    sa.Column("erase_at", UtcDateTime),
    sa.Column("erased", sa.Boolean, nullable=False, server_default="0"),
)
sa.Index(
    "ix_customers_erase_at",
    CUSTOMERS.c.erase_at,
    mssql_where=sa.text("erase_at IS NOT NULL"),
    sqlite_where=sa.text("erase_at IS NOT NULL"),
)

ADDRESSES = sa.Table(
    "addresses",
    METADATA,
    sa.Column("customer_id", sa.Uuid, sa.ForeignKey(CUSTOMERS.c.customer_id), primary_key=True),
    sa.Column("address_id", sa.Uuid, primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("label", text(100)),
    sa.Column("street", text(200), nullable=False),
    sa.Column("city", text(100), nullable=False),
    sa.Column("postal_code", text(20), nullable=False),
    sa.Column("region", text(100)),
    sa.Column("country", sa.Unicode(2)),
)

EMAILS = sa.Table(
    "emails",
    METADATA,
    sa.Column("address", exact_text(640), primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
)
"""The owners of e-mail addresses; `address` is case-folded. A table of its own makes a taken address another conflict
than a taken id."""

CODEC = EventCodec[CustomerEvent](ON_TOPIC)
LOG = EventLog[CustomerEvent](event_log_table(METADATA), CODEC)
EVERY_TABLE = every_table(METADATA)
