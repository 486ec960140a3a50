"""Money moves once, whatever went wrong, and the provider's ledger, payments' books and the orders agree on it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

import sqlalchemy as sa

from infra.local.payments.ledger import Json
from shared.ordering import tables as ordering
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderPaymentStatus, OrderStatus
from shared.ordering.fulfilment.repository import process_of
from shared.payments.domain.payment import Look, Payment, PaymentStatus
from shared.payments.repository import payment_as_stored
from shared.payments.tables import LOG, PAYMENTS
from tests.simulation.shop import Shop

UNPAID = (PaymentStatus.DECLINED, PaymentStatus.ACTION_REQUIRED, PaymentStatus.LAPSED)
"""Whoever confirms an order that is not paid, as clerks may, or completes one whose hold has lapsed, gets no money."""

ENDED = (PaymentStatus.VOIDED, PaymentStatus.CAPTURED, PaymentStatus.LAPSED)


def broken_money(shop: Shop) -> Iterator[str]:
    """Find money that moved twice, moved wrongly, or did not move."""
    moved: dict[UUID, list[Json]] = defaultdict(list)
    for movement in shop.provider.moved():
        moved[UUID(movement["metadata"]["payment"])].append(movement)
    payments: dict[UUID, Payment] = {}
    with shop.engines["payments"].connect() as connection:
        for order_id in connection.execute(sa.select(PAYMENTS.c.order_id)).scalars().all():
            payment = Payment.fold(recorded.event for recorded in LOG.history(connection, order_id))
            payments[order_id] = payment
            stored = payment_as_stored(shop.engines["payments"], order_id)
            if stored is None or vars(stored) != vars(payment):
                yield f"the payment of order {order_id} is {stored and vars(stored)}; the log says {vars(payment)}"
    if strangers := moved.keys() - payments.keys():
        yield f"money was moved for {strangers}, of which payments know nothing"
    for order_id, payment in payments.items():
        yield from _moved_once(shop, payment, moved[order_id])
        yield from _as_booked(shop, payment, moved[order_id])
    with shop.engines["ordering"].connect() as connection:
        processes = map(process_of, connection.execute(sa.select(ordering.FULFILMENTS)).all())
        shipped = {process.order_id for process in processes if process.facts.any_shipped}
        for order_id in connection.execute(sa.select(ordering.ORDERS.c.order_id)).scalars().all():
            order = Order.fold(recorded.event for recorded in ordering.LOG.history(connection, order_id))
            cancelled = order.status is OrderStatus.CANCELLED
            got = order.status is OrderStatus.COMPLETED or (cancelled and order_id in shipped)
            yield from _owed(shop, order, payments.get(order_id), moved.get(order_id, []), got=got)


def _moved_once(shop: Shop, payment: Payment, moved: Sequence[Json]) -> Iterator[str]:
    times = Counter((each["intent"], each["kind"]) for each in moved if each["kind"] != "refunded")
    for (_, kind), count in times.items():
        if count > 1:
            yield f"the payment of order {payment.order_id} was {kind} {count} times"
    if len({intent for intent, _ in times} - {intent for intent, kind in times if kind == "lapsed"}) > 1:
        yield f"the payment of order {payment.order_id} was made twice: {moved}"
    in_parts = ("refunded", "captured", "released") if _is_by_hand(shop, moved) else ("refunded",)
    for each in moved:
        if each["kind"] not in in_parts and each["amount"] != payment.amount.minor:
            yield f"the payment of order {payment.order_id} is over {payment.amount}, and {each} was moved"


def _as_booked(shop: Shop, payment: Payment, moved: Sequence[Json]) -> Iterator[str]:
    """What payments have noted is what the provider has done."""
    what, sums = f"the payment of order {payment.order_id}, which is {payment.status},", _sums(moved)
    if payment.due is not None and not isinstance(payment.due, Look):
        yield f"{what} has left {payment.due} undone"
    if payment.status is PaymentStatus.LAPSED and not sums["lapsed"]:
        yield f"{what} was let go by no bank"
    if not _is_unnoted(shop, payment, moved):
        if bool(_held(sums)) != (payment.status is PaymentStatus.AUTHORISED):
            yield f"{what} has {_held(sums)} held"
        if bool(sums["captured"]) != (payment.status is PaymentStatus.CAPTURED):
            yield f"{what} has {sums['captured']} taken"
    untaken = payment.refunds.get(payment.order_id)
    if payment.status is PaymentStatus.CAPTURED and sums["released"] != (untaken.minor if untaken else 0):
        yield f"{what} has {sums['released']} released"
    made = [refund for intent in {each["intent"] for each in moved} for refund in shop.provider.refunds(intent)]
    asked = [(id_, money.minor) for id_, money in payment.refunds.items() if id_ != payment.order_id]
    if sorted(made) != sorted(asked) or sum(amount for _, amount in made) != sums["refunded"]:
        yield f"{what} was asked for the refunds {asked}; made were {made}, and {sums['refunded']} given back"


def _owed(shop: Shop, order: Order, payment: Payment | None, moved: Sequence[Json], *, got: bool) -> Iterator[str]:
    """Who has got an order, or a part of it, has paid for it, but for what was given back; nobody else has, or will."""
    what, sums = f"order {order.order_id}, which is {order.status},", _sums(moved)
    owed, status = 0, payment and payment.status
    if payment is not None and got and status not in UNPAID:
        owed = payment.amount.minor - sum(money.minor for money in payment.refunds.values())
    has_ended = order.status in (OrderStatus.CANCELLED, OrderStatus.COMPLETED)
    is_unnoted = payment is not None and not has_ended and _is_unnoted(shop, payment, moved)
    if not is_unnoted and sums["captured"] - sums["refunded"] != owed:
        yield f"{what} owes {owed}: {sums['captured']} were taken, and {sums['refunded']} given back"
    if (
        order.status is OrderStatus.CANCELLED
        and payment is not None
        and status not in (*ENDED, *(UNPAID if got else ()))
    ):
        yield f"{what} has a payment that is {status}"
    if has_ended and _held(sums):
        yield f"{what} has {_held(sums)} held"
    if order.payment is None and payment is not None:
        yield f"{what} is on account, and has a payment that is {status}"
    if order.payment is not None and payment is not None:
        known = (order.payment.status, order.payment.attempt, order.payment.refunded)
        if known != (_status(payment), payment.attempt, payment.refunded.amount):
            yield f"{what} knows of {order.payment}, and its payment is {vars(payment)}"


def _is_by_hand(shop: Shop, moved: Sequence[Json]) -> bool:
    """Whether the shop has captured it in the provider's dashboard, maybe in part."""
    return any(shop.provider.is_by_hand(each["intent"]) for each in moved)


def _is_unnoted(shop: Shop, payment: Payment, moved: Sequence[Json]) -> bool:
    """Whether it was captured there, and the order has yet to come to where payments go by that."""
    return payment.status is PaymentStatus.AUTHORISED and _is_by_hand(shop, moved)


def _status(payment: Payment) -> OrderPaymentStatus:
    """What its order says of it."""
    if payment.status is PaymentStatus.CAPTURED and payment.refunded == payment.amount:
        return OrderPaymentStatus.REFUNDED
    return OrderPaymentStatus(payment.status)


def _sums(moved: Sequence[Json]) -> Counter[str]:
    sums = Counter[str]()
    for each in moved:
        sums[each["kind"]] += each["amount"]
    return sums


def _held(sums: Counter[str]) -> int:
    return sums["authorised"] - sums["captured"] - sums["released"] - sums["voided"] - sums["lapsed"]
