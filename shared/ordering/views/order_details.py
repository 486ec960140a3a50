"""The order as its customer sees it: one document, written by the order's events, read by id."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, assert_never
from uuid import UUID

from pydantic import Field

from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Moment, OwnerId, QueryInput, Version
from shared.frame.platform.output import Amount, Answer, Time, amount
from shared.frame.platform.times import utc_text
from shared.frame.read_side.document_update import Create, Patch, with_projected
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import Wait, read_at_least
from shared.frame.read_side.shape import Shapes
from shared.kernel.money import Money
from shared.kernel.personal import ERASED
from shared.ordering.domain.actions import Action, Standing, allowed
from shared.ordering.domain.errors import OrderNotFound
from shared.ordering.domain.order import NOWHERE
from shared.ordering.events import (
    Address,
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderCreatedV1,
    OrderErasedV1,
    OrderEvent,
    OrderItemRemovedV1,
    OrderItemsAddedV1,
    OrderLine,
    OrderPaymentChangedV1,
    OrderPaymentStatus,
    OrderShippingAddressChangedV1,
    OrderStatus,
    OrderStockChangedV2,
    OrderSubmittedV2,
)
from shared.ordering.fulfilment.decisions import Capture, Deadline, FulfilmentFacts, PaymentFact
from shared.ordering.fulfilment.status_facts import ORDER_FACTS, PAYMENT_FACTS
from shared.story import CUSTOMER_ID, ORDER_ID


def _with_payment(document: Mapping[str, Any]) -> dict[str, Any]:
    """Mark an old document as an order on account, as all orders then were."""
    return {**document, "payment": None}


def _with_attempt(document: Mapping[str, Any]) -> dict[str, Any]:
    """Count the tokens of an old document as one; healing finds out how many they were."""
    payment = document["payment"]
    return {**document, "payment": payment and {**payment, "attempt": 1}}


SHAPES = Shapes(
    what="An order's document",
    today=4,
    mend="Make the view anew: python3 dev.py rebuild orders",
    upcasts={1: with_projected, 2: _with_payment, 3: _with_attempt},
)


class DeliveryAddress(Answer):
    """Where the order goes."""

    street: str
    city: str
    postal_code: str
    region: str | None
    country: str | None


class LineStatus(StrEnum):
    """The stock of a line: none is kept or reserved, all pieces that are here are reserved, or some are awaited.

    Or no piece is here any more: all are shipped, or a part is, and the rest was released.
    """

    NONE = "none"
    RESERVED = "reserved"
    WAITING = "waiting"
    SHIPPED = "shipped"
    SHIPPED_IN_PART = "shippedInPart"


class OrderItem(Answer):
    """One line of an order, of whose `quantity` so many pieces are `shipped`.

    If it waits for pieces, `alternatives` are related products that were available then.
    """

    product_id: UUID
    product_name: str
    quantity: int
    unit_price: Amount
    amount: Amount
    stock: LineStatus
    shipped: int
    alternatives: list[UUID]


class PaymentDetails(Answer):
    """The payment of an order: `refunded` is the refunded part of `amount`."""

    status: OrderPaymentStatus
    amount: Amount
    refunded: Amount


class OrderDetails(Answer):
    """An order with its items, in the order in which they were added.

    `payment` is null for an order on account. `waitsFor` says what its fulfilment waits for. `allowedActions` are the
    actions that its state allows; the caller's role may allow fewer.
    """

    order_id: UUID
    customer_id: UUID
    customer_name: str
    status: OrderStatus
    version: int
    currency: str | None
    total: Amount
    items: list[OrderItem]
    shipping_address: DeliveryAddress
    created_at: Time
    submitted_at: Time | None
    confirmed_at: Time | None
    completed_at: Time | None
    cancelled_at: Time | None
    cancel_reason: str | None
    payment: PaymentDetails | None
    waits_for: str
    allowed_actions: list[Action]


class ReadOrder(QueryInput, json_schema_extra=example(orderId=ORDER_ID, customerId=CUSTOMER_ID)):
    """An order in full."""

    order_id: Id
    customer_id: OwnerId
    min_version: Version | None = None
    as_of_version: Version | None = Field(default=None, description="as it was at this version")
    as_of: Moment | None = Field(default=None, description="as it was at this time")

    @property
    def of_the_past(self) -> bool:
        """Whether the log answers it, not the read model."""
        return self.as_of_version is not None or self.as_of is not None


def project(recorded: Recorded[OrderEvent]) -> Create | Patch:  # noqa: C901  # one case for each event
    """Make an event's update of the order's document."""
    event, at = recorded.event, utc_text(recorded.envelope.occurred_at)
    match event:
        case OrderCreatedV1():
            return Create(_opened(event, at))
        case OrderItemsAddedV1():
            lines = [_set(f"/items/{line.product_id}", _line(line, event.currency)) for line in event.lines]
            operations = [*lines, _set("/currency", event.currency), _set_total(event)]
        case OrderItemRemovedV1():
            operations = [{"op": "remove", "path": f"/items/{event.product_id}"}, _set_total(event)]
        case OrderShippingAddressChangedV1():
            operations = [_set("/shippingAddress", _address(event.shipping_address))]
        case OrderSubmittedV2():
            operations = [_set("/status", OrderStatus.SUBMITTED), _set("/submittedAt", at)]
        case OrderStockChangedV2():
            operations = _stock(event)
        case OrderPaymentChangedV1():
            payment = {
                "status": event.status,
                "attempt": event.attempt,
                "amount": Money(event.amount, event.currency).minor,
                "refunded": Money(event.refunded, event.currency).minor,
            }
            operations = [_set("/payment", payment)]
        case OrderConfirmedV1():
            operations = [_set("/status", OrderStatus.CONFIRMED), _set("/confirmedAt", at)]
        case OrderCompletedV1():
            operations = [_set("/status", OrderStatus.COMPLETED), _set("/completedAt", at)]
        case OrderCancelledV1():
            operations = [
                _set("/status", OrderStatus.CANCELLED),
                _set("/cancelledAt", at),
                _set("/cancelReason", event.reason),
            ]
        case OrderErasedV1():
            operations = [_set("/shippingAddress", _address(NOWHERE))]
            if event.status is OrderStatus.CANCELLED:
                operations.append(_set("/cancelReason", ERASED))
        case _:
            assert_never(event)
    return Patch(str(event.order_id), operations, SHAPES)


async def read_order(served: Served, query: ReadOrder, wait: Wait) -> tuple[OrderDetails, int]:
    """Read an order and its version.

    Raises:
        OrderNotFound: the customer has no such order, or none that has been projected yet.
        UnreadableShape: another release wrote it.
        Unavailable: it is not at `min_version` in time.
    """
    document = await read_at_least(
        served.container, str(query.order_id), str(query.customer_id), query.min_version, wait
    )
    if document is None:
        raise OrderNotFound(f"Customer {query.customer_id} has no order {query.order_id}.")
    return rendered(SHAPES.read(document)), document["version"]


def rendered(document: Mapping[str, Any]) -> OrderDetails:
    """Show a document."""
    currency = document["currency"]
    lines = sorted(document["items"].items(), key=lambda entry: entry[1]["number"])
    return OrderDetails(
        order_id=document["id"],
        customer_id=document["customerId"],
        customer_name=document["customerName"],
        status=document["status"],
        version=document["version"],
        currency=currency,
        total=amount(document["total"], currency),
        items=[_item(product_id, line, currency) for product_id, line in lines],
        shipping_address=DeliveryAddress.model_validate(document["shippingAddress"]),
        created_at=document["createdAt"],
        submitted_at=document["submittedAt"],
        confirmed_at=document["confirmedAt"],
        completed_at=document["completedAt"],
        cancelled_at=document["cancelledAt"],
        cancel_reason=document["cancelReason"],
        payment=_payment(document),
        waits_for=_waits_for(document),
        allowed_actions=allowed(_standing(document)),
    )


def _item(product_id: str, line: Mapping[str, Any], currency: str | None) -> OrderItem:
    status = _line_status(line)
    return OrderItem(
        product_id=product_id,
        product_name=line["productName"],
        quantity=line["quantity"],
        unit_price=amount(line["unitPrice"], currency),
        amount=amount(line["quantity"] * line["unitPrice"], currency),
        stock=status,
        shipped=line.get("stock", {}).get("shipped", 0),
        alternatives=line.get("alternatives", []) if status is LineStatus.WAITING else [],
    )


def _payment(document: Mapping[str, Any]) -> PaymentDetails | None:
    payment, currency = document["payment"], document["currency"]
    if payment is None:
        return None
    return PaymentDetails(
        status=payment["status"],
        amount=amount(payment["amount"], currency),
        refunded=amount(payment["refunded"], currency),
    )


def _standing(document: Mapping[str, Any]) -> Standing:
    """Give the order's standing, as the aggregate itself does."""
    stock = [line["stock"] for line in document["items"].values() if "stock" in line]
    reserved, waiting, shipped = (any(each[name] for each in stock) for name in ("reserved", "waiting", "shipped"))
    paid, status = document["payment"], OrderStatus(document["status"])
    payment, attempt = (None, 0) if paid is None else (OrderPaymentStatus(paid["status"]), paid["attempt"])
    return Standing(status, document["version"], bool(document["items"]), reserved, waiting, shipped, payment, attempt)


def _waits_for(document: Mapping[str, Any]) -> str:
    """Tell what the fulfilment waits for, as far as the document knows.

    The document does not know which lines have no stock kept: they count as reserved, except for an order whose payment
    waits. Nor does it hear whether the catalogue has said by now that nothing was shipped of an order that was
    confirmed before it was cancelled.
    """
    payment = document["payment"]
    fact = PaymentFact.NONE if payment is None else PAYMENT_FACTS[OrderPaymentStatus(payment["status"])]
    awaited = any(line.get("stock", {}).get("waiting") for line in document["items"].values())
    status, standing = OrderStatus(document["status"]), _standing(document)
    known = FulfilmentFacts(
        order=ORDER_FACTS[status],
        paid=payment is not None,
        stock=not awaited and (payment is None or fact is not PaymentFact.NONE),
        any_shipped=standing.has_shipped or (None if document["confirmedAt"] else False),
        payment=fact,
        asked=frozenset({Capture()} if fact is PaymentFact.CAPTURED else ()),
    )
    if known.deadline is Deadline.SETTLEMENT:
        return f"{replace(known, any_shipped=False).waits_for}, unless anything was shipped"
    return known.waits_for


def _line_status(line: Mapping[str, Any]) -> LineStatus:
    match line.get("stock"):
        case {"waiting": int(waiting)} if waiting:
            return LineStatus.WAITING
        case {"reserved": int(reserved)} if reserved:
            return LineStatus.RESERVED
        case {"shipped": int(shipped)} if shipped:
            return LineStatus.SHIPPED if shipped == line["quantity"] else LineStatus.SHIPPED_IN_PART
        case _:
            return LineStatus.NONE


def _opened(event: OrderCreatedV1, at: str) -> dict[str, Any]:
    currency = event.currency
    return {
        "id": str(event.order_id),
        "customerId": str(event.customer_id),
        "kind": "order",
        "shape": SHAPES.today,
        "version": 1,
        "renames": 0,
        "customerName": event.customer_name,
        "customerVersion": event.customer_version,
        "status": OrderStatus.CREATED,
        "currency": currency,
        "total": 0 if currency is None else Money(event.total, currency).minor,
        "items": {} if currency is None else {str(line.product_id): _line(line, currency) for line in event.lines},
        "shippingAddress": _address(event.shipping_address),
        "createdAt": at,
        "submittedAt": None,
        "confirmedAt": None,
        "completedAt": None,
        "cancelledAt": None,
        "cancelReason": None,
        "payment": None,
    }


def _address(address: Address) -> dict[str, Any]:
    return {
        "street": address.street,
        "city": address.city,
        "postalCode": address.postal_code,
        "region": address.region,
        "country": address.country,
    }


def _line(line: OrderLine, currency: str) -> dict[str, Any]:
    return {
        "number": line.number,
        "productName": line.product_name,
        "productVersion": line.product_version,
        "quantity": line.quantity,
        "unitPrice": Money(line.unit_price, currency).minor,
    }


def _stock(event: OrderStockChangedV2) -> list[dict[str, Any]]:
    item = f"/items/{event.product_id}"
    stock = _set(f"{item}/stock", {"reserved": event.reserved, "waiting": event.waiting, "shipped": event.shipped})
    if event.alternatives is None:
        return [stock]
    return [stock, _set(f"{item}/alternatives", list(map(str, event.alternatives)))]


def _set_total(event: OrderItemsAddedV1 | OrderItemRemovedV1) -> dict[str, Any]:
    return _set("/total", Money(event.total, event.currency).minor)


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"op": "set", "path": path, "value": value}
