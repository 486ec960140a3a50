"""Each order's fulfilment knows how the order stands, and has asked for each thing once, whatever went wrong.

What came of an earlier attempt to pay is void, so each attempt may be captured or voided once. A cancelled order of
which pieces were shipped is paid, and no other one.
"""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.tables import ORDERED_STOCK
from shared.ordering import tables as ordering
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderPaymentStatus, OrderStatus, OrderSubmittedV2, fulfilment_of
from shared.ordering.fulfilment.repository import FulfilmentProcess, process_of
from shared.ordering.fulfilment.status_facts import ORDER_FACTS, PAYMENT_FACTS
from tests.simulation.shop import Shop

BEGUN, VOIDED, TAKEN = "AuthorisationAskedV1", "VoidAskedV1", "CaptureAskedV1"
LATE = "the deadline has passed"
UNPAID = (OrderPaymentStatus.DECLINED, OrderPaymentStatus.ACTION_REQUIRED)


def broken_fulfilments(shop: Shop) -> Iterator[str]:
    """Find fulfilments that are not as their orders are."""
    with shop.engines["ordering"].connect() as connection:
        found = connection.execute(sa.select(ordering.FULFILMENTS)).all()
        processes = {row.order_id: process_of(row) for row in found}
        shipped = _shipped(shop)
        for order_id in connection.execute(sa.select(ordering.ORDERS.c.order_id)).scalars().all():
            history = [recorded.event for recorded in ordering.LOG.history(connection, order_id)]
            order = Order.fold(history)
            if any(isinstance(event, OrderSubmittedV2) for event in history) != (order_id in processes):
                yield f"order {order_id} has a fulfilment: {order_id in processes}, and is {order.status}"
            elif order_id in processes:
                asks = [each.envelope.type for each in ordering.LOG.history(connection, fulfilment_of(order_id))]
                yield from _agrees(order, processes[order_id], Counter(asks))
                yield from _settled(order, processes[order_id], Counter(asks), any_shipped=order_id in shipped)


def _shipped(shop: Shop) -> set[UUID]:
    """The orders of which pieces were shipped."""
    with shop.engines["catalog"].connect() as connection:
        orders = sa.select(ORDERED_STOCK.c.order_id).where(ORDERED_STOCK.c.shipped > 0)
        return set(connection.execute(orders).scalars())


def _settled(order: Order, process: FulfilmentProcess, asks: Counter[str], *, any_shipped: bool) -> Iterator[str]:
    """Say how the payment of a cancelled order was left."""
    if order.status is not OrderStatus.CANCELLED or order.payment is None:
        return
    what, facts, status = f"the fulfilment of cancelled order {order.order_id}", process.facts, order.payment.status
    asked = [kind for kind in (VOIDED, TAKEN) if asks[kind]]
    # without the catalogue's word in time, as after a clock has jumped, what ordering knows counts
    if facts.any_shipped is not any_shipped and LATE not in (step.what for step in process.steps):
        yield f"{what} knows of shipments: {facts.any_shipped}, and there are: {any_shipped}"
    if not asks[BEGUN]:
        if facts.any_shipped:
            yield f"{what} knows that pieces were shipped, and has asked for no payment"
        return
    left = status is OrderPaymentStatus.LAPSED or (facts.any_shipped and status in UNPAID)
    if asked != [TAKEN if facts.any_shipped else VOIDED] and not left:
        yield f"{what} knows of shipments: {facts.any_shipped}, and asked for {asked} of a payment that is {status}"


def _agrees(order: Order, process: FulfilmentProcess, asks: Counter[str]) -> Iterator[str]:
    what = f"the fulfilment of order {order.order_id}, which is {order.status},"
    if process.facts.order is not ORDER_FACTS[order.status]:
        yield f"{what} knows it as {process.facts.order}"
    known, payment = (process.facts.payment, process.facts.attempt), order.payment
    if payment is not None and known != (PAYMENT_FACTS[payment.status], payment.attempt):
        yield f"{what} has a payment that is {payment.status} at attempt {payment.attempt}, and knows it as {known}"
    attempts = 1 if order.payment is None else max(1, order.payment.attempt)
    if any(count > (1 if kind == BEGUN else attempts) for kind, count in asks.items()):
        yield f"{what} has asked for {asks} in {attempts} attempts to pay"
    if asks.total() != process.asked:
        yield f"{what} counts {process.asked} of {asks}"
    if (process.due_at is None) != (process.facts.deadline is None):
        yield f"{what} is due at {process.due_at}, and waits for {process.facts.deadline}"
    if order.payment is None and asks:
        yield f"{what} is on account, and has asked for {asks}"
    stands = order.status is not OrderStatus.CANCELLED
    if stands and asks[VOIDED]:
        yield f"{what} has asked for the void"
    waits = order.status is OrderStatus.SUBMITTED and order.payment is not None
    if waits and order.is_reserved(process.unkept) and not asks[BEGUN]:
        yield f"{what} has all that it needs, and has not asked for the authorisation"
