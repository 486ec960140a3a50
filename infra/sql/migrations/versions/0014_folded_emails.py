"""Addresses for e-mail as the code compares them: the first ones were put in lower case by the database.

A database leaves letters such as ß, and SQLite all that are not ASCII. So the code did not find these customers by
their address, gave it to others, and left it behind when the address was changed or the customer erased.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CUSTOMERS = sa.table(
    "customers",
    sa.column("customer_id", sa.Uuid),
    sa.column("email", sa.Unicode),
    sa.column("erased", sa.Boolean),
    schema="customers",
)
EMAILS = sa.table("emails", sa.column("address", sa.Unicode), sa.column("customer_id", sa.Uuid), schema="customers")
AT_ONCE = 1_000
"""Rows that are in memory at a time."""

READ = (
    sa.select(EMAILS.c.customer_id, EMAILS.c.address, CUSTOMERS.c.email, CUSTOMERS.c.erased)
    .join(CUSTOMERS, CUSTOMERS.c.customer_id == EMAILS.c.customer_id)
    .order_by(EMAILS.c.customer_id)
)
DELETE = sa.delete(EMAILS).where(
    EMAILS.c.address == sa.bindparam("old_address", type_=sa.Unicode),
    EMAILS.c.customer_id == sa.bindparam("of_customer", type_=sa.Uuid),
)
INSERT = sa.insert(EMAILS).from_select(
    ["address", "customer_id"],
    sa.select(sa.cast(sa.bindparam("new_address", type_=sa.Unicode), sa.Unicode(640)), CUSTOMERS.c.customer_id).where(
        CUSTOMERS.c.customer_id == sa.bindparam("of_customer", type_=sa.Uuid),
        CUSTOMERS.c.email == sa.bindparam("new_email", type_=sa.Unicode),  # a release that runs may have changed it
        ~sa.exists().where(EMAILS.c.address == sa.bindparam("new_address", type_=sa.Unicode)),
    ),
)


def upgrade() -> None:
    """Write them anew. Of several customers with one address, one keeps it to themselves: whoever has it so already."""
    if context.is_offline_mode():
        op.execute("PRINT N'A script cannot do 0014: if there are customers, use python -m infra.sql.migrate.'")
        return
    connection = op.get_bind()
    wrong = [
        {"of_customer": row.customer_id, "old_address": row.address, "new_email": row.email, "erased": row.erased}
        for row in connection.execute(READ, execution_options={"yield_per": AT_ONCE})
        if row.erased or row.address != row.email.casefold()
    ]
    for row in wrong:
        connection.execute(DELETE, {name: row[name] for name in ("of_customer", "old_address")})
    for row in wrong:
        if not row["erased"]:
            values = {name: row[name] for name in ("of_customer", "new_email")}
            connection.execute(INSERT, values | {"new_address": row["new_email"].casefold()})


def downgrade() -> None:
    """Leave them: the releases before compare in the same way."""
