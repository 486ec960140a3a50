"""An aggregate takes so many changes, and then none; what ends its life is still done."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.catalog.domain.product import Product
from shared.customers.domain.customer import Customer
from shared.kernel.aggregate import MAX_CHANGES, Aggregate
from shared.kernel.money import Money
from shared.kernel.refusals import ClosedForChanges
from shared.ordering.domain.order import Order
from shared.ordering.events import MAX_LINES, OrderStatus
from tests.support.offers import a_product, an_order, an_order_that_is, pieces


def a_new_product() -> Product:
    return Product.add(a_product().product_id, "Tea", "", Money(Decimal("1.00"), "EUR"), "Things")


def a_new_customer() -> Customer:
    return Customer.register(a_product().product_id, "Ada", "ada@example.org")


def changed[Some: Aggregate[Any]](aggregate: Some, times: int) -> Some:
    """The aggregate as if it had been changed this often, and saved."""
    aggregate.version, aggregate.pending_events = times, []
    return aggregate


@pytest.mark.parametrize(
    "change",
    [
        lambda: changed(an_order(), MAX_CHANGES).add([pieces(a_product())]),
        lambda: changed(a_new_product(), MAX_CHANGES).rename("Green tea"),
        lambda: changed(a_new_product(), MAX_CHANGES).change_price(Money(Decimal(2), "EUR")),
        lambda: changed(a_new_customer(), MAX_CHANGES).rename("Grace"),
    ],
)
def test_what_has_changed_often_enough_is_closed_for_changes(change: Callable[[], None]) -> None:
    with pytest.raises(ClosedForChanges, match=r"changed 10,000 times.*at most 10,000") as refused:
        change()
    assert refused.value.code == "closed-for-changes"


def test_an_item_is_not_taken_out_of_an_order_that_is_closed_for_changes() -> None:
    order, tea = an_order(), a_product()
    order.add([pieces(tea)])
    changed(order, MAX_CHANGES)
    with pytest.raises(ClosedForChanges):
        order.remove(tea.product_id)
    assert (order.version, order.pending_events) == (MAX_CHANGES, [])
    assert tea.product_id in order.lines


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (OrderStatus.CREATED, Order.submit),
        (OrderStatus.SUBMITTED, Order.confirm),
        (OrderStatus.CONFIRMED, Order.complete),
        *((status, lambda order: order.cancel("enough")) for status in list(OrderStatus)[:3]),
    ],
)
def test_an_order_that_is_closed_for_changes_still_goes_its_way(
    status: OrderStatus, step: Callable[[Order], None]
) -> None:
    order = changed(an_order_that_is(status), MAX_CHANGES + 3)
    step(order)
    assert order.version == MAX_CHANGES + 4


def test_the_last_change_that_is_taken_is_carried_out_as_a_whole() -> None:
    order = changed(an_order(), MAX_CHANGES - 1)
    order.add([pieces(a_product()) for _ in range(MAX_LINES)])
    assert len(order.lines) == MAX_LINES
