"""The version that the log has for a customer's summary, so that no query waits in vain."""

from uuid import UUID

import sqlalchemy as sa

from shared.ordering.tables import CUSTOMERS

CUSTOMER_VERSION = sa.select(CUSTOMERS.c.name_version).where(
    CUSTOMERS.c.customer_id == sa.bindparam("id", type_=sa.Uuid)
)
"""The log of customers belongs to another context; ordering's copy has the version of the last event that came."""


def summary_in_log(connection: sa.Connection, _summary: str, partition_key: str) -> int:
    """Give the version that ordering knows of a customer; 0 if it does not know them."""
    return connection.execute(CUSTOMER_VERSION, {"id": UUID(partition_key)}).scalar() or 0
