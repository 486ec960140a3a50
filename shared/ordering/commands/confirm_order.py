"""Accept an order that was submitted."""

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.repository import Orders
from shared.story import ORDER_ID


class ConfirmOrder(Input, json_schema_extra=example(orderId=ORDER_ID)):
    """Accept an order that was submitted."""

    order_id: Id


def confirm_order(command: ConfirmOrder, orders: Orders) -> Accepted:
    """Confirm it; refused as Order.confirm says."""
    order = orders.load(command.order_id)
    order.confirm()
    return orders.save(order)
