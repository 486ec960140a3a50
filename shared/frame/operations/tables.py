"""The table of the audit trail."""

import sqlalchemy as sa

from shared.frame.sql.columns import JsonText, UtcDateTime, exact_text, schema_metadata, text

SCHEMA = "operations"
METADATA = schema_metadata(SCHEMA)

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("action_id", sa.Uuid, nullable=False),
    # an intent and its outcome are separate rows: no row ever changes
    sa.Column("step", exact_text(10), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", text(255), nullable=False),
    sa.Column("correlation_id", sa.Unicode(128), nullable=False),
    sa.Column("action", sa.Unicode(50), nullable=False),
    sa.Column("subject", sa.Unicode(200), nullable=False),
    sa.Column("details", JsonText, nullable=False),
    sa.UniqueConstraint("action_id", "step", name="uq_audit_action_id_step"),
)
