"""Payments as a context, wired to the laptop's provider, for tests that ask, deliver and look at both books."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import sqlalchemy as sa
import stripe

from infra.local.payments.running import TIMEOUT, Engine
from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.callers import Requester
from shared.frame.read_side.read_your_writes import NO_WAIT, Wait, wait_for
from shared.frame.sql.reading import read_from
from shared.ordering.events import AuthorisationAskedV1, CaptureAskedV1, FulfilmentEvent, OrderErasedV1
from shared.payments.domain.payment import Payment
from shared.payments.events import PaymentEvent
from shared.payments.jobs.perform_due import Performing
from shared.payments.repository import payment_as_stored
from shared.payments.stripe_provider import StripeProvider
from shared.payments.tables import LOG, PAYMENTS
from shared.payments.views.order_payment import OrderPayment, OrderPayments, ReadPayment
from tests.support.fulfilment import envelope_of
from tests.support.jobs import do
from tests.support.shop import Shop

AMOUNT = Decimal("49.80")
NOBODY_IS_THERE = "http://127.0.0.1:1"


@dataclass
class Paying:
    """Payments, wired to the provider."""

    shop: Shop
    engine: Engine

    def __post_init__(self) -> None:
        context = self.shop.wired()["payments"]
        self.consumers = {consumer.name: consumer.consume for consumer in context.consumers}
        self.context = context
        self.hear = context.webhooks[0].receive
        self.held = context.app.owner_data
        self.provider = StripeProvider.from_environment(self.shop.environment)
        self.performing = Performing(context.engine, context.outbox.wake, self.provider)
        [self.refund] = [each.handler for each in context.commands if each.name == "post_order_refund"]
        self.views = OrderPayments(context.reader, self.provider)

    async def ask(self, event: FulfilmentEvent | OrderErasedV1, event_id: UUID | None = None) -> None:
        """Let a request of fulfilment arrive, or the news that an order was erased."""
        envelope = envelope_of(event)
        envelope = replace(envelope, event_id=event_id or envelope.event_id)
        await self.consumers["follow_fulfilment"](envelope)

    async def authorisation(
        self,
        token: str = "pm_card_visa",  # noqa: S107  # a test token
        currency: str = "EUR",
        amount: Decimal = AMOUNT,
    ) -> UUID:
        """Ask for one, and let it be performed."""
        asked = AuthorisationAskedV1(uuid4(), uuid4(), currency, amount, token, 1)
        await self.ask(asked)
        await self.deliver(asked.order_id)
        return asked.order_id

    async def captured(
        self,
        token: str = "pm_card_visa",  # noqa: S107  # a test token
        currency: str = "EUR",
        amount: Decimal = AMOUNT,
    ) -> UUID:
        """Have a payment captured."""
        order_id = await self.authorisation(token, currency, amount)
        await self.ask(CaptureAskedV1(order_id))
        await self.deliver(order_id)
        return order_id

    async def deliver(self, order_id: UUID) -> Payment:
        """Deliver a payment's events, each in its turn, also those that come of it."""
        delivered = 0
        while len(history := self.history(order_id)) > delivered:
            for recorded in history[delivered:]:
                await self.consumers["perform_due_payment"](recorded.envelope)
            delivered = len(history)
        return self.payment(order_id)

    def history(self, order_id: UUID) -> list[Recorded[PaymentEvent]]:
        """All events of a payment."""
        return list(read_from(self.shop.payments_engine, lambda asked: LOG.history(asked, order_id)))

    def payment(self, order_id: UUID) -> Payment:
        """The payment as its tables have it, which is as its events make it."""
        stored = payment_as_stored(self.shop.payments_engine, order_id)
        assert stored is not None
        folded = Payment.fold(recorded.event for recorded in self.history(order_id))
        assert vars(stored) == vars(folded)
        return stored

    def moved(self, order_id: UUID) -> list[tuple[str, int]]:
        """What the provider's ledger says of it."""
        return [
            (each["kind"], each["amount"])
            for each in self.engine.movements()
            if each["metadata"].get("payment") == str(order_id)
        ]

    def webhook(self, order_id: UUID, secret: str | None = None) -> tuple[bytes, str]:
        """A webhook about a payment, and its signature."""
        told = {"object": "payment_intent", "metadata": {"payment": str(order_id)}}
        body = json.dumps({"id": "evt_1", "object": "event", "type": "x", "data": {"object": told}})
        return body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret or self.engine.secret)

    async def read(self, order_id: UUID, customer_id: UUID, wait: Wait = NO_WAIT) -> OrderPayment:
        """What is shown of it."""
        shown, _ = await self.views.read_payment(ReadPayment(order_id=order_id, customer_id=customer_id), wait)
        return shown


def without_provider(pay: Paying) -> Paying:
    """The same payments, in a process that reaches no provider."""
    return Paying(replace(pay.shop, environment={**pay.shop.environment, "STRIPE_API": NOBODY_IS_THERE}), pay.engine)


async def tick(pay: Paying) -> None:
    """Let the timer come, at a time when all that is due is to be looked at."""
    with pay.shop.payments_engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(sa.update(PAYMENTS).where(PAYMENTS.c.look_at.is_not(None)).values(look_at=past))
    for name in ("look_after_payments", "payments figures"):
        await do(pay.context, name)


async def not_authenticated(pay: Paying) -> tuple[UUID, str, str]:
    """A payment whose cardholder did not show that it is them: its order, reference, and the browser's secret."""
    order_id = await pay.authorisation("pm_card_authenticationRequired")
    payment = pay.payment(order_id)
    shown = await pay.read(order_id, payment.customer_id, wait_for(5, Requester(payment.customer_id)))
    assert payment.reference
    assert shown.client_secret
    pay.engine.authenticate(payment.reference, successful=False)
    return order_id, payment.reference, shown.client_secret


async def until_asked(engine: Engine) -> None:
    """Wait until the provider, another process, has all requests for which a fault was planned."""
    async with asyncio.timeout(TIMEOUT):
        while await asyncio.to_thread(engine.faults):
            pass


def stripe_of(pay: Paying) -> stripe.StripeClient:
    """What the shop may do by itself, as in its dashboard."""
    return stripe.StripeClient(pay.engine.key, base_addresses={"api": pay.engine.url})


def refunds_of(pay: Paying, payment: Payment) -> list[stripe.Refund]:
    """What the provider has of a payment's refunds, the newest first."""
    return stripe_of(pay).v1.refunds.list({"payment_intent": payment.reference or ""}).data
