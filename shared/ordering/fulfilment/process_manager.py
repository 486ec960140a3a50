"""The process manager of an order: at each reason to look, it reads the order's state, and does what follows from it.

An event is a reason to look, not a source of truth: the tables have the whole state of an order at one moment. So
events may come late, twice and in any order. The changes of the order, and the requests to payments, are made in the
transaction that records the event, or in that of a deadline.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never
from uuid import UUID, uuid5

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input
from shared.ordering.domain.order import Order
from shared.ordering.events import (
    AuthorisationAskedV1,
    CaptureAskedV1,
    FulfilmentEvent,
    OrderStatus,
    RefundAskedV1,
    VoidAskedV1,
    fulfilment_of,
)
from shared.ordering.fulfilment.decisions import (
    Ask,
    Authorise,
    Cancel,
    Capture,
    Confirm,
    Deadline,
    FulfilmentFacts,
    OrderFact,
    PaymentFact,
    Refund,
    Void,
    decide,
)
from shared.ordering.fulfilment.repository import FulfilmentProcess, Fulfilments, Step
from shared.ordering.fulfilment.status_facts import ORDER_FACTS, PAYMENT_FACTS
from shared.ordering.repository import Orders
from shared.story import ORDER_ID

LATE = {
    Deadline.STOCK: "Its items were not there in time.",
    Deadline.PAYMENT: "It was not paid in time.",
    Deadline.CONFIRMATION: "The shop did not confirm it in time.",
}
"""The reasons for cancelling an order that has waited too long."""


class PassDeadline(Input, json_schema_extra=example(orderId=ORDER_ID)):
    """Wait no longer with an order that has waited too long."""

    order_id: Id


@dataclass(frozen=True, slots=True)
class ProcessManager:
    """Advances orders from submitted to completed.

    Attributes:
        time_limits: how long an order may wait for each thing.
    """

    time_limits: Mapping[Deadline, timedelta]

    def advance(
        self,
        order_id: UUID,
        orders: Orders,
        fulfilments: Fulfilments,
        *,
        unkept: int | None = None,
        any_shipped: bool | None = None,
    ) -> None:
        """Advance an order's process as far as the order's present state allows.

        Args:
            order_id: of the order; nothing is done for one that was submitted before fulfilments existed.
            orders: of the unit of work.
            fulfilments: of the unit of work.
            unkept: the catalogue's word, for how many lines it keeps no stock.
            any_shipped: whether a piece was shipped before the order was cancelled, once that is known.

        Raises:
            OrderNotFound: there is no such order.
        """
        order = orders.load(order_id)
        process = fulfilments.find(order_id)
        if process is not None:
            self._go_on(process, order, orders, fulfilments, unkept=unkept, any_shipped=any_shipped)

    def pass_deadline(self, command: PassDeadline, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        """Cancel the order if it has waited too long; the state is read again, because the news may have come by now.

        If it is cancelled already, and nobody has told of a shipment, nothing of it was shipped.

        Raises:
            OrderNotFound: there is no such order.
        """
        order = orders.load(command.order_id)
        process = fulfilments.find(command.order_id)
        if process is not None and process.due_at is not None and process.due_at <= fulfilments.at:
            passed = process.facts.deadline
            any_shipped = False if passed is Deadline.SETTLEMENT else None
            self._go_on(process, order, orders, fulfilments, passed=passed, any_shipped=any_shipped)
        return Accepted(order.order_id, order.version)

    def _go_on(
        self,
        found: FulfilmentProcess,
        order: Order,
        orders: Orders,
        fulfilments: Fulfilments,
        *,
        passed: Deadline | None = None,
        unkept: int | None = None,
        any_shipped: bool | None = None,
    ) -> None:
        """Decide on the order's present state, and carry the decisions out."""
        process = found if unkept is None else replace(found, unkept=unkept)
        at, before, state = fulfilments.at, process.facts, process.facts
        asks: list[Ask] = []
        while True:  # what is done to the order may let it go on
            state, wanted = decide(state, _present(order, process.unkept, state, any_shipped=any_shipped), passed)
            if not wanted:
                break
            for ask in wanted:
                _change(order, ask)
            asks += wanted
        events = [event for ask in asks for event in _asked_of_payments(ask, order, process)]
        deadline = state.deadline
        due_at = process.due_at if deadline is before.deadline else None
        if deadline is None:
            due_at = None  # also one that another release knew, and left behind
        elif due_at is None:
            due_at = at + self.time_limits[deadline]
        gone_on = replace(
            process,
            facts=state,
            token=None if events or state.ended else process.token,
            asked=process.asked + len(events),
            since=process.since if state.waits_for == before.waits_for else at,
            due_at=due_at,
            steps=[*process.steps, *(Step(at, what) for what in _told(before, state, asks, passed))],
        )
        if order.pending_events:
            orders.save(order)
        elif gone_on != found:
            # the commit fails if the order changed: its writer advanced the old process, and does not run again
            orders.rely_on(order)
        if gone_on != found:
            fulfilments.save(replace(gone_on, version=found.version + 1), events)


def _present(order: Order, unkept: int, known: FulfilmentFacts, *, any_shipped: bool | None) -> FulfilmentFacts:
    """Give the facts as the order has them now. Whether anything was shipped is settled once."""
    if order.status in (OrderStatus.CONFIRMED, OrderStatus.CANCELLED) and order.standing.has_shipped:
        any_shipped = True
    payment = order.payment
    return replace(
        known,
        order=ORDER_FACTS[order.status],
        stock=order.is_reserved(unkept),
        any_shipped=any_shipped if known.any_shipped is None else known.any_shipped,
        payment=PaymentFact.NONE if payment is None else PAYMENT_FACTS[payment.status],
        attempt=1 if payment is None else payment.attempt,
    )


def _change(order: Order, ask: Ask) -> None:
    """Carry out a decision that changes the order itself."""
    match ask:
        case Confirm():
            order.confirm()
        case Cancel():
            order.cancel(LATE[ask.waited_for])
        case Authorise() | Capture() | Void() | Refund():
            pass
        case _:
            assert_never(ask)


def _asked_of_payments(ask: Ask, order: Order, process: FulfilmentProcess) -> Iterator[FulfilmentEvent]:
    match ask:
        case Authorise() if process.token is not None and order.currency is not None:
            yield AuthorisationAskedV1(
                order.order_id, order.customer_id, order.currency, order.total, process.token, attempt=1
            )
        case Authorise():
            pass  # its token is gone
        case Capture():
            yield CaptureAskedV1(order.order_id)
        case Void():
            yield VoidAskedV1(order.order_id)
        case Refund():
            refund_id = uuid5(fulfilment_of(order.order_id), "refund")
            yield RefundAskedV1(order.order_id, refund_id, amount=None, currency=None)
        case Confirm() | Cancel():
            pass
        case _:
            assert_never(ask)


def _told(before: FulfilmentFacts, after: FulfilmentFacts, asks: list[Ask], passed: Deadline | None) -> Iterator[str]:
    """Describe what has changed, for people."""
    if after.stock is not before.stock and after.order is OrderFact.SUBMITTED:
        yield "all is reserved" if after.stock else "something is not reserved any more"
    if (after.payment, after.attempt) != (before.payment, before.attempt) and after.payment is not PaymentFact.NONE:
        yield f"payment: {after.payment}" + (f", token {after.attempt}" if after.attempt > 1 else "")
    if passed is Deadline.SETTLEMENT or any(isinstance(ask, Cancel) for ask in asks):
        yield "the deadline has passed"
    if after.order is not before.order:
        yield after.order
    if after.any_shipped and not before.any_shipped:
        is_cancelled = after.order is OrderFact.CANCELLED
        yield "pieces were shipped before it was cancelled" if is_cancelled else "pieces of it are shipped"
    yield from (_ASKED[type(ask)] for ask in asks if type(ask) in _ASKED)


_ASKED: dict[type[Ask], str] = {
    Authorise: "asked for the authorisation",
    Capture: "asked for the capture",
    Void: "asked for the void",
    Refund: "asked for the refund",
}
