"""Follow the customers: keep ordering's copy of their names as their events say."""

from typing import assert_never

import sqlalchemy as sa

from shared.customers.events import CustomerEvent, CustomerRegisteredV1, CustomerRenamedV1
from shared.messaging.envelope import Recorded
from shared.ordering.copies import Copies
from shared.ordering.tables import INBOX


def follow_customer(recorded: Recorded[CustomerEvent], engine: sa.Engine) -> None:
    """Take over one event, once.

    Raises:
        NotCopiedYet: the customer's first event has not arrived.
    """
    event, version = recorded.event, recorded.envelope.version
    with engine.begin() as connection:
        if not INBOX.receive(connection, recorded.envelope.event_id):
            return
        copies = Copies(connection)
        match event:
            case CustomerRegisteredV1():
                copies.add_customer(event.customer_id, event.name, version)
            case CustomerRenamedV1():
                copies.rename_customer(event.customer_id, event.name, version)
            case _:
                assert_never(event)
