"""Place an order."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.events import TOKEN_PATTERN
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.repository import Orders
from shared.story import ORDER_ID


class Payment(Input):
    """A token of the payment provider, with which the order is paid; never a card's own data."""

    token: Annotated[str, StringConstraints(pattern=TOKEN_PATTERN)]


class SubmitOrder(Input, json_schema_extra=example(orderId=ORDER_ID)):
    """Place an order with at least one item; its items are fixed from now on."""

    order_id: Id
    payment: Payment | None = Field(
        default=None,
        description="what it is paid with, if it costs anything; without, it is on account: the shop confirms it",
    )


def submit_order(command: SubmitOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
    """Submit it, and begin its fulfilment; refused as Order.submit says."""
    order = orders.load(command.order_id)
    order.submit(paid=command.payment is not None)
    accepted = orders.save(order)
    fulfilments.begin(order.order_id, command.payment.token if command.payment else None)
    return accepted
