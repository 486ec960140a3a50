"""Orders are decided on what is so when they are committed: today's prices and names, not those of a moment before."""

from collections.abc import Iterator

import sqlalchemy as sa

from shared.frame.write_side.log_table import envelope_of
from shared.ordering.events import OrderCreatedV1, OrderItemsAddedV1
from shared.ordering.tables import CODEC, CUSTOMERS, LOG, PRODUCTS


def decided_on_what_was(connection: sa.Connection, after: int) -> Iterator[str]:
    """Find what the events behind this place say and is not so in the transaction that is about to commit them."""
    rows = connection.execute(sa.select(LOG.table).where(LOG.table.c.sequence > after)).all()
    for event in (CODEC.open(envelope_of(row)).event for row in rows):
        if isinstance(event, OrderCreatedV1):
            named = sa.select(CUSTOMERS.c.name).where(CUSTOMERS.c.customer_id == event.customer_id)
            if (name := connection.execute(named).scalar_one()) != event.customer_name:
                yield f"order {event.order_id} was created for {event.customer_name}, who was {name} by then"
        if isinstance(event, OrderCreatedV1 | OrderItemsAddedV1):
            for line in event.lines:
                offer = connection.execute(sa.select(PRODUCTS).where(PRODUCTS.c.product_id == line.product_id)).one()
                if (offer.name, offer.unit_price) != (line.product_name, line.unit_price):
                    now = f"{offer.name} for {offer.unit_price}"
                    yield f"{line.product_name} was ordered for {line.unit_price}, and was {now} by then"
