"""The published events of ordering: what other contexts, projections and the log may rely on.

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


class OrderStatus(StrEnum):
    """Where an order stands: Created -> Submitted -> Confirmed -> Completed; Cancelled from any of the first three."""

    CREATED = "Created"
    SUBMITTED = "Submitted"
    CONFIRMED = "Confirmed"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an order is shipped to; `country` is an ISO 3166-1 alpha-2 code."""

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
    """Lines were added, or lines that were there changed: each line is given as it stands now."""

    order_id: UUID
    customer_id: UUID
    currency: str
    lines: tuple[OrderLine, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderItemRemovedV1:
    """A line was taken out."""

    order_id: UUID
    customer_id: UUID
    currency: str
    product_id: UUID
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderShippingAddressChangedV1:
    """The order goes elsewhere."""

    order_id: UUID
    customer_id: UUID
    shipping_address: Address


@dataclass(frozen=True, slots=True)
class OrderSubmittedV1:
    """The same as OrderSubmittedV2, which it is read as; it is not written any more."""

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class SubmittedLine:
    """How many pieces of which product were ordered."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderSubmittedV2:
    """The customer placed the order; from now on its items are fixed.

    Attributes:
        lines: what was ordered; None where nobody noted it, for the event was written as OrderSubmittedV1.
    """

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal
    lines: tuple[SubmittedLine, ...] | None


@dataclass(frozen=True, slots=True)
class OrderStockChangedV1:
    """The same as OrderStockChangedV2, which it is read as; it is not written any more."""

    order_id: UUID
    customer_id: UUID
    product_id: UUID
    stock_version: int
    reserved: int
    waiting: int
    shipped: int


@dataclass(frozen=True, slots=True)
class OrderStockChangedV2:
    """The catalogue has, or lacks, pieces for a line; so the stock of its product is kept.

    Attributes:
        stock_version: the version of the stock that says so; what an earlier one says comes too late.
        reserved: pieces that lie ready.
        waiting: pieces that the line waits for.
        shipped: pieces that have left.
        alternatives: related products that were there when pieces were found missing, the closest first; None where
            nobody looked.
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
    """The order was called off; `was` is the status it had until then."""

    order_id: UUID
    customer_id: UUID
    currency: str | None
    total: Decimal
    was: OrderStatus
    reason: Personal


class OrderPaymentStatus(StrEnum):
    """What the payment of an order has come to; pending: its authorisation is not asked for yet."""

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
    """The order is to be paid with a token, or its payment has come to something.

    Attributes:
        payment_version: the version of the payment that says so, 0 before there is one; an earlier one comes too late.
        attempt: which token it is about, from 1.
        amount: what is to be paid.
        refunded: what was given back of it.
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
    """What the order says of its customer is gone; `status` is the one that it has, Completed or Cancelled."""

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


@dataclass(frozen=True, slots=True)
class AuthorisationAskedV1:
    """The fulfilment of an order asks that its amount be held.

    Attributes:
        token: what the customer's card is called by the provider.
        attempt: which token of this order it is, from 1.
    """

    order_id: UUID
    customer_id: UUID
    currency: str
    amount: Decimal
    token: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CaptureAskedV1:
    """It asks that what is held be taken: the order was fulfilled."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class VoidAskedV1:
    """It asks that nothing be taken, and what is held be let go: the order was cancelled."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class RefundAskedV1:
    """It asks that something be given back: the order was cancelled after it had been paid.

    Attributes:
        refund_id: names the refund; the same one again is the same refund.
        amount: how much; None is all that is left, and `currency` is None then.
    """

    order_id: UUID
    refund_id: UUID
    amount: Decimal | None
    currency: str | None


type FulfilmentEvent = AuthorisationAskedV1 | CaptureAskedV1 | VoidAskedV1 | RefundAskedV1
"""What the fulfilment of an order asks of payments. They are in a stream of their own, so that no version of the order
is theirs; see fulfilment_of."""


def fulfilment_of(order_id: UUID) -> UUID:
    """Name the stream of an order's fulfilment."""
    return uuid5(order_id, "fulfilment")


def submitted(event: OrderSubmittedV1) -> OrderSubmittedV2:
    """Read an event of before as one of today: nobody knows its lines from it."""
    return OrderSubmittedV2(event.order_id, event.customer_id, event.currency, event.total, lines=None)


def stock_changed(event: OrderStockChangedV1) -> OrderStockChangedV2:
    """Read an event of before as one of today: nobody looked for alternatives then."""
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
"""What events that are not written any more are read as."""

ON_TOPIC = (*get_args(OrderEvent.__value__), *get_args(FulfilmentEvent.__value__))
"""Every class of this context's topic: whoever listens to it meets all of them."""
