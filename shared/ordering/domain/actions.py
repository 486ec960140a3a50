"""What may be done with an order as it stands: the rules that the order refuses by, and that clients are shown.

What may be done with its payment (pay, refund) the payment decides; here is what follows from what the order knows of
it. Refunds that are under way, and that a payment takes 50 of them, the order does not know.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.kernel.aggregate import MAX_CHANGES
from shared.ordering.events import OrderPaymentStatus, OrderStatus


class Action(StrEnum):
    """What may be done with an order, by the names that clients know."""

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
    Action.PAY: (OrderStatus.SUBMITTED, OrderStatus.CONFIRMED, OrderStatus.COMPLETED),
    Action.REFUND: (OrderStatus.CONFIRMED, OrderStatus.COMPLETED),
}
"""In which statuses an order takes what. Of one that is cancelled all is given back without being asked for."""

CHANGES = (Action.ADD_ITEM, Action.REMOVE_ITEM, Action.CHANGE_SHIPPING_ADDRESS)
"""What an order takes only so often (ADR 24)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an order stands, as far as it decides what may be done.

    Attributes:
        version: of the order.
        has_lines: whether there is anything in it.
        has_pieces_left: whether pieces of it lie ready, or are waited for.
        payment: what its payment has come to; None for an order on account.
    """

    status: OrderStatus
    version: int
    has_lines: bool
    has_pieces_left: bool
    payment: OrderPaymentStatus | None


def is_allowed(action: Action, standing: Standing) -> bool:
    """Whether an order that stands so takes an action."""
    if standing.status not in STATUSES[action]:
        return False
    if action in CHANGES and standing.version >= MAX_CHANGES:
        return False
    match action:
        case Action.REMOVE_ITEM | Action.SUBMIT:
            return standing.has_lines
        case Action.COMPLETE:
            return not standing.has_pieces_left
        case Action.PAY:
            return standing.payment is OrderPaymentStatus.DECLINED
        case Action.REFUND:
            return standing.payment is OrderPaymentStatus.CAPTURED
        case _:
            return True


def allowed(standing: Standing) -> list[Action]:
    """Give all that it takes."""
    return [action for action in Action if is_allowed(action, standing)]
