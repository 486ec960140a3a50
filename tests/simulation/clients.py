"""Clients that order, rename and price, each careful enough to send a command again until it is answered."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.errors import OutOfTime, is_transient
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.unit_of_work import LostRace
from shared.kernel.refusals import Refusal
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.change_shipping_address import ChangeShippingAddress, change_shipping_address
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, ShippingAddress, create_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from shared.payments.commands.pay_again import PayAgain, pay_again
from shared.payments.commands.refund_payment import Refunding, RefundPayment
from shared.payments.stripe_provider import StripeProvider
from tests.kit.simulated import Handler
from tests.simulation import contexts
from tests.simulation.scheduler import Crash, Scheduler

ADDRESS = ShippingAddress(street="s", city="c", postal_code="p")

KINDS = (
    "add add remove address submit submit submit confirm confirm confirm confirm ship ship ship ship ship ship ship "
    "ship complete cancel rename price product receive receive recount rate rate pay refund refund"
).split()
"""What a client may do next, as often as it stands here."""

ORDERS = (0, 0, 2)
"""How many paid orders there are from the beginning, which all clients may do something with."""

CROWDED = 0.4
"""In how many shops a product is sold out at the beginning, and ordered by a crowd."""

CROWD = 4
"""Orders that wait for it: more than one change serves in most shops (run.SERVED_AT_ONCE)."""

AFTERWARDS = "ship ship ship complete cancel pay refund refund".split()
"""What they may do with those next."""

LEISURE = 16
"""Turns that clients let pass between two commands then, at most: what follows from one takes its time."""

PART = Decimal("0.20")
"""What is given back of a payment, where it is not all that is left."""

REFUND = Refunding(StripeProvider("")).refund

PAID = 0.7
"""How often an order is paid, and not on account."""

TOKENS = (
    *("pm_card_visa",) * 3,
    "pm_card_pendingRefund",
    "pm_card_visa_chargeDeclined",
    "pm_card_authenticationRequired",
    "pm_none",
)
"""Stripe's, of its tests: https://docs.stripe.com/testing"""

BESIDE = 0.4
"""How often a client turns to a context beside the shop's own, if there is one."""


@dataclass(slots=True)
class Sent:
    """A command that a client sent until it was answered; `accepted` is None if it was refused, or is yet to be."""

    key: str
    context: str
    handler: Handler
    command: Any
    metadata: Metadata
    accepted: Accepted | None = None


class Clients:
    """All clients of a shop.

    Attributes:
        sent: what they sent, in that order.
        customer: who orders.
        products: what there is to order.
        crowded: whether the first product is sold out, and many wait for it.
        undecided: the orders that are paid and may be cancelled in the moment in which they are shipped.
    """

    def __init__(self, scheduler: Scheduler, writes: Mapping[str, WriteSide], name: str = "command") -> None:
        self._scheduler = scheduler
        self._writes = writes
        self._name = name
        self.sent: list[Sent] = []
        self._orders: list[UUID] = []
        self.undecided: list[UUID] = []
        self.customer = scheduler.uuid()
        self.products = [scheduler.uuid() for _ in range(3)]
        self.crowded = scheduler.random.random() < CROWDED

    def open(self) -> None:
        """Register the customer and add the first products."""
        registration = RegisterCustomer(customer_id=self.customer, name="n0", email="a@b.org")
        self._send("customers", register_customer, registration)
        for number, product in enumerate(self.products):
            sold_out = self.crowded and not number
            stock = 0 if sold_out else self._scheduler.random.choice((None, 0, 2, 4))
            self._send("catalog", add_product, _product(product, Decimal(f"{number}.67"), stock))

    def begin(self) -> None:
        """Submit orders that are paid, or none, and the crowd's: nothing of them is done yet when the others come."""
        for _ in range(self._scheduler.random.choice(ORDERS)):
            self._scheduler.now += timedelta(seconds=1)
            order, product = self._scheduler.uuid(), self._scheduler.random.choice(self.products)
            self._orders.append(order)
            self._send("ordering", create_order, _order(order, self.customer, product, 1))
            payment = Payment(token=self._scheduler.random.choice(TOKENS))
            self._send("ordering", submit_order, SubmitOrder(order_id=order, payment=payment))
        self.undecided = self._orders[1:]
        for _ in range(CROWD if self.crowded else 0):
            self._scheduler.now += timedelta(seconds=1)
            order = self._scheduler.uuid()
            self._orders.append(order)
            self._send("ordering", create_order, _order(order, self.customer, self.products[0], 1))
            self._send("ordering", submit_order, SubmitOrder(order_id=order))

    def deliver(self) -> None:
        """Receive what the crowd waits for."""
        for _ in range(self._scheduler.random.randint(0, LEISURE)):
            self._scheduler.pause()
        self._send("catalog", receive_stock, ReceiveStock(product_id=self.products[0], quantity=CROWD))

    def complete(self) -> None:
        """Ship one of those orders, or complete it, whichever may be done."""
        for order in self._orders[:1]:
            self._send("catalog", ship_items, self._shipment(order))
            self._send("ordering", complete_order, CompleteOrder(order_id=order))

    def change_their_mind(self) -> None:
        """Cancel what is shipped in the same moment: the news of the shipment is on its way."""
        for order in self.undecided:
            self._send("catalog", ship_items, self._shipment(order))
            self._send("ordering", cancel_order, CancelOrder(order_id=order, reason="r"))

    def hurry(self, deliver: Callable[[], None]) -> None:
        """Have a paid order confirmed, shipped and cancelled, and delivered what the next step needs."""
        order, product = self._scheduler.uuid(), self._scheduler.uuid()
        self._orders.append(order)
        self._send("catalog", add_product, _product(product, Decimal("4.20"), stock=1))
        deliver()
        self._send("ordering", create_order, _order(order, self.customer, product, 1))
        payment = Payment(token=self._scheduler.random.choice(TOKENS))
        self._send("ordering", submit_order, SubmitOrder(order_id=order, payment=payment))
        self._send("ordering", confirm_order, ConfirmOrder(order_id=order))
        deliver()
        self._send("catalog", ship_items, self._shipment(order))
        self._send("ordering", cancel_order, CancelOrder(order_id=order, reason="r"))

    def refund(self) -> None:
        """Give a part of its payment back, if it has been taken: this is not done yet either."""
        for order in self._orders[:1]:
            self._send("payments", REFUND, _refund(order, PART))

    def live(self, name: str) -> None:
        """Be a client of this name: send some commands, one after the other."""
        chance, mine = self._scheduler.random, list(self._orders)
        for number in range(chance.randint(3, 8)):
            for _ in range(chance.randint(0, LEISURE) if self._orders else 0):
                self._scheduler.pause()
            self._send(*self._next(mine, f"{name} {number}"))

    def _next(self, mine: list[UUID], name: str) -> tuple[str, Handler, Any]:
        chance = self._scheduler.random
        if contexts.SIMULATED and chance.random() < BESIDE:
            simulated = chance.choice(contexts.SIMULATED)
            there = dict.fromkeys(
                each.accepted.aggregate_id for each in self.sent if each.context == simulated.context and each.accepted
            )
            return simulated.context, *simulated.next(chance, list(there), self._scheduler.uuid())
        order = chance.choice(mine) if mine and chance.random() < 0.8 else None
        product, quantity = chance.choice(self.products), chance.randint(1, 3)
        if order is None:
            mine.append(self._scheduler.uuid())
            return "ordering", create_order, _order(mine[-1], self.customer, product, quantity)
        match chance.choice(AFTERWARDS if order in self._orders else KINDS):
            case "add":
                return "ordering", add_item, AddItem(order_id=order, product_id=product, quantity=quantity)
            case "remove":
                return "ordering", remove_item, RemoveItem(order_id=order, product_id=product)
            case "address":
                return "ordering", change_shipping_address, _address(order, city=name)
            case "submit":
                payment = Payment(token=chance.choice(TOKENS)) if chance.random() < PAID else None
                return "ordering", submit_order, SubmitOrder(order_id=order, payment=payment)
            case "pay":
                return "payments", pay_again, PayAgain(order_id=order, token=chance.choice(TOKENS))
            case "refund":
                return "payments", REFUND, _refund(order, chance.choice((None, PART)))
            case "confirm":
                return "ordering", confirm_order, ConfirmOrder(order_id=order)
            case "complete":
                return "ordering", complete_order, CompleteOrder(order_id=order)
            case "cancel":
                return "ordering", cancel_order, CancelOrder(order_id=order, reason="r")
            case "ship":
                return "catalog", ship_items, self._shipment(order)
            case "receive":
                return "catalog", receive_stock, ReceiveStock(product_id=product, quantity=quantity)
            case "recount":
                counted = chance.randint(0, 4)
                return "catalog", recount_stock, RecountStock(product_id=product, counted=counted, reason="r")
            case "product":
                self.products.append(self._scheduler.uuid())
                return "catalog", add_product, _product(self.products[-1], Decimal("4.20"))
            case "rate":
                rating = RateProduct(product_id=product, customer_id=self.customer, rating=quantity)
                return "catalog", rate_product, rating
            case "price":
                price = Decimal(chance.randint(0, 999)).scaleb(-2)
                return "catalog", change_price, ChangePrice(product_id=product, unit_price=price)
            case _ if chance.random() < 0.5:
                return "catalog", rename_product, RenameProduct(product_id=product, name=name)
            case _:
                return "customers", rename_customer, RenameCustomer(customer_id=self.customer, name=name)

    def _shipment(self, order: UUID) -> ShipItems:
        items = [ShippedItem(product_id=each, quantity=1) for each in self._ordered(order)[:2]]
        return ShipItems(order_id=order, items=items)

    def _ordered(self, order: UUID) -> list[UUID]:
        """The products that an order was created with, or that were added to it."""
        found = (
            [item.product_id for item in sent.command.items]
            if isinstance(sent.command, CreateOrder)
            else [sent.command.product_id]
            for sent in self.sent
            if isinstance(sent.command, CreateOrder | AddItem) and sent.command.order_id == order
        )
        return list(dict.fromkeys(product for products in found for product in products))

    def _send(self, context: str, handler: Handler, command: Any) -> None:
        """Send a command with a key, until it is answered."""
        fingerprint = hashlib.sha256(repr(command).encode()).digest()
        key = f"{self._name}-{len(self.sent)}"
        metadata = Metadata(key, fingerprint, correlation_id="c", at=self._scheduler.clock())
        sent = Sent(key, context, handler, command, metadata)
        self.sent.append(sent)
        for _ in range(1_000):
            try:
                sent.accepted = self._writes[context].run(handler, command, metadata)
            except Refusal:
                return
            except Crash:
                continue
            except (LostRace, OutOfTime):
                continue
            except sa.exc.DBAPIError as error:
                if not is_transient(error):
                    raise
                continue
            return
        raise AssertionError(f"{key} was never answered")


def _product(product_id: UUID, price: Decimal, stock: int | None = None) -> AddProduct:
    return AddProduct(
        product_id=product_id, name="p0", unit_price=price, currency="EUR", category="c", initial_stock=stock
    )


def _refund(order_id: UUID, amount: Decimal | None) -> RefundPayment:
    return RefundPayment(order_id=order_id, amount=amount, reason="r")


def _order(order_id: UUID, customer: UUID, product: UUID, quantity: int) -> CreateOrder:
    items = [Item(product_id=product, quantity=quantity)]
    return CreateOrder(order_id=order_id, customer_id=customer, items=items, shipping_address=ADDRESS)


def _address(order: UUID, city: str) -> ChangeShippingAddress:
    return ChangeShippingAddress(order_id=order, street="s", city=city, postal_code="p")
