"""The customer summary: the number of orders, the totals, and the latest orders, in one document for each customer.

It counts an order from its submission. A cancelled order is taken out of the totals again, but stays in the list of
recent orders. All changes commute, except those of that list. It is kept newest first, and by id within one moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, assert_never
from uuid import UUID

from pydantic import Field

from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.examples import example
from shared.frame.platform.input import OwnerId, QueryInput, Version
from shared.frame.platform.output import Answer, CurrencyAmount, Time, amount
from shared.frame.platform.times import utc_text
from shared.frame.read_side.document_update import Patch
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import Wait, read_at_least, wait_for_one
from shared.frame.read_side.shape import Shapes
from shared.kernel.money import Money
from shared.ordering.domain.errors import CustomerNotFound
from shared.ordering.events import (
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderCreatedV1,
    OrderErasedV1,
    OrderEvent,
    OrderItemRemovedV1,
    OrderItemsAddedV1,
    OrderPaymentChangedV1,
    OrderShippingAddressChangedV1,
    OrderStatus,
    OrderStockChangedV2,
    OrderSubmittedV2,
)
from shared.ordering.views.after_order import AfterOrder
from shared.story import CUSTOMER_ID

SUMMARY = "summary"
"""Id of the document."""

SHAPES = Shapes(
    what="A customer's summary",
    today=2,
    mend="Make the view anew: python3 dev.py rebuild orders",
    upcasts={1: dict},  # only the number is new
)

RECENT = 10
COUNTED = (OrderStatus.SUBMITTED, OrderStatus.CONFIRMED, OrderStatus.COMPLETED)


class RecentOrder(Answer):
    """An order as it was submitted."""

    order_id: UUID
    submitted_at: Time
    total: CurrencyAmount


class CustomerSummary(Answer):
    """A summary of the customer's orders."""

    customer_id: UUID
    customer_name: str
    total_orders: int
    total_spent: list[CurrencyAmount]
    last_order_date: Time | None
    recent_orders: list[RecentOrder]


class ReadSummary(QueryInput, json_schema_extra=example(customerId=CUSTOMER_ID)):
    """A customer at a glance."""

    customer_id: OwnerId
    min_version: Version | None = Field(default=None, description="of the customer: after registering or renaming")
    after: AfterOrder | None = None


def new_summary(customer_id: UUID, name: str, version: int) -> dict[str, Any]:
    """The document of a customer who has not ordered yet.

    `recentOrders` always has ten places, so that adding one in front and dropping the eleventh needs no reading.
    """
    return {
        "id": SUMMARY,
        "customerId": str(customer_id),
        "kind": "summary",
        "shape": SHAPES.today,
        "customerName": name,
        "customerVersion": version,
        "orders": dict.fromkeys(OrderStatus, 0),
        "spent": {},
        "lastOrderDate": "",
        "recentOrders": [None] * RECENT,
    }


def project(recorded: Recorded[OrderEvent]) -> Patch | None:
    """Make the update of an event that comes in the order of submission; None if it changes nothing."""
    match recorded.event:
        case OrderCreatedV1():
            return _patch([_count(OrderStatus.CREATED, 1)])
        case (
            OrderItemsAddedV1()
            | OrderItemRemovedV1()
            | OrderShippingAddressChangedV1()
            | OrderStockChangedV2()
            | OrderPaymentChangedV1()
        ):
            return None
        case OrderErasedV1():
            return None  # by id alone
        case OrderSubmittedV2() as event:
            at = utc_text(recorded.envelope.occurred_at)
            newest: list[dict[str, Any]] = [
                {"op": "set", "path": "/lastOrderDate", "value": at},
                {"op": "add", "path": "/recentOrders/0", "value": _recent(event, at)},
                {"op": "remove", "path": f"/recentOrders/{RECENT}"},
            ]
            newer = f'(c.lastOrderDate < "{at}" OR (c.lastOrderDate = "{at}" AND {_ids(0, "<", event)}))'
            return _patch([*_submitted(event), *newest], newer)
        case OrderConfirmedV1():
            return _patch([_count(OrderStatus.SUBMITTED, -1), _count(OrderStatus.CONFIRMED, 1)])
        case OrderCompletedV1():
            return _patch([_count(OrderStatus.CONFIRMED, -1), _count(OrderStatus.COMPLETED, 1)])
        case OrderCancelledV1() as event:
            operations = [_count(event.was, -1), _count(OrderStatus.CANCELLED, 1)]
            if event.was in COUNTED and event.currency is not None:
                operations.append(_spend(event.currency, -Money(event.total, event.currency).minor))
            return _patch(operations)
        case unknown:
            assert_never(unknown)


def late_change(recorded: Recorded[OrderEvent], summary: Mapping[str, Any]) -> Patch | None:
    """Make the update of a submission that comes after later ones: the order gets its place behind those in the list.

    The update requires only that its neighbours in the list are unchanged. Other orders change the summary all the
    time: if the whole document had to be unchanged, an order of a busy customer might never get through.
    """
    event = recorded.event
    if not isinstance(event, OrderSubmittedV2):
        return project(recorded)
    at, recent = utc_text(recorded.envelope.occurred_at), summary["recentOrders"]
    its = at, str(event.order_id)
    older = (entry is None or (entry["submittedAt"], entry["orderId"]) < its for entry in recent)
    place = next((number for number, is_older in enumerate(older) if is_older), RECENT)
    if place == 0:
        return project(recorded)
    conditions = [_is(place - 1, ">", event, at)]
    if place == RECENT:
        return _patch(_submitted(event), conditions[0])
    insert: list[dict[str, Any]] = [
        {"op": "add", "path": f"/recentOrders/{place}", "value": _recent(event, at)},
        {"op": "remove", "path": f"/recentOrders/{RECENT}"},
    ]
    conditions.append(f"IS_NULL(c.recentOrders[{place}])" if recent[place] is None else _is(place, "<", event, at))
    return _patch([*_submitted(event), *insert], " AND ".join(conditions))


async def read_summary(served: Served, query: ReadSummary, wait: Wait) -> CustomerSummary:
    """Read the summary.

    Raises:
        CustomerNotFound: there is no such customer, or none that has been projected yet.
        UnreadableShape: another release wrote it.
        Unavailable: the summary did not reach `min_version`, or the order `after`, in time.
    """
    orders, partition_key = served.container, str(query.customer_id)
    await wait_for_one(orders, partition_key, query.after, wait)
    of_customer = replace(wait, asks_a_copy=True)
    document = await read_at_least(
        orders, SUMMARY, partition_key, query.min_version, of_customer, counter="customerVersion"
    )
    if document is None:
        raise CustomerNotFound(f"There is no customer {query.customer_id}.")
    return _rendered(SHAPES.read(document))


def _rendered(document: Mapping[str, Any]) -> CustomerSummary:
    return CustomerSummary(
        customer_id=document["customerId"],
        customer_name=document["customerName"],
        total_orders=sum(document["orders"][status] for status in COUNTED),
        total_spent=[
            CurrencyAmount(currency=currency, amount=amount(minor, currency))
            for currency, minor in sorted(document["spent"].items())
            if minor
        ],
        last_order_date=document["lastOrderDate"] or None,
        recent_orders=[
            RecentOrder(
                order_id=entry["orderId"],
                submitted_at=entry["submittedAt"],
                total=CurrencyAmount(currency=entry["currency"], amount=amount(entry["total"], entry["currency"])),
            )
            for entry in document["recentOrders"]
            if entry is not None
        ],
    )


def _is(place: int, ahead: str, event: OrderSubmittedV2, at: str) -> str:
    """Require that the entry at this place is newer (`>`) than a submission, or older (`<`)."""
    then = f"c.recentOrders[{place}].submittedAt"
    return f'({then} {ahead} "{at}" OR ({then} = "{at}" AND {_ids(place, ahead, event)}))'


def _ids(place: int, ahead: str, event: OrderSubmittedV2) -> str:
    return f'c.recentOrders[{place}].orderId {ahead} "{event.order_id}"'


def _patch(operations: Sequence[Mapping[str, Any]], condition: str | None = None) -> Patch:
    return Patch(SUMMARY, operations, SHAPES, condition)


def _submitted(event: OrderSubmittedV2) -> list[dict[str, Any]]:
    return [
        _count(OrderStatus.CREATED, -1),
        _count(OrderStatus.SUBMITTED, 1),
        _spend(event.currency, Money(event.total, event.currency).minor),
    ]


def _recent(event: OrderSubmittedV2, at: str) -> dict[str, Any]:
    return {
        "orderId": str(event.order_id),
        "submittedAt": at,
        "currency": event.currency,
        "total": Money(event.total, event.currency).minor,
    }


def _count(status: OrderStatus, by: int) -> dict[str, Any]:
    return {"op": "incr", "path": f"/orders/{status}", "value": by}


def _spend(currency: str, minor: int) -> dict[str, Any]:
    return {"op": "incr", "path": f"/spent/{currency}", "value": minor}
