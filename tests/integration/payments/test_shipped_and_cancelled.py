"""An order that is cancelled in the moment in which a part of it is shipped is paid: the provider's ledger says so."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.reading import read_from
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.domain.actions import Action, allowed
from shared.ordering.domain.errors import OrderNotInStatus
from shared.ordering.event_handlers.follow_payments import follow_payment
from shared.ordering.events import OrderStatus, fulfilment_of
from shared.ordering.jobs.erase_orders import EraseOrder, erase_order
from shared.payments.commands.pay_again import PayAgain, pay_again
from shared.payments.commands.refund_payment import RefundPayment
from tests.support.on_its_way import CARD, Way, hasty, kept, submitted
from tests.support.paying import Paying


async def settle(pay: Paying, way: Way) -> None:
    """Let payments do what the fulfilment asks for, and ordering hear of it, until nothing is left."""
    before = -1
    while (asked := len(way.asked)) > before:
        before = asked
        for each in read_from(
            pay.shop.ordering_engine, lambda to: ordering.LOG.history(to, fulfilment_of(way.order_id))
        ):
            await pay.consumers["follow_fulfilment"](each.envelope)
        await pay.deliver(way.order_id)
        for event in pay.history(way.order_id):
            pay.shop.ordering.follow(ordering.INBOX, follow_payment, event)
        way.news.deliver()


@pytest.mark.parametrize("shipped", [True, False], ids=["shipped", "not shipped"])
async def test_a_cancelled_order_is_paid_if_a_piece_of_it_was_shipped_before_ordering_knew(
    pay: Paying, *, shipped: bool
) -> None:
    shop, tea = pay.shop, kept(pay.shop, 1)
    way = submitted(shop, tea, kept(shop, 1))
    await settle(pay, way)
    assert way.order.status is OrderStatus.CONFIRMED
    if shipped:
        items = [ShippedItem(product_id=tea, quantity=1)]
        shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())
    shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    shop.fulfil(way.order_id)
    assert pay.moved(way.order_id) == [("authorised", 2500)], "it waits for what the catalogue says"
    await settle(pay, way)
    assert pay.moved(way.order_id) == [("authorised", 2500), ("captured" if shipped else "voided", 2500)]
    assert (way.order.status, way.waits_for) == (OrderStatus.CANCELLED, "nothing")
    assert allowed(way.order.standing) == ([Action.REFUND] if shipped else [])
    if shipped:
        refund = RefundPayment(order_id=way.order_id, amount=Decimal("12.50"), reason="One came back")
        shop.payments.run(pay.refund, refund, Metadata())
        await settle(pay, way)
        assert pay.moved(way.order_id)[2:] == [("refunded", 1250)]
        assert (way.waits_for, allowed(way.order.standing)) == ("nothing", [Action.REFUND])


@pytest.mark.parametrize("token", [CARD, "pm_card_visa_chargeDeclined"], ids=["authorised", "declined"])
async def test_an_order_that_is_shipped_and_cancelled_before_its_payment_was_asked_for_is_paid(
    pay: Paying, token: str
) -> None:
    way = hasty(pay.shop, kept(pay.shop, 1), kept(pay.shop, 1), token=token)
    pay.shop.fulfil(way.order_id)
    assert (way.asked, way.process.token) == ([], token), "it waits for what the catalogue says"
    way.news.deliver()
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")
    await settle(pay, way)
    if token != CARD:
        assert (way.waits_for, way.process.due_at) == ("the customer", None)
        assert allowed(way.order.standing) == [Action.PAY]
        pay.shop.payments.run(pay_again, PayAgain(order_id=way.order_id, token=CARD), Metadata())
        await settle(pay, way)
    assert pay.moved(way.order_id) == [("authorised", 2500), ("captured", 2500)]
    assert (way.order.status, way.waits_for, way.process.token) == (OrderStatus.CANCELLED, "nothing", None)
    assert allowed(way.order.standing) == [Action.REFUND]


async def test_an_order_is_erased_when_it_is_clear_whether_it_has_to_be_paid(pay: Paying) -> None:
    way = hasty(pay.shop, kept(pay.shop, 1), kept(pay.shop, 1))
    erase = EraseOrder(way.order_id)
    for _ in range(2):
        with pytest.raises(OrderNotInStatus, match="may have to be paid yet"):
            pay.shop.ordering.run(erase_order, erase, Metadata())
        pay.shop.fulfil(way.order_id)
    way.news.deliver()
    await settle(pay, way)
    assert pay.moved(way.order_id) == [("authorised", 2500), ("captured", 2500)]
    pay.shop.ordering.run(erase_order, erase, Metadata())
    await pay.consumers["follow_fulfilment"](way.last.envelope)
    assert pay.payment(way.order_id).erased


@pytest.mark.parametrize(("end", "moved"), [(Way.complete, ["authorised", "captured"]), (Way.cancel, [])])
async def test_an_order_is_erased_when_the_payment_that_it_asked_for_has_begun(
    pay: Paying, end: Callable[[Way], None], moved: list[str]
) -> None:
    """Payments heard of the erasure first, and then of the payment, which was never erased."""
    way = submitted(pay.shop)
    way.confirm()
    end(way)
    erase = EraseOrder(way.order_id)
    with pytest.raises(OrderNotInStatus, match="its payment has yet to begin"):
        pay.shop.ordering.run(erase_order, erase, Metadata())
    await settle(pay, way)
    assert [kind for kind, _ in pay.moved(way.order_id)] == moved
    pay.shop.ordering.run(erase_order, erase, Metadata())
    await pay.consumers["follow_fulfilment"](way.last.envelope)
    assert pay.payment(way.order_id).erased
