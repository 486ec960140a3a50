"""What there is of a product: a document beside the product's, written by the stock's events."""

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
    """Name the document; it counts the versions of the stock."""
    return str(stock_of(product_id))


def gate(event: StockEvent, version: int, view: str) -> Create | Patch:
    """What an event does to the document. It says what there is after it, so a change reads nothing.

    Args:
        event: of the stock.
        version: the stock's by then.
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
    """Tell how many pieces nobody has reserved, by the stock's document; None where it is not kept."""
    return None if stock is None else int(stock["onHand"] - stock["reserved"])


def changes_of(stock: Mapping[str, Any] | None) -> int:
    """Count the changes of a stock's document: its versions, and how often it was healed; 0 where it is not kept."""
    return 0 if stock is None else int(stock["version"] + stock.get("changes", 0))
