"""What an order and its fulfilment make of the news of its payment."""

from decimal import Decimal
from uuid import uuid4

import pytest

from shared.frame.messaging.envelope import Metadata
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.domain.actions import Action, allowed
from shared.ordering.events import OrderStatus
from shared.payments.events import (
    PaymentCapturedV1,
    PaymentLapsedV1,
    PaymentRefundedV1,
    PaymentRefundRequestedV1,
    PaymentVoidedV1,
    PaymentVoidRequestedV1,
)
from tests.support.on_its_way import declined, follow_a_payment, held, requested, submitted, taken
from tests.support.shop import Shop


def test_another_token_is_tried_after_a_decline_and_only_payments_asks_for_it(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(requested(way), declined(way))
    assert way.waits_for == "the customer"
    way.pay(requested(way, 2))
    assert way.waits_for == "the authorisation"
    way.pay(held(way, 2))
    assert (way.order.status, way.asked) == (OrderStatus.CONFIRMED, ["AuthorisationAskedV1"])


@pytest.mark.parametrize("authorised", [True, False], ids=["authorised", "on its way"])
def test_a_cancelled_order_has_its_payment_voided(shop: Shop, *, authorised: bool) -> None:
    way = submitted(shop)
    if authorised:
        way.pay(held(way))
    way.cancel()
    assert (way.asked[-1], way.waits_for) == ("VoidAskedV1", "the void")
    way.pay(*([] if authorised else [held(way)]), PaymentVoidRequestedV1(way.order_id), PaymentVoidedV1(way.order_id))
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "VoidAskedV1"], "nothing")


def test_the_payment_of_an_order_that_was_never_confirmed_is_voided_without_the_catalogues_word(shop: Shop) -> None:
    way = submitted(shop)
    shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    shop.fulfil(way.order_id)
    assert (way.asked[-1], way.waits_for, way.process.due_at) == ("VoidAskedV1", "the void", None)


def test_a_cancelled_order_whose_payment_the_shop_took_at_the_provider_is_given_it_back(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.cancel()
    way.pay(taken(way))
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1", "RefundAskedV1"]
    assert way.waits_for == "the refund"
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", way.order.total, way.order.total))
    assert way.waits_for == "nothing"


def test_a_cancelled_order_of_which_the_shop_took_a_part_ends_when_that_is_given_back(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.cancel()
    part, total = Decimal("2.50"), way.order.total
    way.pay(PaymentCapturedV1(way.order_id, "EUR", part))
    assert way.order.payment is not None
    assert (way.order.payment.status, way.order.payment.refunded) == ("captured", total - part)
    assert (way.asked[-1], way.waits_for) == ("RefundAskedV1", "the refund")
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", part, total))
    assert (way.order.payment.refunded, way.waits_for) == (total, "nothing")


def test_a_payment_that_lapsed_waits_for_the_customer_who_pays_with_another_token(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way), PaymentLapsedV1(way.order_id))
    assert (way.waits_for, Action.PAY in allowed(way.order.standing)) == ("the customer", True)
    way.pay(requested(way, 2), held(way, 2))
    way.complete()
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "CaptureAskedV1"], "the capture")


def test_what_lapses_while_its_capture_is_asked_for_is_captured_when_it_is_paid_with_another_token(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.complete()
    way.pay(PaymentLapsedV1(way.order_id))
    assert way.waits_for == "nothing"
    way.pay(requested(way, 2), held(way, 2))
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "CaptureAskedV1", "CaptureAskedV1"], "the capture")


def test_refunds_are_shown_in_parts_and_late_news_of_the_payment_says_nothing(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.complete()
    way.pay(taken(way), PaymentRefundRequestedV1(way.order_id, uuid4(), "EUR", Decimal(1), None))
    part, total = Decimal("2.50"), way.order.total
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", part, part))
    assert way.order.payment is not None
    assert (way.order.payment.status, way.order.payment.refunded) == ("captured", part)
    version = way.order.version
    follow_a_payment(shop, held(way), 1)
    assert way.order.version == version
    way.pay(PaymentRefundedV1(way.order_id, uuid4(), "EUR", total - part, total))
    assert (way.order.payment.status, way.order.payment.refunded) == ("refunded", total)


def test_an_order_on_account_takes_no_news_of_a_payment(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    version = way.order.version
    way.pay(held(way))
    assert (way.order.version, way.order.status) == (version, OrderStatus.SUBMITTED)


def test_news_of_a_payment_that_no_order_asked_for_says_nothing(shop: Shop) -> None:
    way = submitted(shop)
    version = way.order.version
    follow_a_payment(shop, PaymentVoidedV1(uuid4()), 1)
    assert way.order.version == version
