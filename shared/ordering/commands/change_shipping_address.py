"""Change an order's shipping address while the order is open."""

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id
from shared.ordering import events
from shared.ordering.commands.create_order import ShippingAddress
from shared.ordering.repository import Orders
from shared.story import ORDER_ID


class ChangeShippingAddress(
    ShippingAddress,
    json_schema_extra=example(
        orderId=ORDER_ID, street="10 Downing Street", city="London", postalCode="SW1A 2AA", country="GB"
    ),
):
    """Change the shipping address of an order that is not submitted yet."""

    order_id: Id


def change_shipping_address(command: ChangeShippingAddress, orders: Orders) -> Accepted:
    """Change it; refused as Order.change_shipping_address says."""
    order = orders.load(command.order_id)
    order.change_shipping_address(events.Address(**command.model_dump(exclude={"order_id"})))
    return orders.save(order)
