"""What a refusal says is part of the answer: it names the order or product, what is forbidden, and what would do."""

from collections.abc import Callable
from uuid import UUID

import pytest

from shared.kernel.money import MAX_MINOR_UNITS
from shared.kernel.refusals import Refusal
from shared.ordering.domain.order import LINES_PER_EVENT, MAX_QUANTITY, Order
from shared.ordering.events import MAX_LINES, OrderItemsAddedV1, OrderStatus
from tests.support.offers import ADDRESS, a_product, an_order, an_order_that_is, pieces

UNKNOWN = UUID(int=7)
TEA = a_product("12.50")


def said(act: Callable[[], None]) -> str:
    """What the refusal says, in its answer and in a log alike."""
    with pytest.raises(Refusal) as caught:
        act()
    assert str(caught.value) == caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize(
    ("act", "done", "allowed", "status"),
    [
        (lambda order: order.add([pieces(TEA)]), "changed", "Created", OrderStatus.SUBMITTED),
        (lambda order: order.remove(UNKNOWN), "changed", "Created", OrderStatus.SUBMITTED),
        (lambda order: order.change_shipping_address(ADDRESS), "sent elsewhere", "Created", OrderStatus.SUBMITTED),
        (lambda order: order.submit(), "submitted", "Created", OrderStatus.CONFIRMED),
        (lambda order: order.confirm(), "confirmed", "Submitted", OrderStatus.CREATED),
        (lambda order: order.complete(), "completed", "Confirmed", OrderStatus.SUBMITTED),
        (lambda order: order.cancel("no"), "cancelled", "Created or Submitted or Confirmed", OrderStatus.COMPLETED),
    ],
)
def test_a_wrong_status_is_told_with_the_right_ones(
    act: Callable[[Order], None], done: str, allowed: str, status: OrderStatus
) -> None:
    order = an_order_that_is(status)
    told = f"Order {order.order_id} is {status}; only an order that is {allowed} can be {done}."
    assert said(lambda: act(order)) == told


def test_what_is_not_in_the_order_is_named() -> None:
    order = an_order(pieces(TEA))
    told = f"Order {order.order_id} has no item with product {UNKNOWN}."
    assert said(lambda: order.remove(UNKNOWN)) == told


def test_an_empty_order_is_told_to_be_empty() -> None:
    order = an_order()
    assert said(order.submit) == f"Order {order.order_id} has no items."


def test_a_price_that_changed_is_told_in_general_and_for_each_item() -> None:
    def order() -> None:
        an_order(pieces(TEA, expected="1.00"))

    assert said(order) == "A price is not what the caller expected."


def test_limits_are_told_with_what_would_break_them() -> None:
    order, dear = an_order(), a_product("10000000000.00")
    many = [pieces(a_product()) for _ in range(MAX_LINES + 1)]
    assert said(lambda: order.add(many)) == "An order has at most 1000 lines; this one would have 1001."
    told = f"A line has at most 10000 pieces; product {TEA.product_id} would have 10001."
    assert said(lambda: order.add([pieces(TEA, MAX_QUANTITY + 1)])) == told
    told = "An order's total is at most 10000000000.00 EUR; this one would be 20000000000.00."
    assert MAX_MINOR_UNITS == 10**12
    assert said(lambda: order.add([pieces(dear, 2)])) == told


def test_currencies_that_do_not_mix_are_named() -> None:
    order = an_order(pieces(TEA))
    told = "The order's currency is EUR; it takes no other."
    assert said(lambda: order.add([pieces(a_product("1.00", "USD"))])) == told


def test_every_event_of_a_large_order_names_the_order_and_its_customer() -> None:
    order = an_order(*(pieces(a_product("1.00")) for _ in range(2 * LINES_PER_EVENT + 1)))
    _, *added = order.pending_events
    assert [len(event.lines) for event in added if isinstance(event, OrderItemsAddedV1)] == [LINES_PER_EVENT, 1]
    for event in added:
        assert (event.order_id, event.customer_id) == (order.order_id, order.customer_id)
