"""The published events of ordering, on which other contexts, projections and the log rely.

A class here is never changed incompatibly. A new shape is a new class with the next version in its name and an upcast
from the one before; golden files hold a payload of each version. Amounts are in major units of the order's currency.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, get_args
from uuid import UUID, uuid5

from shared.kernel.personal import Personal

MAX_LINES = 1_000
"""Lines of an order."""


class OrderStatus(StrEnum):
    """The status of an order: Created -> Submitted -> Confirmed -> Completed; Cancelled from any of the first three."""

    CREATED = "Created"
    SUBMITTED = "Submitted"
    CONFIRMED = "Confirmed"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Address:
    """The shipping address of an order; `country` is an ISO 3166-1 alpha-2 code."""

    street: Personal
    city: Personal
    postal_code: Personal
    region: Personal | None = None
    country: Personal | None = None


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One product of an order.

    Attributes:
        number: its place in the order, from 1; never given out twice within an order.
        product_version: the version of the product that the name was taken from.
        quantity: how many pieces, after the event.
        unit_price: the price of one piece, for the whole line.
    """

    number: int
    product_id: UUID
    product_name: str
    product_version: int
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class OrderCreatedV1:
    """An order was opened for a customer; more lines than fit into one message follow in OrderItemsAddedV1.

    Attributes:
        customer_version: the version of the customer that the name was taken from.
        currency: None while there are no lines.
    """

    order_id: UUID
    customer_id: UUID
    customer_name: Personal
    customer_version: int
    shipping_address: Address
    currency: str | None
    lines: tuple[OrderLine, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderItemsAddedV1:
    """Lines were added or changed; the event has each of these lines in its new state."""

    order_id: UUID
    customer_id: UUID
    currency: str
    lines: tuple[OrderLine, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderItemRemovedV1:
    """A line was removed."""

    order_id: UUID
    customer_id: UUID
    currency: str
    product_id: UUID
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderShippingAddressChangedV1:
    """The order has another shipping address."""

    order_id: UUID
    customer_id: UUID
    shipping_address: Address


@dataclass(frozen=True, slots=True)
class OrderSubmittedV1:
    """The earlier version of OrderSubmittedV2, as which it is read; it is no longer written."""

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class SubmittedLine:
    """A product and the ordered number of pieces."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderSubmittedV2:
    """The customer placed the order; from now on its items are fixed.

    Attributes:
        lines: the ordered products; None if the event was written as OrderSubmittedV1, which did not have them.
    """

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal
    lines: tuple[SubmittedLine, ...] | None


@dataclass(frozen=True, slots=True)
class OrderStockChangedV1:
    """The earlier version of OrderStockChangedV2, as which it is read; it is no longer written."""

    order_id: UUID
    customer_id: UUID
    product_id: UUID
    stock_version: int
    reserved: int
    waiting: int
    shipped: int


@dataclass(frozen=True, slots=True)
class OrderStockChangedV2:
    """The stock for a line has changed; the stock of its product is kept.

    Attributes:
        stock_version: the version of the product's stock; news of an earlier version comes too late, but for
            alternatives, which are told once more at the same version.
        reserved: reserved pieces.
        waiting: pieces for which the line waits.
        shipped: shipped pieces.
        alternatives: related products that were available when pieces were missing, the closest first; None if there
            was no search for them.
    """

    order_id: UUID
    customer_id: UUID
    product_id: UUID
    stock_version: int
    reserved: int
    waiting: int
    shipped: int
    alternatives: tuple[UUID, ...] | None


@dataclass(frozen=True, slots=True)
class OrderConfirmedV1:
    """The shop accepted the order."""

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderCompletedV1:
    """The order was fulfilled."""

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderCancelledV1:
    """The order was cancelled; `was` is its status until then."""

    order_id: UUID
    customer_id: UUID
    currency: str | None
    total: Decimal
    was: OrderStatus
    reason: Personal


class OrderPaymentStatus(StrEnum):
    """The status of an order's payment; pending: its authorisation was not requested yet."""

    PENDING = "pending"
    REQUESTED = "requested"
    ACTION_REQUIRED = "actionRequired"
    DECLINED = "declined"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    LAPSED = "lapsed"
    VOIDED = "voided"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class OrderPaymentChangedV1:
    """The order is to be paid with a token, or the status of its payment has changed.

    Attributes:
        payment_version: the version of the payment, 0 before there is one; news of an earlier version comes too late,
            but for a later attempt, which is told once more at the same version.
        attempt: the number of the token, from 1.
        amount: the amount to pay.
        refunded: the refunded part of it.
    """

    order_id: UUID
    customer_id: UUID
    payment_version: int
    status: OrderPaymentStatus
    attempt: int
    currency: str
    amount: Decimal
    refunded: Decimal


@dataclass(frozen=True, slots=True)
class OrderErasedV1:
    """The order's personal data was erased; `status` is its status, Completed or Cancelled."""

    order_id: UUID
    customer_id: UUID
    status: OrderStatus


type OrderEvent = (
    OrderCreatedV1
    | OrderItemsAddedV1
    | OrderItemRemovedV1
    | OrderShippingAddressChangedV1
    | OrderSubmittedV2
    | OrderStockChangedV2
    | OrderPaymentChangedV1
    | OrderConfirmedV1
    | OrderCompletedV1
    | OrderCancelledV1
    | OrderErasedV1
)


TOKEN_PATTERN = "^[a-z]{1,20}_[A-Za-z0-9_]{1,200}$"  # noqa: S105  # a pattern, no token
"""The pattern of a token: the payment provider's id of a card."""


@dataclass(frozen=True, slots=True)
class AuthorisationAskedV1:
    """The fulfilment of an order requests the authorisation of its amount.

    Attributes:
        token: the payment provider's id of the customer's card.
        attempt: the number of the token of this order, from 1.
    """

    order_id: UUID
    customer_id: UUID
    currency: str
    amount: Decimal
    token: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CaptureAskedV1:
    """The fulfilment requests the capture of the authorised amount: the order was fulfilled."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class VoidAskedV1:
    """The fulfilment requests that the authorisation be voided: the order was cancelled."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class RefundAskedV1:
    """The fulfilment requests a refund: the order was cancelled after it had been paid.

    Attributes:
        refund_id: identifies the refund; a second request with the same id is the same refund.
        amount: the amount; None means all that is left, and `currency` is then None.
    """

    order_id: UUID
    refund_id: UUID
    amount: Decimal | None
    currency: str | None


type FulfilmentEvent = AuthorisationAskedV1 | CaptureAskedV1 | VoidAskedV1 | RefundAskedV1
"""The requests of an order's fulfilment to payments. They have a stream of their own, so that they count as no versions
of the order; see fulfilment_of."""


def fulfilment_of(order_id: UUID) -> UUID:
    """Give the id of the stream of an order's fulfilment."""
    return uuid5(order_id, "fulfilment")


def submitted(event: OrderSubmittedV1) -> OrderSubmittedV2:
    """Upcast an event; the earlier version does not have the lines."""
    return OrderSubmittedV2(event.order_id, event.customer_id, event.currency, event.total, lines=None)


def stock_changed(event: OrderStockChangedV1) -> OrderStockChangedV2:
    """Upcast an event; there was no search for alternatives then."""
    return OrderStockChangedV2(
        event.order_id,
        event.customer_id,
        event.product_id,
        event.stock_version,
        event.reserved,
        event.waiting,
        event.shipped,
        alternatives=None,
    )


UPCASTS: dict[type[Any], Callable[[Any], OrderEvent]] = {
    OrderSubmittedV1: submitted,
    OrderStockChangedV1: stock_changed,
}
"""The upcasts of events that are no longer written."""

ASKS = get_args(FulfilmentEvent.__value__)
"""Requests to other contexts, which no read model shows."""

ON_TOPIC = (*get_args(OrderEvent.__value__), *ASKS)
"""Every class of this context's topic; each subscriber receives all of them."""
