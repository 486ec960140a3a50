"""Real faults of a running system, and the marks that they leave."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

from shared.frame.messaging.envelope import Envelope
from tests.support.envelopes import an_envelope
from tests.support.publishing import publish
from tests.support.stack import Stack

COPY, VIEW = "product-events/ordering", "product-events/product-views"
GIVEN_UP_AFTER = timedelta(seconds=2)


def renamed(product_id: UUID) -> Envelope:
    """A product's second event."""
    payload = f'{{"productId": "{product_id}", "name": "Samovar"}}'
    event = an_envelope("ProductRenamedV1", product_id, 2, payload)
    return replace(event, correlation_id=f"renaming-{product_id}")


def poison(stack: Stack, count: int = 1) -> list[Envelope]:
    """Publish second events of products that there are not: their consumers fail on them until they are given up.

    They soon expire: ten deliveries would take minutes, for consumers wait for the first event.
    """
    events = [renamed(uuid4()) for _ in range(count)]
    publish(stack, "catalog", *events, expire_after=GIVEN_UP_AFTER)
    return events
