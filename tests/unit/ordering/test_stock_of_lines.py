"""What an order makes of the catalogue's news about its lines, which come late, twice, and in any order."""

from itertools import permutations
from uuid import uuid4

import pytest

from shared.ordering.domain.errors import OrderNotInStatus, OrderNotShipped
from shared.ordering.domain.order import LineStock, Order
from shared.ordering.events import OrderCompletedV1, OrderStatus, OrderStockChangedV2
from tests.support.offers import a_product, an_order, an_order_that_is, pieces

NEWS = [LineStock(2, 1, 2, 0), LineStock(3, 3, 0, 0), LineStock(4, 0, 0, 3)]
"""Some reserved, all reserved, all shipped."""


def confirmed(*quantities: int) -> Order:
    """A confirmed order of one product for each quantity."""
    order = an_order(*(pieces(a_product(), quantity) for quantity in quantities))
    order.submit()
    order.confirm()
    order.pending_events.clear()
    return order


def status(order: Order) -> OrderStatus:
    return order.status  # the type checker takes an attribute for unchanged


@pytest.mark.parametrize("order_of_news", list(permutations(NEWS)), ids=lambda news: str([it.version for it in news]))
def test_the_newest_news_of_a_line_counts_whichever_comes_last(order_of_news: tuple[LineStock, ...]) -> None:
    order = confirmed(3)
    [product_id] = order.lines
    for news in (*order_of_news, *order_of_news):
        order.take_stock(product_id, news)
    assert order.stock == {product_id: NEWS[-1]}
    versions = [event.stock_version for event in order.pending_events if isinstance(event, OrderStockChangedV2)]
    assert versions == sorted(set(versions)), "nothing is recorded that is known, or older than that"
    assert status(order) is OrderStatus.COMPLETED
    assert sum(isinstance(event, OrderCompletedV1) for event in order.pending_events) == 1


def test_news_of_a_product_that_the_order_has_no_line_of_changes_nothing() -> None:
    order = confirmed(3)
    order.take_stock(uuid4(), NEWS[0])
    assert (order.pending_events, order.stock) == ([], {})


def test_an_order_is_completed_when_the_last_of_its_lines_is_shipped_whole() -> None:
    order = confirmed(3, 1)
    first, second = order.lines
    order.take_stock(first, LineStock(2, 1, 0, 2))
    order.take_stock(second, LineStock(2, 0, 0, 1))
    assert status(order) is OrderStatus.CONFIRMED
    with pytest.raises(OrderNotShipped, match="1 items"):
        order.complete()
    order.take_stock(first, LineStock(3, 0, 0, 3))
    assert status(order) is OrderStatus.COMPLETED


def test_an_order_of_which_pieces_are_shipped_is_not_cancelled() -> None:
    order = confirmed(3, 1)
    first, second = order.lines
    order.take_stock(first, LineStock(2, 3, 0, 0))
    order.take_stock(second, LineStock(2, 0, 0, 1))
    events = list(order.pending_events)
    with pytest.raises(OrderNotInStatus, match=f"pieces of product {second} are shipped") as refused:
        order.cancel("changed my mind")
    assert refused.value.code == "order-status"
    assert (order.pending_events, status(order)) == (events, OrderStatus.CONFIRMED)


def test_an_order_whose_last_pieces_will_not_come_is_completed_without_them() -> None:
    """It cannot be cancelled: pieces of it are shipped."""
    order = confirmed(3)
    [product_id] = order.lines
    order.take_stock(product_id, LineStock(2, 1, 1, 1))
    with pytest.raises(OrderNotShipped, match="1 items"):
        order.complete()
    order.take_stock(product_id, LineStock(3, 0, 2, 1))
    order.complete()
    assert status(order) is OrderStatus.COMPLETED


@pytest.mark.parametrize("status", [OrderStatus.SUBMITTED, OrderStatus.CANCELLED, OrderStatus.COMPLETED])
def test_an_order_that_is_not_confirmed_notes_the_news_and_stays_what_it_is(status: OrderStatus) -> None:
    order = an_order_that_is(status)
    [product_id] = order.lines
    order.take_stock(product_id, LineStock(2, 0, 0, 1))
    assert order.stock == {product_id: LineStock(2, 0, 0, 1)}
    assert order.status is status


def test_a_line_whose_stock_is_not_kept_is_completed_by_hand() -> None:
    order = confirmed(1, 1)
    kept, _ = order.lines
    order.take_stock(kept, LineStock(2, 0, 0, 1))
    assert status(order) is OrderStatus.CONFIRMED
    order.complete()
    assert status(order) is OrderStatus.COMPLETED
