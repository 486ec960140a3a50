"""The version that the log has for each document of orders and customers, so that no query waits in vain."""

from uuid import UUID

import sqlalchemy as sa

from shared.ordering.tables import CUSTOMERS, LOG
from shared.ordering.views.customer_summary import SUMMARY

CUSTOMER_VERSION = sa.select(CUSTOMERS.c.name_version).where(
    CUSTOMERS.c.customer_id == sa.bindparam("id", type_=sa.Uuid)
)
"""The log of customers belongs to another context; ordering's copy has the version of the last event that came."""


def version_in_log(connection: sa.Connection, document_id: str, partition_key: str) -> int:
    """Give the version that the log has for a document; 0 if it has nothing for it."""
    if document_id == SUMMARY:
        return connection.execute(CUSTOMER_VERSION, {"id": UUID(partition_key)}).scalar() or 0
    return LOG.version(connection, UUID(document_id))
