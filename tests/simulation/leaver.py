"""A customer who orders, asks to be erased, orders once more, and is erased in the middle of everything else."""

from collections.abc import Mapping
from typing import override
from uuid import UUID

from shared.customers.commands.add_address import AddAddress, add_address
from shared.customers.commands.erase_customer import EraseCustomer
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.write_side.commands import WriteSide
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.change_shipping_address import ChangeShippingAddress, change_shipping_address
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from tests.kit.simulated import Handler
from tests.simulation.clients import Clients
from tests.simulation.scheduler import Scheduler

OWN = ("Leaver-Name", "Leaver-Renamed", "leaver@mail.example", "Leaver-Street", "Leaver-City", "Leaver-Reason")
NAME, RENAMED, EMAIL, STREET, CITY, REASON = OWN


class Leaver(Clients):
    """The customer, and the clerks who serve them."""

    def __init__(
        self, scheduler: Scheduler, writes: Mapping[str, WriteSide], erase: Handler, products: list[UUID]
    ) -> None:
        super().__init__(scheduler, writes, "leaving")
        self._erase = erase
        self.products = products

    @override
    def open(self) -> None:
        who = self.customer
        self._send("customers", register_customer, RegisterCustomer(customer_id=who, name=NAME, email=EMAIL))
        self._send(
            "customers",
            add_address,
            AddAddress(customer_id=who, street=STREET, city=CITY, postal_code="p", country="DE"),
        )

    def leave(self) -> None:
        """Order, and ask to be erased."""
        for _ in range(self._scheduler.random.randint(1, 3)):
            self._order()
        self._send("customers", rename_customer, RenameCustomer(customer_id=self.customer, name=RENAMED))
        self._send("customers", self._erase, EraseCustomer(customer_id=self.customer, reason=REASON))
        if self._scheduler.random.random() < 0.5:
            self._order()  # before the appointment is kept, or before ordering hears of it, or too late

    def _order(self) -> None:
        chance, order = self._scheduler.random, self._scheduler.uuid()
        items = [Item(product_id=chance.choice(self.products), quantity=1)]
        created = CreateOrder(order_id=order, customer_id=self.customer, items=items)  # to the default address
        self._send("ordering", create_order, created)
        if chance.random() < 0.5:
            self._send("ordering", change_shipping_address, _elsewhere(order))
        if chance.random() < 0.7:
            payment = chance.choice((None, Payment(token="pm_card_visa")))  # noqa: S106  # Stripe's, of its tests
            self._send("ordering", submit_order, SubmitOrder(order_id=order, payment=payment))
            if chance.random() < 0.5:
                self._send("ordering", confirm_order, ConfirmOrder(order_id=order))
                self._send("ordering", complete_order, CompleteOrder(order_id=order))
        elif chance.random() < 0.5:
            return  # a draft, which is left behind
        self._send("ordering", cancel_order, CancelOrder(order_id=order, reason=REASON))


def _elsewhere(order: UUID) -> ChangeShippingAddress:
    return ChangeShippingAddress(order_id=order, street=STREET, city=CITY, postal_code="p")
