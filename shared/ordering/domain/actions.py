"""The actions that an order allows in its present state: the order refuses by these rules, and clients see them.

The payment itself decides on paying and refunding. The rules here use what the order knows of its payment; the order
knows neither of refunds under way nor of the limit of 50 refunds.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.kernel.aggregate import MAX_CHANGES
from shared.ordering.events import OrderPaymentStatus, OrderStatus


class Action(StrEnum):
    """The actions on an order, by the names that clients know."""

    ADD_ITEM = "addItem"
    REMOVE_ITEM = "removeItem"
    CHANGE_SHIPPING_ADDRESS = "changeShippingAddress"
    SUBMIT = "submit"
    CONFIRM = "confirm"
    COMPLETE = "complete"
    CANCEL = "cancel"
    PAY = "pay"
    REFUND = "refund"


STATUSES = {
    Action.ADD_ITEM: (OrderStatus.CREATED,),
    Action.REMOVE_ITEM: (OrderStatus.CREATED,),
    Action.CHANGE_SHIPPING_ADDRESS: (OrderStatus.CREATED,),
    Action.SUBMIT: (OrderStatus.CREATED,),
    Action.CONFIRM: (OrderStatus.SUBMITTED,),
    Action.COMPLETE: (OrderStatus.CONFIRMED,),
    Action.CANCEL: (OrderStatus.CREATED, OrderStatus.SUBMITTED, OrderStatus.CONFIRMED),
    Action.PAY: (OrderStatus.SUBMITTED, OrderStatus.CONFIRMED, OrderStatus.COMPLETED, OrderStatus.CANCELLED),
    Action.REFUND: (OrderStatus.CONFIRMED, OrderStatus.COMPLETED, OrderStatus.CANCELLED),
}
"""The statuses in which an order allows each action."""

MAX_ATTEMPTS = 10
"""Tokens with which the payment of an order can be tried."""

TAKES_ANOTHER = (OrderPaymentStatus.ACTION_REQUIRED, OrderPaymentStatus.DECLINED, OrderPaymentStatus.LAPSED)
"""Statuses of a payment that can be tried with another token."""

CHANGES = (Action.ADD_ITEM, Action.REMOVE_ITEM, Action.CHANGE_SHIPPING_ADDRESS)
"""Actions that the limit of changes forbids (ADR 24)."""

PAYING = (Action.PAY, Action.REFUND)
"""Actions on the payment. That of a cancelled order of which nothing is shipped is voided, or refunded in full, without
a request."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The part of an order's state that decides which actions it allows.

    Attributes:
        version: of the order.
        has_lines: whether it has any items.
        has_reserved: whether pieces are reserved for it.
        has_waiting: whether it waits for pieces.
        has_shipped: whether pieces were shipped for it.
        payment: the status of its payment; None for an order on account.
        attempt: how many tokens the customer has given.
    """

    status: OrderStatus
    version: int
    has_lines: bool
    has_reserved: bool
    has_waiting: bool
    has_shipped: bool
    payment: OrderPaymentStatus | None
    attempt: int


def is_allowed(action: Action, standing: Standing) -> bool:
    """Whether an order in this state allows an action."""
    if standing.status not in STATUSES[action]:
        return False
    if action in CHANGES and standing.version >= MAX_CHANGES:
        return False
    if action in PAYING and standing.status is OrderStatus.CANCELLED and not standing.has_shipped:
        return False
    match action:
        case Action.REMOVE_ITEM | Action.SUBMIT:
            return standing.has_lines
        case Action.COMPLETE:
            # one that is shipped in part cannot be cancelled, and must not wait for ever for pieces that will not come
            return not standing.has_reserved and (standing.has_shipped or not standing.has_waiting)
        case Action.CANCEL:
            return not standing.has_shipped
        case Action.PAY:
            return standing.payment in TAKES_ANOTHER and standing.attempt < MAX_ATTEMPTS
        case Action.REFUND:
            return standing.payment is OrderPaymentStatus.CAPTURED
        case _:
            return True


def allowed(standing: Standing) -> list[Action]:
    """Give all actions that an order in this state allows."""
    return [action for action in Action if is_allowed(action, standing)]
