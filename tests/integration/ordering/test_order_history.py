"""What an order was: folded from the log, whatever the clocks of the machines that wrote it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.frame.messaging.envelope import Metadata
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.views.order_details import ReadOrder
from shared.ordering.views.order_history import read_order_of_the_past
from tests.support.shop import Shop


def as_of(shop: Shop, order_id: UUID, customer_id: UUID, at: datetime) -> int:
    """The version that the order had."""
    query = ReadOrder(order_id=order_id, customer_id=customer_id, as_of=at)
    return read_order_of_the_past(shop.ordering_engine, shop.ordering_engine, query).version


def test_an_event_does_not_come_before_its_predecessors_because_a_clock_was_slow(shop: Shop) -> None:
    customer_id, product_id, other = shop.customer(), shop.product(), shop.product()
    order_id = shop.order(product_id, customer_id=customer_id)
    later = datetime.now(UTC) + timedelta(seconds=10)
    add = AddItem(order_id=order_id, product_id=other, quantity=1)
    shop.ordering.run(add_item, add, Metadata(at=later))
    remove = RemoveItem(order_id=order_id, product_id=other)
    shop.ordering.run(remove_item, remove, Metadata(at=later - timedelta(seconds=1)))

    assert as_of(shop, order_id, customer_id, later - timedelta(seconds=0.5)) == 1
    assert as_of(shop, order_id, customer_id, later) == 3
