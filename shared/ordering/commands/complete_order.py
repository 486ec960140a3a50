"""Close an order as fulfilled."""

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.repository import Orders
from shared.story import ORDER_ID


class CompleteOrder(Input, json_schema_extra=example(orderId=ORDER_ID)):
    """Close a confirmed order as fulfilled, also one that is shipped in part and waits in vain for the rest."""

    order_id: Id


def complete_order(command: CompleteOrder, orders: Orders) -> Accepted:
    """Complete it; refused as Order.complete says."""
    order = orders.load(command.order_id)
    order.complete()
    return orders.save(order)
