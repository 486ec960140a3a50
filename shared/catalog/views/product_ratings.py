"""The ratings of a product: a small document for each rating, and their sum and count in the product's document.

Both change in one batch. The rating's document counts the rating's versions, so that each event is added once. The
event says by how much the rating has changed, and the sum is incremented by that: many customers can rate at once, and
no update has to read the sum.
"""

from typing import Any

from shared.catalog.events import ProductRatedV1
from shared.catalog.views import product_details
from shared.catalog.views.product_details import partition_key_of
from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import Create, DocumentUpdate, Patch
from shared.frame.read_side.shape import Shapes

SHAPES = Shapes(what="The document of a rating", today=1, mend="Make the view anew: python3 dev.py rebuild products")


def project(recorded: Recorded[ProductRatedV1]) -> DocumentUpdate:
    """Make an event's update of the rating's document and of the product's."""
    event, id_ = recorded.event, str(recorded.envelope.aggregate_id)
    gate: Create | Patch
    if event.before is None:
        gate = Create(
            {
                "id": id_,
                "view": partition_key_of(event.product_id),
                "shape": SHAPES.today,
                "version": 1,
                "rating": event.rating,
            }
        )
    else:
        gate = Patch(id_, [{"op": "set", "path": "/rating", "value": event.rating}], SHAPES)
    added: list[dict[str, Any]] = [
        {"op": "incr", "path": "/ratingSum", "value": event.rating - (event.before or 0)},
        {"op": "incr", "path": "/ratingCount", "value": int(event.before is None)},
    ]
    return DocumentUpdate(
        partition_key_of(event.product_id), gate, [product_details.patch(event.product_id, *added)], event.product_id
    )
