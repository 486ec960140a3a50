"""Projects the catalogue's events into the documents of products, stock and ratings."""

from shared.catalog.events import BoughtTogetherV1, CatalogEvent, ProductRatedV1
from shared.catalog.views import product_details, product_ratings, related_products
from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import DocumentUpdate


def project(recorded: Recorded[CatalogEvent]) -> DocumentUpdate:
    """Make the document update of an event from the event alone."""
    match recorded.event:
        case ProductRatedV1() as event:
            return product_ratings.project(Recorded(recorded.envelope, event))
        case BoughtTogetherV1() as event:
            return related_products.project(Recorded(recorded.envelope, event))
        case event:
            return product_details.project(Recorded(recorded.envelope, event))
