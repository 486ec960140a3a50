"""What an order makes of the catalogue's news about its lines, which come late, twice, and in any order."""

from datetime import UTC, datetime
from itertools import permutations
from uuid import uuid4

import pytest

from shared.catalog.domain.stock import Stock
from shared.catalog.events import StockAwaitedV2, StockReservedV1
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


@pytest.mark.parametrize("first_come", [0, 1])
def test_a_line_that_is_served_in_part_has_its_alternatives_whichever_news_comes_first(first_come: int) -> None:
    """What it waits for and what it got are two events of one change, and only the first one has alternatives."""
    order, other = confirmed(5), uuid4()
    [product_id] = order.lines
    stock = Stock.of(product_id)
    stock.receive(3)
    stock.reserve(order.order_id, 5, datetime.now(UTC), [other])
    news = list(enumerate(stock.pending_events, start=1))[1:]

    for version, event in (news[first_come], news[1 - first_come]):
        assert isinstance(event, StockAwaitedV2 | StockReservedV1)
        line = LineStock(version, event.line.reserved, event.line.waiting, event.line.shipped)
        order.take_stock(product_id, line, event.alternatives if isinstance(event, StockAwaitedV2) else None)

    changes = [event for event in order.pending_events if isinstance(event, OrderStockChangedV2)]
    assert [each.alternatives for each in changes if each.alternatives is not None] == [(other,)]
    assert order.stock == {product_id: LineStock(3, 3, 2, 0)}


def test_alternatives_that_come_late_are_none_to_a_line_that_waits_no_more_or_had_other_news() -> None:
    order = confirmed(5)
    [product_id] = order.lines
    for known in (LineStock(3, 5, 0, 0), LineStock(5, 3, 2, 0)):
        order.take_stock(product_id, known)
        order.take_stock(product_id, LineStock(2, 0, 2, 0), [uuid4()])
    assert len(order.pending_events) == 2


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
