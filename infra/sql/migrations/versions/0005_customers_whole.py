"""Customers whole: addresses, preferences, and whose an address for e-mail is."""

import sqlalchemy as sa
from alembic import op

from shared.frame.sql.columns import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "customers"
COLUMNS = (
    ("default_address_id", sa.Uuid),
    ("language", lambda: sa.Unicode(35)),
    ("currency", lambda: sa.Unicode(3)),
)


def upgrade() -> None:
    """Create them. Of several customers with one address for e-mail, one keeps it to themselves."""
    for name, kind in COLUMNS:
        op.add_column("customers", sa.Column(name, kind()), schema=SCHEMA)
    op.add_column("customers", sa.Column("newsletter", sa.Boolean, nullable=False, server_default="0"), schema=SCHEMA)
    op.create_table(
        "addresses",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("address_id", sa.Uuid, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("label", text(100)),
        sa.Column("street", text(200), nullable=False),
        sa.Column("city", text(100), nullable=False),
        sa.Column("postal_code", text(20), nullable=False),
        sa.Column("region", text(100)),
        sa.Column("country", sa.Unicode(2)),
        sa.ForeignKeyConstraint(["customer_id"], [f"{SCHEMA}.customers.customer_id"], name="fk_addresses_customers"),
        sa.PrimaryKeyConstraint("customer_id", "address_id", name="pk_addresses"),
        schema=SCHEMA,
    )
    op.create_table(
        "emails",
        sa.Column("address", text(320), nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_emails"),
        schema=SCHEMA,
    )
    op.add_column("customers", sa.Column("default_address_id", sa.Uuid), schema="ordering")
    op.add_column(
        "customers",
        sa.Column("default_version", sa.BigInteger, nullable=False, server_default="0"),
        schema="ordering",
    )
    op.create_table(
        "customer_addresses",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("address_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("street", text(200)),
        sa.Column("city", text(100)),
        sa.Column("postal_code", text(20)),
        sa.Column("region", text(100)),
        sa.Column("country", sa.Unicode(2)),
        sa.PrimaryKeyConstraint("customer_id", "address_id", name="pk_customer_addresses"),
        schema="ordering",
    )
    op.execute(
        f"INSERT INTO {SCHEMA}.emails (address, customer_id) "  # noqa: S608  # a schema's name
        f"SELECT LOWER(email), MIN(customer_id) FROM {SCHEMA}.customers GROUP BY LOWER(email)"
    )


def downgrade() -> None:
    """Drop them; the log has all of it."""
    op.drop_table("customer_addresses", schema="ordering")
    with op.batch_alter_table("customers", schema="ordering") as table:
        table.drop_column("default_version", mssql_drop_default=True)
        table.drop_column("default_address_id")
    op.drop_table("emails", schema=SCHEMA)
    op.drop_table("addresses", schema=SCHEMA)
    with op.batch_alter_table("customers", schema=SCHEMA) as table:
        for name in ("newsletter", *(name for name, _ in COLUMNS)):
            table.drop_column(name, **({"mssql_drop_default": True} if name == "newsletter" else {}))
