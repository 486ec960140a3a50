"""What the catalogue's events do to the documents of its read models: each event is shown by one of them."""

from shared.catalog.events import BoughtTogetherV1, ProductEvent, ProductRatedV1
from shared.catalog.views import product_details, product_ratings, related_products
from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import Change


def change(recorded: Recorded[ProductEvent]) -> Change:
    """What an event does, told from the event alone."""
    match recorded.event:
        case ProductRatedV1() as event:
            return product_ratings.change(Recorded(recorded.envelope, event))
        case BoughtTogetherV1() as event:
            return related_products.change(Recorded(recorded.envelope, event))
        case event:
            return product_details.change(Recorded(recorded.envelope, event))
