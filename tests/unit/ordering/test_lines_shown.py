"""What clients see of a line's stock, as pieces are reserved, awaited, shipped and released."""

from shared.ordering.domain.order import LineStock, Order
from shared.ordering.views.order_details import OrderItem, rendered
from shared.ordering.views.order_documents import document_of
from tests.support.offers import a_product, an_order, pieces
from tests.unit.messaging.test_stored_documents import recorded


def shown(order: Order) -> OrderItem:
    """Its only line."""
    [item] = rendered(document_of(recorded(order.pending_events))).items
    return item


def test_a_line_tells_how_many_pieces_have_left_and_what_the_others_wait_for() -> None:
    order = an_order(pieces(a_product(), 10))
    [product_id] = order.lines
    order.submit()
    assert (shown(order).stock, shown(order).shipped) == ("none", 0)
    seen = []
    for version, (reserved, waiting, shipped) in enumerate([(3, 7, 0), (10, 0, 0), (7, 0, 3), (0, 7, 3)], 2):
        order.take_stock(product_id, LineStock(version, reserved, waiting, shipped))
        seen.append((shown(order).stock, shown(order).shipped))
    assert seen == [("waiting", 0), ("reserved", 0), ("reserved", 3), ("waiting", 3)]


def test_a_line_of_which_a_part_has_left_and_the_rest_was_released_is_not_shipped() -> None:
    """An order that is shipped in part may be completed, and its customer was charged for all of it (ADR 41)."""
    order = an_order(pieces(a_product(), 10))
    [product_id] = order.lines
    order.submit()
    order.confirm()
    order.take_stock(product_id, LineStock(2, 0, 7, 3))
    order.complete()
    order.take_stock(product_id, LineStock(3, 0, 0, 3))
    assert (shown(order).stock, shown(order).shipped, shown(order).quantity) == ("shippedInPart", 3, 10)


def test_a_line_of_which_all_has_left_is_shipped() -> None:
    order = an_order(pieces(a_product(), 2))
    [product_id] = order.lines
    order.submit()
    order.confirm()
    order.take_stock(product_id, LineStock(2, 0, 0, 2))
    assert (shown(order).stock, shown(order).shipped) == ("shipped", 2)
