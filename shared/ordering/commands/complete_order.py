"""Close an order as fulfilled."""

from shared.messaging.envelope import Accepted
from shared.ordering.repository import Orders
from shared.platform.examples import example
from shared.platform.input import Id, Input
from shared.story import ORDER_ID


class CompleteOrder(Input, json_schema_extra=example(orderId=ORDER_ID)):
    """Close a confirmed order as fulfilled."""

    order_id: Id


def complete_order(command: CompleteOrder, orders: Orders) -> Accepted:
    """Complete it; refused as Order.complete says."""
    order = orders.load(command.order_id)
    order.complete()
    return orders.save(order)
