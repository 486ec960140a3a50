"""The process of an order: every state that it can come to, with every event, also late, twice and in any order."""

import random
from collections import deque
from functools import cache
from itertools import product

import pytest

from shared.ordering.domain.actions import Action, Standing, is_allowed
from shared.ordering.events import OrderStatus
from shared.ordering.fulfilment.decisions import (
    AllShipped,
    Ask,
    Authorise,
    Cancel,
    Capture,
    Confirm,
    Deadline,
    DeadlinePassed,
    FulfilmentFacts,
    News,
    OrderFact,
    OrderNews,
    PaymentFact,
    PaymentNews,
    Refund,
    Stock,
    StockSettled,
    Submitted,
    TokenGiven,
    Void,
    decide,
)
from shared.ordering.fulfilment.status_facts import PAYMENT_FACTS

PAID, ON_ACCOUNT = Submitted(paid=True), Submitted(paid=False)
COMPLETE, AWAITED = Stock(complete=True), Stock(complete=False)


def payment(fact: PaymentFact, attempt: int = 1) -> PaymentNews:
    return PaymentNews(fact, attempt)


ASKED, ACTION, DECLINED, HELD, TAKEN, LAPSED, VOIDED, REFUNDED = (
    payment(fact) for fact in list(PaymentFact) if fact is not PaymentFact.NONE
)
CONFIRMED, COMPLETED, CANCELLED = (
    OrderNews(fact) for fact in (OrderFact.CONFIRMED, OrderFact.COMPLETED, OrderFact.CANCELLED)
)
NO_STOCK, NO_PAYMENT, NO_CONFIRMATION, NO_SETTLEMENT = (DeadlinePassed(deadline) for deadline in Deadline)
ALL_HERE, SOME_SHIPPED = StockSettled(any_shipped=False), StockSettled(any_shipped=True)
SECOND = [payment(fact, 2) for fact in (PaymentFact.DECLINED, PaymentFact.AUTHORISED, PaymentFact.CAPTURED)]
VOIDED_ANEW = payment(PaymentFact.VOIDED, 2)
EVERY: list[News] = [
    *(PAID, COMPLETE, AWAITED),
    *(ASKED, ACTION, DECLINED, HELD, TAKEN, LAPSED, VOIDED, REFUNDED),
    TokenGiven(2),
    *(*SECOND, VOIDED_ANEW),
    *(CONFIRMED, COMPLETED, CANCELLED, AllShipped()),
    *(ALL_HERE, SOME_SHIPPED),
    *(NO_STOCK, NO_PAYMENT, NO_CONFIRMATION, NO_SETTLEMENT),
]


def play(*news: News) -> tuple[FulfilmentFacts, list[Ask]]:
    """What is known after these, and all that was asked for, in order."""
    state = FulfilmentFacts()
    asked: list[Ask] = []
    for each in news:
        state, asks = decide(state, each)
        asked += asks
    return state, asked


WAYS: dict[str, tuple[list[News], list[Ask], str]] = {
    "on account": ([ON_ACCOUNT, COMPLETE, CONFIRMED, AllShipped(), COMPLETED], [], "nothing"),
    "on account, not confirmed yet": ([ON_ACCOUNT, COMPLETE], [], "the confirmation"),
    "on account, and never confirmed": (
        [ON_ACCOUNT, COMPLETE, NO_CONFIRMATION, CANCELLED],
        [Cancel(Deadline.CONFIRMATION)],
        "nothing",
    ),
    "paid, of what is there": (
        [PAID, COMPLETE, ASKED, HELD, CONFIRMED, AllShipped(), COMPLETED, TAKEN],
        [Authorise(1), Confirm(), Capture()],
        "nothing",
    ),
    "paid, after the waiting list": ([PAID, AWAITED, COMPLETE, HELD], [Authorise(1), Confirm()], "the confirmation"),
    "waiting for stock": ([PAID, AWAITED], [], "stock"),
    "waited for stock too long": ([PAID, AWAITED, NO_STOCK], [Cancel(Deadline.STOCK)], "the cancellation"),
    "on account, waited too long": (
        [ON_ACCOUNT, AWAITED, NO_STOCK, CANCELLED],
        [Cancel(Deadline.STOCK)],
        "nothing",
    ),
    "declined": ([PAID, COMPLETE, ASKED, ACTION, DECLINED], [Authorise(1)], "the customer"),
    "declined, then another token": (
        [PAID, COMPLETE, DECLINED, TokenGiven(2), payment(PaymentFact.AUTHORISED, 2)],
        [Authorise(1), Authorise(2), Confirm()],
        "the confirmation",
    ),
    "declined, then held for another card in the browser": (
        [PAID, COMPLETE, ACTION, DECLINED, ACTION, HELD],
        [Authorise(1), Confirm()],
        "the confirmation",
    ),
    "held, and the earlier decline comes late": (
        [PAID, COMPLETE, HELD, DECLINED],
        [Authorise(1), Confirm()],
        "the confirmation",
    ),
    "declined until the deadline": (
        [PAID, COMPLETE, DECLINED, NO_PAYMENT, CANCELLED, VOIDED],
        [Authorise(1), Cancel(Deadline.PAYMENT), Void()],
        "nothing",
    ),
    "a cardholder who is waited for": ([PAID, COMPLETE, ACTION, HELD], [Authorise(1), Confirm()], "the confirmation"),
    "a cardholder who never comes": (
        [PAID, COMPLETE, ACTION, NO_PAYMENT, CANCELLED],
        [Authorise(1), Cancel(Deadline.PAYMENT), Void()],
        "the void",
    ),
    "cancelled before anything": ([PAID, AWAITED, CANCELLED, ALL_HERE], [], "nothing"),
    "cancelled before anything, and it is not known whether anything was shipped": (
        [PAID, AWAITED, CANCELLED],
        [],
        "the catalogue: whether anything was shipped",
    ),
    "cancelled before its payment was asked for, and shipped in part": (
        [PAID, CANCELLED, SOME_SHIPPED],
        [Authorise(1)],
        "the authorisation",
    ),
    "cancelled before its payment was asked for, shipped in part, and paid": (
        [PAID, CANCELLED, SOME_SHIPPED, ASKED, HELD, TAKEN],
        [Authorise(1), Capture()],
        "nothing",
    ),
    "cancelled before its payment was asked for, shipped in part, and paid with another token": (
        [PAID, CANCELLED, SOME_SHIPPED, DECLINED, TokenGiven(2), payment(PaymentFact.AUTHORISED, 2)],
        [Authorise(1), Authorise(2), Capture()],
        "the capture",
    ),
    "cancelled before anything is heard of the payment": (
        [PAID, COMPLETE, CANCELLED, ALL_HERE],
        [Authorise(1), Void()],
        "the void",
    ),
    "cancelled while it is authorised": (
        [PAID, COMPLETE, CANCELLED, ALL_HERE, HELD],
        [Authorise(1), Void()],
        "the void",
    ),
    "cancelled while it is confirmed": (
        [PAID, COMPLETE, HELD, CANCELLED, ALL_HERE, VOIDED],
        [Authorise(1), Confirm(), Void()],
        "nothing",
    ),
    "cancelled before anything of it is shipped": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, ALL_HERE],
        [Authorise(1), Confirm(), Void()],
        "the void",
    ),
    "cancelled, and it is not known whether anything was shipped": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED],
        [Authorise(1), Confirm()],
        "the catalogue: whether anything was shipped",
    ),
    "cancelled while it is shipped in part": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, SOME_SHIPPED],
        [Authorise(1), Confirm(), Capture()],
        "the capture",
    ),
    "cancelled while it is shipped in part, and paid": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, SOME_SHIPPED, TAKEN],
        [Authorise(1), Confirm(), Capture()],
        "nothing",
    ),
    "cancelled while it is shipped in part, and refunded by the shop": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, SOME_SHIPPED, TAKEN, REFUNDED],
        [Authorise(1), Confirm(), Capture()],
        "nothing",
    ),
    "cancelled while it is shipped in part, and held only later": (
        [PAID, COMPLETE, CONFIRMED, CANCELLED, SOME_SHIPPED, ASKED, HELD],
        [Authorise(1), Capture()],
        "the capture",
    ),
    "cancelled while it is shipped in part, and declined": (
        [PAID, COMPLETE, DECLINED, CONFIRMED, CANCELLED, SOME_SHIPPED],
        [Authorise(1)],
        "the customer",
    ),
    "cancelled while it is shipped in part, and lapsed": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, LAPSED, SOME_SHIPPED],
        [Authorise(1), Confirm()],
        "nothing",
    ),
    "cancelled on account while it is shipped in part": (
        [ON_ACCOUNT, COMPLETE, CANCELLED, SOME_SHIPPED],
        [],
        "nothing",
    ),
    "cancelled while it is captured": (
        [PAID, COMPLETE, HELD, CONFIRMED, AllShipped(), CANCELLED, ALL_HERE, TAKEN, REFUNDED],
        [Authorise(1), Confirm(), Capture(), Refund()],
        "nothing",
    ),
    "cancelled, and was captured by the shop at the provider": (
        [PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, ALL_HERE, TAKEN],
        [Authorise(1), Confirm(), Void(), Refund()],
        "the refund",
    ),
    "stock that is lost while it is authorised": (
        [PAID, COMPLETE, AWAITED, HELD],
        [Authorise(1)],
        "stock",
    ),
    "stock that comes back": ([PAID, COMPLETE, AWAITED, HELD, COMPLETE], [Authorise(1), Confirm()], "the confirmation"),
    "held, and lapsed before it was shipped": (
        [PAID, COMPLETE, HELD, CONFIRMED, LAPSED, AllShipped()],
        [Authorise(1), Confirm()],
        "the customer",
    ),
    "held, lapsed, and paid with another token before it was shipped": (
        [PAID, COMPLETE, HELD, CONFIRMED, LAPSED, TokenGiven(2), payment(PaymentFact.AUTHORISED, 2), AllShipped()],
        [Authorise(1), Confirm(), Authorise(2), Capture()],
        "the capture",
    ),
    "lapsed while it is captured, and paid with another token": (
        [PAID, COMPLETE, HELD, CONFIRMED, AllShipped(), COMPLETED, LAPSED, TokenGiven(2), *SECOND[1:]],
        [Authorise(1), Confirm(), Capture(), Authorise(2), Capture()],
        "nothing",
    ),
    "lapsed unheard of while it is captured, and paid with another token": (
        [PAID, COMPLETE, HELD, CONFIRMED, AllShipped(), COMPLETED, TokenGiven(2), *SECOND[1:]],
        [Authorise(1), Confirm(), Capture(), Authorise(2), Capture()],
        "nothing",
    ),
    "lapsed before it was confirmed": (
        [PAID, COMPLETE, AWAITED, HELD, LAPSED, COMPLETE],
        [Authorise(1)],
        "the customer",
    ),
    "lapsed before it was confirmed, and paid with another token": (
        [PAID, COMPLETE, AWAITED, HELD, LAPSED, COMPLETE, TokenGiven(2), payment(PaymentFact.AUTHORISED, 2)],
        [Authorise(1), Authorise(2), Confirm()],
        "the confirmation",
    ),
    "lapsed before it was confirmed, until the deadline": (
        [PAID, COMPLETE, AWAITED, HELD, LAPSED, COMPLETE, NO_PAYMENT, CANCELLED],
        [Authorise(1), Cancel(Deadline.PAYMENT), Void()],
        "nothing",
    ),
    "held, lapsed, and completed all the same": (
        [PAID, COMPLETE, HELD, CONFIRMED, LAPSED, AllShipped(), COMPLETED],
        [Authorise(1), Confirm()],
        "nothing",
    ),
    "lapsed while it is captured": (
        [PAID, COMPLETE, HELD, CONFIRMED, AllShipped(), COMPLETED, LAPSED],
        [Authorise(1), Confirm(), Capture()],
        "nothing",
    ),
    "lapsed while it is voided, and paid with another token": (
        [*(PAID, COMPLETE, HELD, CONFIRMED, CANCELLED, ALL_HERE, LAPSED, TokenGiven(2)), SECOND[1], VOIDED_ANEW],
        [Authorise(1), Confirm(), Void(), Void()],
        "nothing",
    ),
    "lapsed, and then cancelled": (
        [PAID, COMPLETE, HELD, CONFIRMED, LAPSED, CANCELLED],
        [Authorise(1), Confirm()],
        "nothing",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_order_goes_its_way(way: str) -> None:
    news, asks, waits_for = WAYS[way]
    state, asked = play(*news)
    assert (asked, state.waits_for) == (asks, waits_for)


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_twice_asks_for_nothing_twice(way: str) -> None:
    news, asks, waits_for = WAYS[way]
    state, asked = play(*(each for each in news for _ in range(2)))
    assert (asked, state.waits_for) == (asks, waits_for)


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_again_much_later_asks_for_nothing(way: str) -> None:
    news, _, _ = WAYS[way]
    facts = [each for each in news if not isinstance(each, Stock)]  # of stock the last word counts
    state, _ = play(*news)
    for each in facts:
        assert decide(state, each) == (state, ())


@cache
def reachable() -> frozenset[FulfilmentFacts]:
    """Every state that any events in any order lead to."""
    found, left = {FulfilmentFacts()}, deque([FulfilmentFacts()])
    while left:
        state = left.popleft()
        for news in EVERY:
            following, _ = decide(state, news)
            if following not in found:
                found.add(following)
                left.append(following)
    return frozenset(found)


def test_every_state_takes_every_event_and_does_the_same_once() -> None:
    assert len(reachable()) > 1_000
    for state, news in product(reachable(), EVERY):
        following, asks = decide(state, news)
        asked = state.asked - ({Capture(), Void()} if following.attempt > state.attempt else set())
        was_held = following.payment in (PaymentFact.AUTHORISED, PaymentFact.CAPTURED, PaymentFact.LAPSED)
        by_staff = {Confirm()} if following.order is OrderFact.CONFIRMED and was_held else set[Ask]()
        assert following.asked == asked.union(asks, by_staff)
        assert not asked.intersection(asks), "nothing is asked for twice, but for the end of another attempt"
        assert decide(following, news) == (following, ()), "twice is as once"
        assert following.waits_for


def test_money_is_never_let_go_and_taken_nor_asked_for_by_a_cancelled_order_of_which_nothing_was_shipped() -> None:
    for state, news in product(reachable(), EVERY):
        following, asks = decide(state, news)
        assert not {Capture(), Void()} <= following.asked
        if following.order is OrderFact.CANCELLED:
            assert not {Confirm, Cancel}.intersection(map(type, asks))
            assert not {Authorise, Capture}.intersection(map(type, asks)) or following.any_shipped
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
            assert not is_unpaid or state.payment is not PaymentFact.NONE or Authorise(state.attempt) in state.asked
            assert is_unpaid or state.asked & {Void(), Refund(), Capture()}, state


def test_only_an_order_that_waits_has_a_deadline_and_only_its_own_cancels_it() -> None:
    for state, deadline in product(reachable(), Deadline):
        _, asks = decide(state, DeadlinePassed(deadline))
        assert (Cancel(deadline) in asks) == (state.deadline is deadline is not Deadline.SETTLEMENT)
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
        is_under_way = state.payment in (PaymentFact.NONE, PaymentFact.ASKED, PaymentFact.ACTION_REQUIRED)
        assert is_allowed(Action.PAY, standing) or is_under_way, state
        assert state.payment is not PaymentFact.NONE or Authorise(state.attempt) in state.asked, state


def test_a_submitted_order_whose_payment_is_not_held_has_a_deadline() -> None:
    """Else it would hold its pieces for ever, at no cost to whoever submitted it."""
    held = {PaymentFact.AUTHORISED, PaymentFact.CAPTURED, PaymentFact.VOIDED, PaymentFact.REFUNDED}
    for state in reachable():
        is_cancelled = any(isinstance(ask, Cancel) for ask in state.asked)
        is_held = state.paid and state.payment in held
        if state.order is OrderFact.SUBMITTED and state.paid is not None and not is_held and not is_cancelled:
            assert state.deadline is not None, state


def test_a_confirmed_order_whose_amount_is_not_held_any_more_has_a_deadline_until_something_is_shipped() -> None:
    """Else its pieces would be kept for ever, or be shipped unpaid; a bank lets an amount go after a week."""
    unpaid = {PaymentFact.ASKED, PaymentFact.ACTION_REQUIRED, PaymentFact.DECLINED, PaymentFact.LAPSED}
    for state in reachable():
        if state.order is OrderFact.CONFIRMED and state.paid and state.payment in unpaid:
            is_cancelled = any(isinstance(ask, Cancel) for ask in state.asked)
            goes = state.any_shipped or state.shipped or is_cancelled
            was_held = Confirm() in state.asked
            assert was_held or state.payment is not PaymentFact.LAPSED
            assert state.deadline is (Deadline.PAYMENT if was_held and not goes else None), state


def test_an_order_that_staff_confirm_without_the_money_is_not_cancelled_for_it() -> None:
    """They may have been paid otherwise, and are about to ship it."""
    state, asked = play(PAID, COMPLETE, DECLINED, CONFIRMED, NO_PAYMENT)
    assert (asked, state.deadline, state.waits_for) == ([Authorise(1)], None, "the customer")


@pytest.mark.parametrize(
    "before", [[HELD, LAPSED], [LAPSED], [DECLINED, TokenGiven(2), *SECOND[1:2], payment(PaymentFact.LAPSED, 2)]]
)
def test_another_token_puts_no_deadline_off_of_what_staff_have_confirmed_either(before: list[News]) -> None:
    """The amount was held, and is not any more: staff were not paid otherwise."""
    state, _ = play(PAID, AWAITED, CONFIRMED, *before)
    assert state.deadline is Deadline.PAYMENT
    for news in (TokenGiven(3), payment(PaymentFact.ASKED, 3), payment(PaymentFact.DECLINED, 3)):
        state, _ = decide(state, news)
        assert state.deadline is Deadline.PAYMENT, news


def test_whether_anything_of_a_confirmed_order_was_shipped_is_left_to_the_catalogue_when_its_deadline_passes() -> None:
    state, asked = play(PAID, COMPLETE, HELD, CONFIRMED, LAPSED, NO_PAYMENT)
    assert (asked, state.any_shipped) == ([Authorise(1), Confirm(), Cancel(Deadline.PAYMENT)], None)
    state, asks = decide(decide(state, CANCELLED)[0], ALL_HERE)
    assert (asks, state.ended) == ((Void(),), True)


@pytest.mark.parametrize("seed", range(200))
def test_events_that_come_in_any_order_lead_to_the_same_end(seed: int) -> None:
    chance = random.Random(seed)
    way: list[News] = [PAID, COMPLETE, ASKED, HELD, CONFIRMED, AllShipped(), COMPLETED, TAKEN]
    shuffled = chance.sample(way, len(way))
    state, asked = play(*shuffled)
    assert state.ended
    assert len(set(asked)) == len(asked)
    assert not {Void(), Refund()} & set(asked)


@pytest.mark.parametrize("seed", range(200))
def test_a_cancelled_order_ends_with_its_money_back_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    way: list[News] = [PAID, COMPLETE, HELD, CONFIRMED, AllShipped(), CANCELLED, ALL_HERE]
    state, asked = play(*chance.sample(way, len(way)))
    # the payments context answers what it was asked, as its rules say
    for answer in [TAKEN, REFUNDED] if Capture() in asked else [VOIDED]:
        state, asks = decide(state, answer)
        asked += asks
    assert state.ended, (state, asked)
    assert (Refund() in asked) == (Capture() in asked)


@pytest.mark.parametrize("seed", range(200))
def test_a_cancelled_order_of_which_something_is_shipped_is_paid_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    way: list[News] = [PAID, COMPLETE, ASKED, HELD, CONFIRMED, CANCELLED, SOME_SHIPPED]
    state, asked = play(*chance.sample(way, len(way)))
    assert (asked[-1], state.waits_for) == (Capture(), "the capture")
    state, asks = decide(state, TAKEN)
    assert (state.ended, asks) == (True, ())
    assert not {Void(), Refund()} & set(asked)
