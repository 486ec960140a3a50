"""The process of an order: what it asks for at each look at the order, from every state that it can come to."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest

from shared.ordering.domain.actions import Action, Standing, is_allowed
from shared.ordering.events import OrderPaymentStatus, OrderStatus
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
from shared.ordering.fulfilment.status_facts import ORDER_FACTS, PAYMENT_FACTS

type Found = dict[str, Any]
"""What a look finds that was otherwise before: fields of the facts; `passed`: the deadline for which it looks."""

PAID, ON_ACCOUNT = (FulfilmentFacts(OrderFact.SUBMITTED, paid=paid) for paid in (True, False))
COMPLETE, AWAITED = {"stock": True}, {"stock": False}
CONFIRMED, COMPLETED, CANCELLED = (
    {"order": fact} for fact in (OrderFact.CONFIRMED, OrderFact.COMPLETED, OrderFact.CANCELLED)
)
NO_STOCK, NO_PAYMENT, NO_CONFIRMATION, NO_SETTLEMENT = ({"passed": deadline} for deadline in Deadline)
ALL_HERE, SOME_SHIPPED = {"any_shipped": False}, {"any_shipped": True}


def payment(fact: PaymentFact, attempt: int = 1) -> Found:
    return {"payment": fact, "attempt": attempt}


ASKED, ACTION, DECLINED, HELD, TAKEN, LAPSED, VOIDED, REFUNDED = (
    payment(fact) for fact in PaymentFact if fact is not PaymentFact.NONE
)
ASKED_ANEW, DECLINED_ANEW, HELD_ANEW, TAKEN_ANEW, LAPSED_ANEW, VOIDED_ANEW = (
    payment(fact, 2)
    for fact in (
        *(PaymentFact.ASKED, PaymentFact.DECLINED, PaymentFact.AUTHORISED),
        *(PaymentFact.CAPTURED, PaymentFact.LAPSED, PaymentFact.VOIDED),
    )
)


def look(state: FulfilmentFacts, found: Found) -> tuple[FulfilmentFacts, list[Ask]]:
    """Look at the order, and do to it what is decided; gives what is known then, and what was asked for."""
    facts = dict(found)
    passed = facts.pop("passed", None)
    asked: list[Ask] = []
    while True:
        state, asks = decide(state, replace(state, **facts), passed)
        if not asks:
            return state, asked
        if Confirm() in asks:
            facts |= CONFIRMED
        if any(isinstance(ask, Cancel) for ask in asks):
            facts |= CANCELLED
        asked += asks


def play(state: FulfilmentFacts, *looks: Found) -> tuple[FulfilmentFacts, list[Ask]]:
    """What is known after these looks, and all that was asked for, in order."""
    asked: list[Ask] = []
    for found in looks:
        state, asks = look(state, found)
        asked += asks
    return state, asked


WAYS: dict[str, tuple[FulfilmentFacts, list[Found], list[Ask], str]] = {
    "on account": (ON_ACCOUNT, [COMPLETE, CONFIRMED, COMPLETED], [], "nothing"),
    "on account, not confirmed yet": (ON_ACCOUNT, [COMPLETE], [], "the confirmation"),
    "on account, confirmed": (ON_ACCOUNT, [COMPLETE, CONFIRMED], [], "the shipment"),
    "on account, and never confirmed": (
        ON_ACCOUNT,
        [COMPLETE, NO_CONFIRMATION],
        [Cancel(Deadline.CONFIRMATION)],
        "nothing",
    ),
    "on account, waited for stock too long": (ON_ACCOUNT, [AWAITED, NO_STOCK], [Cancel(Deadline.STOCK)], "nothing"),
    "paid, of what is there": (
        PAID,
        [COMPLETE, ASKED, HELD, COMPLETED, TAKEN],
        [Authorise(), Confirm(), Capture()],
        "nothing",
    ),
    "asked for": (PAID, [COMPLETE, ASKED], [Authorise()], "the authorisation"),
    "confirmed once it is held": (PAID, [COMPLETE, HELD], [Authorise(), Confirm()], "the shipment"),
    "seen only when it is completed": (PAID, [COMPLETED | HELD], [Capture()], "the capture"),
    "waiting for stock": (PAID, [AWAITED], [], "stock"),
    "after the waiting list": (PAID, [AWAITED, COMPLETE], [Authorise()], "the authorisation"),
    "waited for stock too long": (PAID, [AWAITED, NO_STOCK], [Cancel(Deadline.STOCK)], "nothing"),
    "stock that came in time": (PAID, [AWAITED, COMPLETE | NO_STOCK], [Authorise()], "the authorisation"),
    "stock that is lost while it is authorised": (PAID, [COMPLETE, AWAITED, HELD], [Authorise()], "stock"),
    "stock that comes back": (PAID, [COMPLETE, AWAITED, HELD, COMPLETE], [Authorise(), Confirm()], "the shipment"),
    "a cardholder who is waited for": (PAID, [COMPLETE, ACTION], [Authorise()], "the customer"),
    "a cardholder who is waited for, then another token": (
        PAID,
        [COMPLETE, ACTION, ASKED_ANEW],
        [Authorise()],
        "the authorisation",
    ),
    "a cardholder who never comes": (
        PAID,
        [COMPLETE, ACTION, NO_PAYMENT],
        [Authorise(), Cancel(Deadline.PAYMENT), Void()],
        "the void",
    ),
    "declined": (PAID, [COMPLETE, DECLINED], [Authorise()], "the customer"),
    "declined, and the cardholder is asked for another card": (
        PAID,
        [COMPLETE, DECLINED, ACTION],
        [Authorise()],
        "the customer",
    ),
    "declined, then another token": (PAID, [COMPLETE, DECLINED, ASKED_ANEW], [Authorise()], "the authorisation"),
    "declined, then held for another token": (
        PAID,
        [COMPLETE, DECLINED, HELD_ANEW],
        [Authorise(), Confirm()],
        "the shipment",
    ),
    "declined until the deadline": (
        PAID,
        [COMPLETE, DECLINED, NO_PAYMENT, VOIDED],
        [Authorise(), Cancel(Deadline.PAYMENT), Void()],
        "nothing",
    ),
    "held in time": (PAID, [COMPLETE, ASKED, HELD | NO_PAYMENT], [Authorise(), Confirm()], "the shipment"),
    "lapsed before it was shipped": (
        PAID,
        [COMPLETE, HELD, LAPSED],
        [Authorise(), Confirm()],
        "the customer",
    ),
    "lapsed, and paid with another token before it was shipped": (
        PAID,
        [COMPLETE, HELD, LAPSED, ASKED_ANEW, HELD_ANEW, COMPLETED],
        [Authorise(), Confirm(), Capture()],
        "the capture",
    ),
    "lapsed, and completed all the same": (
        PAID,
        [COMPLETE, HELD, LAPSED, COMPLETED],
        [Authorise(), Confirm()],
        "nothing",
    ),
    "lapsed while it is captured": (
        PAID,
        [COMPLETE, HELD, COMPLETED, LAPSED],
        [Authorise(), Confirm(), Capture()],
        "nothing",
    ),
    "lapsed while it is captured, and paid with another token": (
        PAID,
        [COMPLETE, HELD, COMPLETED, LAPSED, HELD_ANEW, TAKEN_ANEW],
        [Authorise(), Confirm(), Capture(), Capture()],
        "nothing",
    ),
    "lapsed unseen while it is captured, and paid with another token": (
        PAID,
        [COMPLETE, HELD, COMPLETED, HELD_ANEW],
        [Authorise(), Confirm(), Capture(), Capture()],
        "the capture",
    ),
    "lapsed before it was confirmed": (
        PAID,
        [COMPLETE, AWAITED, HELD, LAPSED, COMPLETE],
        [Authorise()],
        "the customer",
    ),
    "lapsed before it was confirmed, until the deadline": (
        PAID,
        [COMPLETE, AWAITED, HELD, LAPSED, COMPLETE, NO_PAYMENT],
        [Authorise(), Cancel(Deadline.PAYMENT), Void()],
        "nothing",
    ),
    "lapsed after it was confirmed, until the deadline": (
        PAID,
        [COMPLETE, HELD, LAPSED, NO_PAYMENT, ALL_HERE],
        [Authorise(), Confirm(), Cancel(Deadline.PAYMENT), Void()],
        "nothing",
    ),
    "lapsed, and then cancelled": (PAID, [COMPLETE, HELD, LAPSED, CANCELLED], [Authorise(), Confirm()], "nothing"),
    "lapsed while it is voided, and paid with another token": (
        PAID,
        [COMPLETE, HELD, CANCELLED | ALL_HERE, LAPSED, ASKED_ANEW, VOIDED_ANEW],
        [Authorise(), Confirm(), Void(), Void()],
        "nothing",
    ),
    "confirmed by staff without the money": (
        PAID,
        [COMPLETE, DECLINED, CONFIRMED, NO_PAYMENT],
        [Authorise()],
        "the customer",
    ),
    "cancelled before anything": (PAID, [CANCELLED | ALL_HERE], [], "nothing"),
    "cancelled, and it is not known whether anything was shipped": (
        PAID,
        [CANCELLED],
        [],
        "the catalogue: whether anything was shipped",
    ),
    "cancelled while it is held, and it is not known whether anything was shipped": (
        PAID,
        [COMPLETE, HELD, CANCELLED],
        [Authorise(), Confirm()],
        "the catalogue: whether anything was shipped",
    ),
    "cancelled before anything is heard of the payment": (
        PAID,
        [COMPLETE, CANCELLED | ALL_HERE],
        [Authorise(), Void()],
        "the void",
    ),
    "cancelled while it is authorised": (
        PAID,
        [COMPLETE, CANCELLED | ALL_HERE, HELD],
        [Authorise(), Void()],
        "the void",
    ),
    "cancelled before anything of it is shipped": (
        PAID,
        [COMPLETE, HELD, CANCELLED, ALL_HERE, VOIDED],
        [Authorise(), Confirm(), Void()],
        "nothing",
    ),
    "cancelled, and was captured by the shop at the provider": (
        PAID,
        [COMPLETE, HELD, CANCELLED | ALL_HERE, TAKEN],
        [Authorise(), Confirm(), Void(), Refund()],
        "the refund",
    ),
    "cancelled on account while it is shipped in part": (ON_ACCOUNT, [CANCELLED | SOME_SHIPPED], [], "nothing"),
    "cancelled before its payment was asked for, shipped in part, and paid": (
        PAID,
        [CANCELLED | SOME_SHIPPED, ASKED, HELD, TAKEN],
        [Authorise(), Capture()],
        "nothing",
    ),
    "cancelled before its payment was asked for, shipped in part, and paid with another token": (
        PAID,
        [CANCELLED | SOME_SHIPPED, DECLINED, HELD_ANEW],
        [Authorise(), Capture()],
        "the capture",
    ),
    "cancelled while it is shipped in part, and paid": (
        PAID,
        [COMPLETE, HELD, CANCELLED, SOME_SHIPPED, TAKEN],
        [Authorise(), Confirm(), Capture()],
        "nothing",
    ),
    "cancelled while it is shipped in part, and refunded by the shop": (
        PAID,
        [COMPLETE, HELD, CANCELLED, SOME_SHIPPED, TAKEN, REFUNDED],
        [Authorise(), Confirm(), Capture()],
        "nothing",
    ),
    "cancelled while it is shipped in part, and declined": (
        PAID,
        [COMPLETE, DECLINED, CONFIRMED, CANCELLED | SOME_SHIPPED],
        [Authorise()],
        "the customer",
    ),
    "cancelled while it is shipped in part, and lapsed": (
        PAID,
        [COMPLETE, HELD, CANCELLED, LAPSED, SOME_SHIPPED],
        [Authorise(), Confirm()],
        "nothing",
    ),
}
"""How each is paid, what the looks find, all that is asked for, and what it waits for then."""


@pytest.mark.parametrize("way", WAYS)
def test_an_order_goes_its_way(way: str) -> None:
    begun, looks, asks, waits_for = WAYS[way]
    state, asked = play(begun, *looks)
    assert (asked, state.waits_for) == (asks, waits_for)


NEXT: list[tuple[FulfilmentFacts, Found, list[str]]] = [
    (PAID, AWAITED, ["the authorisation", "the confirmation", "the shipment", "the capture"]),
    (PAID, COMPLETE | DECLINED, ["the confirmation", "the shipment", "the capture"]),
    (PAID, COMPLETE | CONFIRMED | LAPSED, ["the shipment", "the capture"]),
    (PAID, COMPLETE | COMPLETED | DECLINED, ["the capture"]),
    (PAID, COMPLETE | CANCELLED | SOME_SHIPPED | DECLINED, ["the capture"]),
    (ON_ACCOUNT, COMPLETE | CONFIRMED, ["the completion"]),
    (ON_ACCOUNT, COMPLETE | COMPLETED, []),
]


@pytest.mark.parametrize(("begun", "found", "steps"), NEXT)
def test_no_step_is_told_that_has_been_taken(begun: FulfilmentFacts, found: Found, steps: list[str]) -> None:
    assert list(replace(begun, **found).comes_next) == steps


def found_next(state: FulfilmentFacts) -> Iterator[Found]:
    """All that the next look may find: each fact may have changed, or none."""
    orders = {
        OrderFact.SUBMITTED: list(OrderFact)[1:],
        OrderFact.CONFIRMED: list(OrderFact)[2:],
    }.get(state.order, [state.order])
    news_of_shipments = {OrderFact.CONFIRMED: [None, True], OrderFact.CANCELLED: [None, False, True]}
    for order, paid, passed in product(orders, _payments(state), {None, state.deadline}):
        stocks = [True, False] if order is OrderFact.SUBMITTED else [state.stock]
        news = news_of_shipments.get(order, [None]) if state.any_shipped is None else [state.any_shipped]
        for stock, any_shipped in product(stocks, news):
            yield {"order": order, "stock": stock, "any_shipped": any_shipped, **paid, "passed": passed}


def _payments(state: FulfilmentFacts) -> Iterator[Found]:
    """An attempt goes on until the payment has ended; another may begin meanwhile, unseen."""
    yield payment(state.payment, state.attempt)
    ended = {PaymentFact.VOIDED, PaymentFact.REFUNDED}
    if state.payment in ended or not state.paid:
        return
    following = [PaymentFact.REFUNDED] if state.payment is PaymentFact.CAPTURED else list(PaymentFact)[1:]
    for attempt in range(state.attempt, 3):
        yield from (payment(fact, attempt) for fact in following)


@cache
def looks() -> Sequence[tuple[FulfilmentFacts, FulfilmentFacts, Sequence[Ask]]]:
    """Every look from every state that looks lead to: the state, the one that follows, and what is asked for."""
    made, known, left = [], {PAID, ON_ACCOUNT}, deque([PAID, ON_ACCOUNT])
    while left:
        state = left.popleft()
        for found in found_next(state):
            following, asks = look(state, found)
            made.append((state, following, asks))
            if following not in known:
                known.add(following)
                left.append(following)
    return made


@cache
def reachable() -> set[FulfilmentFacts]:
    """Every state that a look leads to."""
    return {following for _, following, _ in looks()}


def test_each_request_is_made_once_but_for_those_that_end_another_attempt() -> None:
    assert len(reachable()) > 1_000
    for state, following, asks in looks():
        asked = state.asked - ({Capture(), Void()} if following.attempt > state.attempt else set())
        held = following.payment in (PaymentFact.AUTHORISED, PaymentFact.CAPTURED, PaymentFact.LAPSED)
        by_staff = {Confirm()} if following.order is OrderFact.CONFIRMED and held else set[Ask]()
        assert following.asked == asked.union(asks, by_staff)
        assert len(asks) == len(set(asks) - asked), (state, asks)


def test_a_second_look_finds_nothing_to_do() -> None:
    for state in reachable():
        assert look(state, {}) == (state, []), state
        assert state.waits_for


def test_money_is_never_let_go_and_taken_nor_asked_for_by_a_cancelled_order_of_which_nothing_was_shipped() -> None:
    for state, following, asks in looks():
        assert not {Capture(), Void()} <= following.asked
        if state.order is OrderFact.CANCELLED:
            assert not {Confirm, Cancel}.intersection(map(type, asks))
        if following.order is OrderFact.CANCELLED:
            assert not {Authorise(), Capture()}.intersection(asks) or following.any_shipped
            assert not {Void(), Refund()}.intersection(asks) or following.any_shipped is False
        else:
            assert not {Void(), Refund()}.intersection(asks)


def test_a_cancelled_order_of_which_something_was_shipped_ends_only_when_its_payment_has() -> None:
    for state in reachable():
        if state.order is OrderFact.CANCELLED and state.paid and state.any_shipped and state.ended:
            assert state.payment in {
                *(PaymentFact.CAPTURED, PaymentFact.REFUNDED, PaymentFact.LAPSED, PaymentFact.VOIDED)
            }, state


def test_a_cancelled_order_whose_payment_was_begun_waits_until_a_deadline_or_is_owed_its_money_back_or_paid() -> None:
    paying = {PaymentFact.NONE, PaymentFact.ASKED, PaymentFact.ACTION_REQUIRED, PaymentFact.DECLINED}
    for state in reachable():
        if state.order is not OrderFact.CANCELLED or state.ended or not state.paid:
            continue
        if state.any_shipped is None:
            assert state.deadline is Deadline.SETTLEMENT, state
        else:
            assert state.deadline is None, state
            is_unpaid = state.any_shipped and state.payment in paying
            assert not is_unpaid or state.payment is not PaymentFact.NONE or Authorise() in state.asked
            assert is_unpaid or state.asked & {Void(), Refund(), Capture()}, state


def test_an_order_is_cancelled_for_the_deadline_until_which_it_has_waited_and_for_no_other() -> None:
    for state, deadline in product(reachable(), Deadline):
        following, asks = look(state, {"passed": deadline})
        assert (Cancel(deadline) in asks) == (state.deadline is deadline is not Deadline.SETTLEMENT)
        # of what was confirmed, the catalogue tells whether anything was shipped
        was_submitted = Cancel(deadline) in asks and state.order is OrderFact.SUBMITTED
        told = False if was_submitted and state.any_shipped is None else state.any_shipped
        assert following.any_shipped is told


def test_only_an_order_that_waits_has_a_deadline() -> None:
    for state in reachable():
        assert (state.deadline is Deadline.SETTLEMENT) <= (state.order is OrderFact.CANCELLED)
        if state.deadline not in (None, Deadline.SETTLEMENT):
            is_confirmed = state.order is OrderFact.CONFIRMED and state.deadline is Deadline.PAYMENT
            assert is_confirmed or state.order is OrderFact.SUBMITTED
            assert state.waits_for in {
                *("stock", "the authorisation", "the customer", "the confirmation"),
            }


def test_an_order_that_is_cancelled_unless_it_is_paid_can_be_paid_by_its_customer() -> None:
    statuses = {fact: status for status, fact in PAYMENT_FACTS.items()}
    for state in reachable():
        if state.deadline is not Deadline.PAYMENT:
            continue
        status = statuses[state.payment]
        order = OrderStatus.CONFIRMED if state.order is OrderFact.CONFIRMED else OrderStatus.SUBMITTED
        standing = Standing(order, 1, True, True, False, False, status, state.attempt)
        is_under_way = state.payment in (PaymentFact.NONE, PaymentFact.ASKED)
        assert is_allowed(Action.PAY, standing) or is_under_way, state
        assert state.payment is not PaymentFact.NONE or Authorise() in state.asked, state


def test_a_submitted_order_whose_payment_is_not_held_has_a_deadline() -> None:
    """Else it would hold its pieces for ever, at no cost to whoever submitted it."""
    held = {PaymentFact.AUTHORISED, PaymentFact.CAPTURED, PaymentFact.VOIDED, PaymentFact.REFUNDED}
    for state in reachable():
        is_held = state.paid and state.payment in held
        if state.order is OrderFact.SUBMITTED and not is_held:
            assert state.deadline is not None, state


def test_a_confirmed_order_whose_amount_is_not_held_any_more_has_a_deadline_until_something_is_shipped() -> None:
    """Else its pieces would be kept for ever, or be shipped unpaid; a bank lets an amount go after a week."""
    unpaid = {PaymentFact.ASKED, PaymentFact.ACTION_REQUIRED, PaymentFact.DECLINED, PaymentFact.LAPSED}
    for state in reachable():
        if state.order is OrderFact.CONFIRMED and state.paid and state.payment in unpaid:
            was_held = Confirm() in state.asked
            assert was_held or state.payment is not PaymentFact.LAPSED
            assert state.deadline is (Deadline.PAYMENT if was_held and not state.any_shipped else None), state


@pytest.mark.parametrize("before", [[HELD, LAPSED], [LAPSED], [DECLINED, HELD_ANEW, LAPSED_ANEW]])
def test_another_token_puts_no_deadline_off_of_what_staff_have_confirmed_either(before: list[Found]) -> None:
    """The amount was held, and is not any more: staff were not paid otherwise."""
    state, _ = play(PAID, AWAITED, CONFIRMED, *before)
    assert state.deadline is Deadline.PAYMENT
    for fact in (PaymentFact.ASKED, PaymentFact.DECLINED):
        state, _ = look(state, payment(fact, 3))
        assert state.deadline is Deadline.PAYMENT, fact


def test_every_status_of_orders_and_payments_is_a_fact() -> None:
    assert (set(ORDER_FACTS), set(PAYMENT_FACTS)) == (set(OrderStatus), set(OrderPaymentStatus))
