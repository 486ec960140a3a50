"""What payments hold of a customer is found, and is forgotten with their orders."""

from decimal import Decimal
from uuid import uuid4

from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.owner_data import page_of
from shared.ordering.events import OrderErasedV1, OrderStatus
from shared.payments.commands.refund_payment import RefundPayment
from shared.payments.tables import METADATA
from tests.support.paying import Paying
from tests.support.shop import rows


async def test_the_payment_of_an_erased_order_says_nothing_of_anybody_and_gives_back_what_is_due(pay: Paying) -> None:
    order_id = await pay.captured()
    due = RefundPayment(order_id=order_id, amount=Decimal("9.80"), reason="Ms. Secret's cup was broken")
    pay.shop.payments.run(pay.refund, due, Metadata(fingerprint=b"f" * 32))
    erased = OrderErasedV1(order_id, pay.payment(order_id).customer_id, OrderStatus.COMPLETED)
    for _ in range(2):
        await pay.ask(erased)
    payment = await pay.deliver(order_id)
    assert (payment.erased, payment.version, str(payment.refunded)) == (True, 8, "9.80")

    later = RefundPayment(order_id=order_id, reason="The rest of Ms. Secret's cups")
    pay.shop.payments.run(pay.refund, later, Metadata())
    await pay.deliver(order_id)
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980), ("refunded", 4000)]
    everything = repr([rows(pay.shop.payments_engine, table) for table in METADATA.sorted_tables])
    assert [word for word in ("Secret", "cup", repr(b"f" * 32)) if word in everything] == []


async def test_an_erased_order_on_account_has_no_payment_to_erase(pay: Paying) -> None:
    order_id = uuid4()
    await pay.ask(OrderErasedV1(order_id, uuid4(), OrderStatus.CANCELLED))
    assert pay.history(order_id) == []


async def test_what_is_held_of_a_customer_has_their_payments_and_nobody_elses(pay: Paying) -> None:
    order_id = await pay.authorisation()
    await pay.authorisation()
    held, _ = page_of(pay.held, pay.payment(order_id).customer_id, None, 100)
    assert [each.recorded for each in held] == pay.history(order_id)
