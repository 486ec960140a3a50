"""Take an item out of an order that is still open."""

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.repository import Orders
from shared.story import ORDER_ID, PRODUCT_ID


class RemoveItem(Input, json_schema_extra=example(orderId=ORDER_ID, productId=PRODUCT_ID)):
    """Take out all pieces of a product."""

    order_id: Id
    product_id: Id


def remove_item(command: RemoveItem, orders: Orders) -> Accepted:
    """Remove the item; refused as Order.remove says."""
    order = orders.load(command.order_id)
    order.remove(command.product_id)
    return orders.save(order)
