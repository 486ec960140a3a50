"""Follow the catalogue: keep ordering's copy of names and prices as the catalogue's events say."""

from typing import assert_never

import sqlalchemy as sa

from shared.catalog.events import ProductAddedV1, ProductEvent, ProductPriceChangedV1, ProductRenamedV1
from shared.messaging.envelope import Recorded
from shared.ordering.copies import Copies
from shared.ordering.tables import INBOX


def follow_product(recorded: Recorded[ProductEvent], engine: sa.Engine) -> None:
    """Take over one event, once.

    Raises:
        NotCopiedYet: the product's first event has not arrived.
    """
    event, version = recorded.event, recorded.envelope.version
    with engine.begin() as connection:
        if not INBOX.receive(connection, recorded.envelope.event_id):
            return
        copies = Copies(connection)
        match event:
            case ProductAddedV1():
                copies.add_product(event.product_id, event.name, event.unit_price, event.currency, version)
            case ProductPriceChangedV1():
                copies.change_price(event.product_id, event.unit_price, version)
            case ProductRenamedV1():
                copies.rename_product(event.product_id, event.name, version)
            case _:
                assert_never(event)
