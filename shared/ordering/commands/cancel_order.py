"""Cancel an order."""

from typing import Annotated

from pydantic import StringConstraints

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Text
from shared.kernel.personal import PERSONAL
from shared.ordering.repository import Orders
from shared.story import ORDER_ID


class CancelOrder(Input, json_schema_extra=example(orderId=ORDER_ID, reason="Ordered twice")):
    """Cancel an order that is not completed and of which nothing is shipped, and give the reason."""

    order_id: Id
    reason: Annotated[Text, StringConstraints(min_length=1, max_length=500), PERSONAL]


def cancel_order(command: CancelOrder, orders: Orders) -> Accepted:
    """Cancel it; refused as Order.cancel says."""
    order = orders.load(command.order_id)
    order.cancel(command.reason)
    return orders.save(order)
