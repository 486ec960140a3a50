"""Each order's fulfilment knows how the order stands, and has asked for each thing once, whatever went wrong."""

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from shared.ordering import tables as ordering
from shared.ordering.domain.known import ORDERS
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderPaymentStatus, OrderStatus, OrderSubmittedV2, fulfilment_of
from shared.ordering.fulfilments import Process, process_of
from tests.simulation.shop import Shop

BEGUN, VOIDED, TAKEN = "AuthorisationAskedV1", "VoidAskedV1", "CaptureAskedV1"


def broken_fulfilments(shop: Shop) -> Iterator[str]:
    """Find fulfilments that are not as their orders are."""
    with shop.engines["ordering"].connect() as connection:
        found = connection.execute(sa.select(ordering.FULFILMENTS)).all()
        processes = {row.order_id: process_of(row) for row in found}
        for order_id in connection.execute(sa.select(ordering.ORDERS.c.order_id)).scalars().all():
            history = [recorded.event for recorded in ordering.LOG.history(connection, order_id)]
            order = Order.fold(history)
            if any(isinstance(event, OrderSubmittedV2) for event in history) != (order_id in processes):
                yield f"order {order_id} has a fulfilment: {order_id in processes}, and is {order.status}"
            elif order_id in processes:
                asks = [each.envelope.type for each in ordering.LOG.history(connection, fulfilment_of(order_id))]
                yield from _agrees(order, processes[order_id], Counter(asks))


def _agrees(order: Order, process: Process, asks: Counter[str]) -> Iterator[str]:
    what = f"the fulfilment of order {order.order_id}, which is {order.status},"
    if process.facts.order is not ORDERS[order.status]:
        yield f"{what} knows it as {process.facts.order.name}"
    if asks and max(asks.values()) > 1:
        yield f"{what} has asked for {asks}"
    if asks.total() != process.asked:
        yield f"{what} counts {process.asked} of {asks}"
    if (process.due_at is None) != (process.facts.deadline is None):
        yield f"{what} is due at {process.due_at}, and waits for {process.facts.deadline}"
    if order.payment is None and asks:
        yield f"{what} is on account, and has asked for {asks}"
    stands = order.status is not OrderStatus.CANCELLED
    if stands and asks[VOIDED]:
        yield f"{what} has asked for the void"
    has_lapsed = order.payment is not None and order.payment.status is OrderPaymentStatus.LAPSED
    if not (stands or has_lapsed) and asks[BEGUN] and not asks[VOIDED] and not asks[TAKEN]:
        yield f"{what} has left the payment as it was"
    waits = order.status is OrderStatus.SUBMITTED and order.payment is not None
    if waits and order.is_reserved(process.unkept) and not asks[BEGUN]:
        yield f"{what} has all that it needs, and has not asked for the authorisation"
