"""What the fulfilment of an order asks of payments, sent as ordering sends it."""

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope
from shared.ordering.events import ASKS, FulfilmentEvent, OrderErasedV1, fulfilment_of
from tests.support.envelopes import an_envelope
from tests.support.publishing import publish
from tests.support.stack import Stack

CODEC = EventCodec[FulfilmentEvent | OrderErasedV1]((*ASKS, OrderErasedV1))


def envelope_of(event: FulfilmentEvent | OrderErasedV1) -> Envelope:
    """An event in an envelope of its own."""
    stream = event.order_id if isinstance(event, OrderErasedV1) else fulfilment_of(event.order_id)
    return an_envelope(type(event).__name__, stream, payload=CODEC.encode(event).decode())


def ask(stack: Stack, *events: FulfilmentEvent) -> None:
    """Send requests to the topic of ordering's events."""
    publish(stack, "ordering", *map(envelope_of, events))
