"""How far the log is with what the documents of orders and customers show: nobody waits for what is far beyond it."""

from uuid import UUID

import sqlalchemy as sa

from shared.ordering.tables import CUSTOMERS, LOG
from shared.ordering.views.customer_summary import SUMMARY

CUSTOMER_VERSION = sa.select(CUSTOMERS.c.name_version).where(
    CUSTOMERS.c.customer_id == sa.bindparam("id", type_=sa.Uuid)
)
"""A customer's log is the customers' own; ordering's copy is as far as their events have come."""


def version_in_log(connection: sa.Connection, document_id: str, partition_key: str) -> int:
    """Give the version that a document can come to; 0 if there is nothing to show in it."""
    if document_id == SUMMARY:
        return connection.execute(CUSTOMER_VERSION, {"id": UUID(partition_key)}).scalar() or 0
    return LOG.version(connection, UUID(document_id))
