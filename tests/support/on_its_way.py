"""An order on its way: it, its fulfilment, and news of its payment and its stock, in any order."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.event_handlers.follow_orders import FOLLOWED as FOLLOWED_BY_CATALOG
from shared.catalog.event_handlers.follow_orders import follow_order
from shared.frame.messaging.envelope import Envelope, Metadata, Recorded
from shared.frame.write_side.log_table import envelope_of
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.move_deadline import MoveDeadline, move_deadline
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from shared.ordering.domain.order import Order
from shared.ordering.event_handlers.follow_payments import follow_payment
from shared.ordering.event_handlers.fulfil_order import FOLLOWED, FulfilOrder
from shared.ordering.events import fulfilment_of
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.fulfilment.process_manager import ProcessManager
from shared.ordering.fulfilment.repository import FulfilmentProcess, Fulfilments
from shared.ordering.jobs.act_on_deadlines import Deadlines
from shared.ordering.repository import Orders
from shared.payments.events import (
    DeclineReason,
    PaymentAuthorisedV1,
    PaymentCapturedV1,
    PaymentDeclinedV1,
    PaymentEvent,
    PaymentRequestedV1,
)
from tests.support.envelopes import recorded
from tests.support.shop import Shop

PROCESS_MANAGER = ProcessManager(
    {
        Deadline.STOCK: timedelta(days=14),
        Deadline.PAYMENT: timedelta(hours=24),
        Deadline.CONFIRMATION: timedelta(days=14),
        Deadline.SETTLEMENT: timedelta(hours=24),
    }
)
FULFIL = FulfilOrder(PROCESS_MANAGER)
CARD = "pm_card_visa"


class News:
    """Takes what happens from the logs to whom it concerns, until nothing is left."""

    def __init__(self, shop: Shop, chance: random.Random | None = None) -> None:
        self._shop, self._chance = shop, chance
        self._seen: set[UUID] = set()

    def deliver(self) -> None:
        """Deliver what has happened, and what follows from that."""
        while deliveries := self._new():
            if self._chance is not None:
                deliveries = self._chance.sample(deliveries * 2, len(deliveries) * 2)
            for deliver in deliveries:
                deliver()

    def _new(self) -> list[Callable[[], None]]:
        found: list[Callable[[], None]] = []
        for tables in (ordering, catalog):
            with self._shop.engines[tables.SCHEMA].connect() as connection:
                logged = connection.execute(sa.select(tables.LOG.table).order_by(tables.LOG.table.c.sequence)).all()
            for envelope in map(envelope_of, logged):
                if envelope.event_id not in self._seen:
                    self._seen.add(envelope.event_id)
                    found += self._deliveries(tables.SCHEMA, envelope)
        return found

    def _deliveries(self, schema: str, envelope: Envelope) -> list[Callable[[], None]]:
        ordering_, catalog_ = self._shop.ordering, self._shop.catalog
        if schema == "catalog":
            recorded: Recorded[Any] = catalog.CODEC.open(envelope)
            return [lambda: ordering_.follow(ordering.INBOX, FULFIL.follow_product, recorded)]
        own = ordering.CODEC.open(envelope)
        deliveries: list[Callable[[], None]] = []
        if type(own.event).__name__ in FOLLOWED:
            deliveries.append(lambda: ordering_.follow(ordering.INBOX, FULFIL.follow_order, own))
        if type(own.event).__name__ in FOLLOWED_BY_CATALOG:
            deliveries.append(lambda: catalog_.follow(catalog.INBOX, follow_order, own))
        return deliveries


class Way:
    """An order on its way."""

    def __init__(self, shop: Shop, order_id: UUID, chance: random.Random | None = None) -> None:
        self.shop, self.order_id, self.news = shop, order_id, News(shop, chance)
        self._payment = 0

    def pay(self, *events: PaymentEvent) -> None:
        """Let payments tell of its payment."""
        for event in events:
            self._payment += 1
            follow_a_payment(self.shop, event, self._payment)
        self.news.deliver()

    @property
    def order(self) -> Order:
        """The order as it is stored."""
        return Orders(UnitOfWork(self.shop.ordering_engine), Metadata()).load(self.order_id)

    @property
    def process(self) -> FulfilmentProcess:
        """Its fulfilment as it is stored."""
        found = Fulfilments(UnitOfWork(self.shop.ordering_engine), Metadata()).find(self.order_id)
        assert found is not None
        return found

    @property
    def waits_for(self) -> str:
        """What it waits for."""
        return self.process.facts.waits_for

    @property
    def asked(self) -> list[str]:
        """What was asked of payments."""
        with self.shop.ordering_engine.connect() as connection:
            history = ordering.LOG.history(connection, fulfilment_of(self.order_id))
        return [recorded.envelope.type for recorded in history]

    @property
    def last(self) -> Recorded[Any]:
        """Its last event."""
        with self.shop.ordering_engine.connect() as connection:
            return ordering.LOG.history(connection, self.order_id)[-1]

    def confirm(self) -> None:
        """Let the shop confirm it."""
        self.shop.ordering.run(confirm_order, ConfirmOrder(order_id=self.order_id), Metadata())
        self.news.deliver()

    def complete(self) -> None:
        """Let the shop complete it."""
        self.shop.ordering.run(complete_order, CompleteOrder(order_id=self.order_id), Metadata())
        self.news.deliver()

    def cancel(self) -> None:
        """Let the customer cancel it."""
        self.shop.ordering.run(cancel_order, CancelOrder(order_id=self.order_id, reason="r"), Metadata())
        self.news.deliver()

    def timer(self, at: datetime) -> None:
        """Let a timer look at this time."""
        Deadlines(self.shop.ordering, self.shop.ordering_engine, PROCESS_MANAGER, lambda: at).act()

    def move(self, at: datetime) -> None:
        """Let an operator move its deadline."""
        self.shop.ordering.run(move_deadline, MoveDeadline(order_id=self.order_id, at=at), Metadata())


def follow_a_payment(shop: Shop, event: PaymentEvent, version: int) -> None:
    """Let an order take in news of its payment, as payments tell it."""
    shop.ordering.follow(ordering.INBOX, follow_payment, recorded(event, event.order_id, version))


def submitted(
    shop: Shop, *product_ids: UUID, paid: bool = True, quantity: int = 1, chance: random.Random | None = None
) -> Way:
    """Submit an order; a product of which no stock is kept, if it is not said which."""
    order_id = shop.order(*(product_ids or [shop.product()]), quantity=quantity)
    payment = Payment(token=CARD) if paid else None
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id, payment=payment), Metadata())
    way = Way(shop, order_id, chance)
    way.news.deliver()
    return way


def hasty(shop: Shop, product_id: UUID, *others: UUID, token: str = CARD) -> Way:
    """Submit, confirm, ship one piece of and cancel a paid order before its fulfilment hears of any of that.

    Ordering has yet to hear of the shipment, too, and the catalogue of the cancellation.
    """
    order_id = shop.order(product_id, *others)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id, payment=Payment(token=token)), Metadata())
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    items = [ShippedItem(product_id=product_id, quantity=1)]
    shop.catalog.run(ship_items, ShipItems(order_id=order_id, items=items), Metadata())
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
    return Way(shop, order_id)


def kept(shop: Shop, quantity: int) -> UUID:
    """Add a product of which this stock is kept."""
    product_id = shop.product()
    receive(shop, product_id, quantity or 1)
    if not quantity:
        shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="r"), Metadata())
    return product_id


def receive(shop: Shop, product_id: UUID, quantity: int) -> None:
    """Receive stock."""
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=quantity), Metadata())


def held(way: Way, attempt: int = 1) -> PaymentAuthorisedV1:
    """The news that its whole amount is held."""
    return PaymentAuthorisedV1(way.order_id, "EUR", way.order.total, attempt)


def taken(way: Way) -> PaymentCapturedV1:
    """The news that its whole amount was taken."""
    return PaymentCapturedV1(way.order_id, "EUR", way.order.total)


def declined(way: Way) -> PaymentDeclinedV1:
    """The news that the card in use was declined."""
    return PaymentDeclinedV1(
        way.order_id, way.order.payment.attempt if way.order.payment else 1, DeclineReason.DECLINED
    )


def requested(way: Way, attempt: int = 1) -> PaymentRequestedV1:
    """The news that payments has begun."""
    return PaymentRequestedV1(way.order_id, way.order.customer_id, "EUR", way.order.total, CARD, attempt)
