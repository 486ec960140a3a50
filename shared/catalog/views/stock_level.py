"""The stock of a product: a document beside the product's, made of the stock's events."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shared.catalog.domain.stock import stock_of
from shared.catalog.events import StockEvent
from shared.frame.read_side.document_update import Create, Patch
from shared.frame.read_side.shape import Shapes

SHAPES = Shapes(
    what="The document of a product's stock", today=1, mend="Make the view anew: python3 dev.py rebuild products"
)
KIND = "stock"


def stock_document_of(product_id: UUID) -> str:
    """Give the document's id; the document counts the versions of the stock."""
    return str(stock_of(product_id))


def gate(event: StockEvent, version: int, view: str) -> Create | Patch:
    """Make an event's update of the document. The event has the new level, so the update need not read the old one.

    Args:
        event: of the stock.
        version: the stock's version after the event.
        view: the product's partition.
    """
    document_id = stock_document_of(event.product_id)
    level = {"onHand": event.level.on_hand, "reserved": event.level.reserved, "waiting": event.level.waiting}
    if version == 1:
        document = {"id": document_id, "view": view, "kind": KIND, "shape": SHAPES.today, "version": 1, **level}
        return Create(document, notes_times=False)
    operations = [{"op": "set", "path": f"/{name}", "value": pieces} for name, pieces in level.items()]
    return Patch(document_id, operations, SHAPES, notes_times=False)


def available(stock: Mapping[str, Any] | None) -> int | None:
    """Give the number of pieces that are not reserved, by the stock's document; None if no stock is kept."""
    return None if stock is None else int(stock["onHand"] - stock["reserved"])


def changes_of(stock: Mapping[str, Any] | None) -> int:
    """Count the changes of a stock's document: its versions, and its healings; 0 if no stock is kept."""
    return 0 if stock is None else int(stock["version"] + stock.get("changes", 0))
