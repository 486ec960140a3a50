"""What clients are told that they may do with an order is what the order takes, in every state that it comes to."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import pytest

from shared.kernel.aggregate import MAX_CHANGES
from shared.kernel.money import Money
from shared.kernel.refusals import Refusal
from shared.ordering.domain.actions import Action
from shared.ordering.domain.order import LineStock, Order, OrderPayment
from shared.ordering.event_handlers.follow_payments import follow_payment
from shared.ordering.events import Address, OrderEvent, OrderPaymentStatus, OrderStatus
from shared.ordering.views.order_details import OrderDetails, rendered
from shared.ordering.views.order_documents import document_of
from shared.payments.domain.payment import Payment
from shared.payments.domain.provider import ActionRequired, Declined, Gone, Held, Taken
from shared.payments.events import DeclineReason
from tests.support.offers import a_product, an_order, pieces
from tests.unit.messaging.test_stored_documents import recorded

if TYPE_CHECKING:
    from shared.ordering.repository import Orders

TEA, CUP = a_product(), a_product()
WAY: Mapping[str, Callable[[Order], None]] = {
    "submitted": lambda order: order.submit(paid=True),
    "on account": lambda order: order.submit(),
    "reserved": lambda order: order.take_stock(TEA.product_id, LineStock(1, 1, 0, 0)),
    "waiting": lambda order: order.take_stock(TEA.product_id, LineStock(2, 0, 1, 0)),
    "partly shipped": lambda order: order.take_stock(CUP.product_id, LineStock(2, 0, 0, 1)),
    "authorised": lambda order: order.take_payment(OrderPayment(1, OrderPaymentStatus.AUTHORISED, 1, Decimal(0))),
    "declined": lambda order: order.take_payment(OrderPayment(1, OrderPaymentStatus.DECLINED, 1, Decimal(0))),
    "requested": lambda order: order.take_payment(OrderPayment(1, OrderPaymentStatus.REQUESTED, 1, Decimal(0))),
    "captured": lambda order: order.take_payment(OrderPayment(2, OrderPaymentStatus.CAPTURED, 1, Decimal("2.50"))),
    "voided": lambda order: order.take_payment(OrderPayment(2, OrderPaymentStatus.VOIDED, 1, Decimal(0))),
    "confirmed": lambda order: order.confirm(),
    "shipped": lambda order: order.take_stock(TEA.product_id, LineStock(3, 0, 0, 1)),
    "completed": lambda order: order.complete(),
    "cancelled": lambda order: order.cancel("r"),
    "emptied": lambda order: order.remove(TEA.product_id),
}
STATES: Sequence[tuple[str, str]] = [
    ("", "its submission"),
    ("emptied", "its submission"),
    ("on account", "the confirmation"),
    ("on account waiting", "stock"),
    ("on account confirmed", "the shipment"),
    ("on account reserved confirmed", "the shipment"),
    ("on account reserved confirmed shipped", "nothing"),
    ("on account reserved confirmed partly shipped", "the shipment"),
    ("on account confirmed partly shipped waiting", "the shipment"),
    ("on account confirmed partly shipped waiting completed", "nothing"),
    ("on account confirmed completed", "nothing"),
    ("on account cancelled", "nothing"),
    ("cancelled", "nothing"),
    ("submitted", "stock"),
    ("submitted waiting", "stock"),
    ("submitted reserved requested", "the authorisation"),
    ("submitted declined", "the customer"),
    ("submitted authorised confirmed", "the shipment"),
    ("submitted authorised confirmed completed", "the capture"),
    ("submitted authorised confirmed completed captured", "nothing"),
    ("submitted authorised cancelled", "the void"),
    ("submitted authorised confirmed cancelled", "the void, unless anything was shipped"),
    ("submitted captured cancelled", "the refund"),
    ("submitted captured confirmed cancelled", "the refund, unless anything was shipped"),
    ("submitted reserved cancelled", "nothing"),
    ("submitted confirmed cancelled", "nothing, unless anything was shipped"),
    ("on account confirmed cancelled", "nothing"),
    ("submitted confirmed cancelled partly shipped", "the authorisation"),
    ("submitted authorised cancelled voided", "nothing"),
    ("submitted authorised confirmed cancelled partly shipped", "the capture"),
    ("submitted authorised confirmed cancelled partly shipped captured", "nothing"),
    ("submitted declined confirmed cancelled partly shipped", "the customer"),
]
VERBS: Mapping[Action, Callable[[Order], None]] = {
    Action.ADD_ITEM: lambda order: order.add([pieces(TEA)]),
    Action.REMOVE_ITEM: lambda order: order.remove(TEA.product_id),
    Action.CHANGE_SHIPPING_ADDRESS: lambda order: order.change_shipping_address(Address("Street 2", "City", "1")),
    Action.SUBMIT: lambda order: order.submit(),
    Action.CONFIRM: lambda order: order.confirm(),
    Action.COMPLETE: lambda order: order.complete(),
    Action.CANCEL: lambda order: order.cancel("r"),
}


PAYMENT_VERBS: Mapping[Action, Callable[[Payment], None]] = {
    Action.PAY: lambda payment: payment.try_another("pm_2"),
    Action.REFUND: lambda payment: payment.request_refund(uuid4()),
}
PART, REST = uuid4(), uuid4()
PAYMENT_WAY: Mapping[str, Callable[[Payment], None]] = {
    "authorised": lambda payment: payment.settle(Held()),
    "declined": lambda payment: payment.settle(Declined(DeclineReason.DECLINED)),
    "asked": lambda payment: payment.settle(ActionRequired()),
    "retried": lambda payment: payment.try_another("pm_2"),
    "capturing": lambda payment: payment.request_capture(),
    "captured": lambda payment: payment.settle(Taken(payment.amount)),
    "voiding": lambda payment: payment.request_void(),
    "gone": lambda payment: payment.settle(Gone()),
    "partly": lambda payment: payment.request_refund(PART, Decimal("2.50")),
    "paid-back": lambda payment: payment.gave_back(PART),
    "wholly": lambda payment: payment.request_refund(REST),
    "all-back": lambda payment: payment.gave_back(REST),
}
ORDER_WAY: Mapping[str, Callable[[Order], None]] = {
    "confirmed": lambda order: order.confirm(),
    "completed": lambda order: order.complete(),
    "cancelled": lambda order: order.cancel("r"),
    "shipped": lambda order: order.take_stock(TEA.product_id, LineStock(1, 0, 0, 1)),
}
PAID: Mapping[str, list[Action]] = {
    "": [],
    "asked": [Action.PAY],
    "asked retried": [],
    "asked retried asked": [Action.PAY],
    "asked" + " retried asked" * 9: [],
    "declined": [Action.PAY],
    "asked declined": [Action.PAY],
    "declined retried": [],
    "declined retried declined": [Action.PAY],
    "declined retried authorised": [],
    "declined" + " retried declined" * 8: [Action.PAY],
    "declined" + " retried declined" * 9: [],
    "declined confirmed": [Action.PAY],
    "declined confirmed completed": [Action.PAY],
    "declined cancelled voiding": [],
    "declined cancelled voiding gone": [],
    "authorised": [],
    "authorised confirmed": [],
    "authorised gone": [Action.PAY],
    "authorised gone retried": [],
    "authorised gone retried authorised": [],
    "authorised gone retried authorised gone": [Action.PAY],
    "authorised gone cancelled voiding": [],
    "authorised confirmed gone": [Action.PAY],
    "authorised confirmed completed gone": [Action.PAY],
    "authorised confirmed completed capturing gone": [Action.PAY],
    "authorised confirmed cancelled voiding": [],
    "authorised confirmed cancelled voiding gone": [],
    "authorised confirmed capturing": [],
    "authorised confirmed capturing captured": [Action.REFUND],
    "authorised confirmed completed capturing captured": [Action.REFUND],
    "authorised confirmed completed capturing captured partly": [Action.REFUND],
    "authorised confirmed completed capturing captured partly paid-back": [Action.REFUND],
    "authorised confirmed completed capturing captured partly paid-back wholly all-back": [],
    "authorised confirmed completed capturing captured wholly all-back": [],
    "authorised confirmed capturing captured cancelled wholly": [],
    "authorised confirmed capturing captured cancelled wholly all-back": [],
    "authorised confirmed cancelled shipped": [],
    "authorised confirmed cancelled shipped capturing": [],
    "authorised confirmed cancelled shipped capturing captured": [Action.REFUND],
    "authorised confirmed cancelled shipped capturing captured partly paid-back": [Action.REFUND],
    "authorised confirmed cancelled shipped capturing captured wholly all-back": [],
    "declined confirmed cancelled shipped": [Action.PAY],
    "declined confirmed cancelled shipped retried": [],
    "declined confirmed cancelled shipped gone": [Action.PAY],
}
"""What an order and its payment come to, and what may be done with the payment then."""


class OneOrder:
    """The store of one order, which keeps what is saved in the order itself."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def load(self, _order_id: UUID) -> Order:
        """Give it."""
        return self._order

    def save(self, order: Order) -> None:
        """Keep it."""
        assert order is self._order


def history_of(way: str) -> list[OrderEvent]:
    """The events of an order that came this way; "on account" is one step. Cups are ordered where some are shipped."""
    order = an_order(pieces(TEA), *([pieces(CUP)] if "partly" in way else []))
    for step in way.replace("on account", "on-account").replace("partly shipped", "partly-shipped").split():
        WAY[step.replace("-", " ")](order)
    return order.pending_events


def shown(events: Sequence[OrderEvent], version: int) -> OrderDetails:
    """What clients see of it."""
    return rendered({**document_of(recorded(list(events))), "version": version})


@pytest.mark.parametrize("version", [None, MAX_CHANGES], ids=["young", "closed for changes"])
@pytest.mark.parametrize("way", [way for way, _ in STATES])
def test_an_order_takes_what_it_says_that_it_allows_and_refuses_everything_else(way: str, version: int | None) -> None:
    assert VERBS.keys() | PAYMENT_VERBS.keys() == set(Action)
    events = history_of(way)
    order = Order.fold(events)
    order.version = version or order.version
    taken = []
    for action, verb in VERBS.items():
        tried = deepcopy(order)
        try:
            verb(tried)
        except Refusal:
            assert tried.pending_events == []
        else:
            taken.append(action)
    assert [each for each in shown(events, order.version).allowed_actions if each in VERBS] == taken


@pytest.mark.parametrize("way", PAID)
def test_an_order_says_what_its_payment_takes_and_nothing_that_it_refuses(way: str) -> None:
    order = an_order(pieces(TEA, 2))
    order.submit(paid=True)
    payment = Payment.request(order.order_id, order.customer_id, Money(order.total, "EUR"), "pm_1")
    payment.opened("pi_1")
    for step in way.split():
        if step in ORDER_WAY:
            ORDER_WAY[step](order)
        else:
            PAYMENT_WAY[step](payment)
        for event in recorded(payment.pending_events):
            follow_payment(event, cast("Orders", OneOrder(order)))
    taken = []
    for action, verb in PAYMENT_VERBS.items():
        try:
            verb(deepcopy(payment))
        except Refusal:
            continue
        taken.append(action)
    of_payment = [each for each in shown(order.pending_events, 1).allowed_actions if each in PAYMENT_VERBS]
    assert of_payment == taken == PAID[way]


def test_an_order_on_account_and_one_whose_payment_is_yet_to_come_take_no_token_and_no_refund() -> None:
    for way in ("", "on account", "on account confirmed completed", "submitted", "submitted waiting", "cancelled"):
        assert not PAYMENT_VERBS.keys() & set(shown(history_of(way), 1).allowed_actions)


@pytest.mark.parametrize(("way", "waits_for"), STATES)
def test_an_order_says_what_its_fulfilment_waits_for(way: str, waits_for: str) -> None:
    assert shown(history_of(way), 1).waits_for == waits_for


def test_an_order_shows_its_payment_in_the_digits_of_its_currency() -> None:
    assert shown(history_of("on account"), 1).payment is None
    payment = shown(history_of("submitted authorised confirmed completed captured"), 1).payment
    assert payment is not None
    assert payment.model_dump(mode="json") == {"status": "captured", "amount": "12.50", "refunded": "2.50"}


def test_every_status_of_an_order_is_tried() -> None:
    assert {Order.fold(history_of(way)).status for way, _ in STATES} == set(OrderStatus)
