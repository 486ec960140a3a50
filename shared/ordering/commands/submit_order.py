"""Place an order."""

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.repository import Orders
from shared.story import ORDER_ID


class SubmitOrder(Input, json_schema_extra=example(orderId=ORDER_ID)):
    """Place an order with at least one item; its items are fixed from now on."""

    order_id: Id


def submit_order(command: SubmitOrder, orders: Orders) -> Accepted:
    """Submit it; refused as Order.submit says."""
    order = orders.load(command.order_id)
    order.submit()
    return orders.save(order)
