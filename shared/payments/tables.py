"""The tables of payments, of refunds, and of the event log."""

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.sql.columns import Amount, UtcDateTime, every_table, schema_metadata
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.inbox import Inbox, inbox_table
from shared.frame.write_side.log_table import event_log_table
from shared.payments.events import ON_TOPIC, PaymentEvent

SCHEMA = "payments"
METADATA = schema_metadata(SCHEMA)

PAYMENTS = sa.Table(
    "payments",
    METADATA,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False, index=True),
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
    sa.Column("erased", sa.Boolean, nullable=False, server_default="0"),
    sa.Column("pending", sa.Boolean, nullable=False, server_default="0"),
)
"""One row for each payment; at `look_at` the timer looks: whether the due step was done, the amount is still held, or
another card has paid.

`pending` tells that the provider has begun all that is due, as it said at the last look.
"""

_IS_LOOKED_AT = sa.text("look_at IS NOT NULL")
sa.Index(
    "ix_payments_to_look_at",
    PAYMENTS.c.look_at,
    mssql_include=["status", "capture_requested", "void_requested", "changed_at", "pending"],
    mssql_where=_IS_LOOKED_AT,
    sqlite_where=_IS_LOOKED_AT,
)
"""Tells what is due without a look at each payment that is held."""

REFUNDS = sa.Table(
    "refunds",
    METADATA,
    sa.Column("order_id", sa.Uuid, sa.ForeignKey(PAYMENTS.c.order_id), primary_key=True),
    sa.Column("refund_id", sa.Uuid, primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("made", sa.Boolean, nullable=False),
)
"""The requested refunds, in order; `made` tells whether the refund was made."""

INBOX = Inbox(inbox_table(METADATA))

CODEC = EventCodec[PaymentEvent](ON_TOPIC)
LOG = EventLog[PaymentEvent](event_log_table(METADATA), CODEC)
EVERY_TABLE = every_table(METADATA)
