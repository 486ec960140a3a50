"""Erase a customer (GDPR, article 17): after a grace period in which it can be withdrawn, and without open orders.

A timer carries out the erasures that are due (jobs/erase_customers.py). The other contexts erase their data of the
customer when the event reaches them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from shared.customers.domain.errors import OrdersAreOpen
from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Text
from shared.frame.write_side.owner_data import OwnerData, has_open_work
from shared.kernel.personal import PERSONAL
from shared.story import CUSTOMER_ID


class EraseCustomer(Input, json_schema_extra=example(customerId=CUSTOMER_ID, reason="Asked for it by letter")):
    """Erase a customer after the grace period, within which it can be withdrawn. Refused while they have open orders.

    Their orders stay, without personal data: totals, versions and history do not change.
    """

    customer_id: Id
    reason: Annotated[Text, StringConstraints(min_length=1, max_length=500), PERSONAL]


class WithdrawErasure(Input, json_schema_extra=example(customerId=CUSTOMER_ID)):
    """Withdraw the erasure of a customer."""

    customer_id: Id


@dataclass(frozen=True, slots=True)
class Erasures:
    """Schedules erasures.

    Attributes:
        owner_data: the contexts' data of customers, including contexts that are declared later.
        grace: how long an erasure can be withdrawn.
    """

    owner_data: Sequence[OwnerData]
    grace: timedelta

    def ask(self, command: EraseCustomer, customers: Customers) -> Accepted:
        """Schedule the erasure; OrdersAreOpen while there are open orders."""
        customer = customers.load(command.customer_id)
        refuse_open_orders(self.owner_data, command.customer_id)
        customer.ask_erasure(customers.metadata.at + self.grace, command.reason)
        return customers.save(customer)


def withdraw_erasure(command: WithdrawErasure, customers: Customers) -> Accepted:
    """Withdraw it; ErasureNotAsked if none is scheduled."""
    customer = customers.load(command.customer_id)
    customer.withdraw_erasure()
    return customers.save(customer)


def refuse_open_orders(owner_data: Sequence[OwnerData], customer_id: UUID) -> None:
    """Raise OrdersAreOpen while a customer has open orders."""
    if has_open_work(owner_data, customer_id):
        raise OrdersAreOpen(f"Customer {customer_id} has orders under way: submitted or confirmed.")
