"""Erase a customer (GDPR, article 17): by appointment, which can be withdrawn, and with nothing of theirs under way.

A timer keeps appointments. What other contexts have of the customer, they erase when they hear of it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import StringConstraints

from shared.customers.domain.errors import ErasureNotAsked, OrdersAreOpen
from shared.customers.repository import Customers, due_erasures
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Text
from shared.frame.sql.engines import compact
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.held import Held, is_busy
from shared.kernel.personal import PERSONAL
from shared.kernel.refusals import NotFound
from shared.story import CUSTOMER_ID

WORKS_FOR = 20.0
"""Seconds after which a tick begins no other erasure."""


class EraseCustomer(Input, json_schema_extra=example(customerId=CUSTOMER_ID, reason="Asked for it by letter")):
    """Erase a customer, when the time to withdraw it is over. Refused while orders of theirs are open.

    What they ordered stays, without what it says of them: totals, versions and history go on.
    """

    customer_id: Id
    reason: Annotated[Text, StringConstraints(min_length=1, max_length=500), PERSONAL]


class WithdrawErasure(Input, json_schema_extra=example(customerId=CUSTOMER_ID)):
    """Do not erase a customer after all."""

    customer_id: Id


@dataclass(frozen=True, slots=True)
class KeepAppointment:
    """Erase a customer whose time has come."""

    customer_id: UUID


class Erasures:
    """The erasures, from the request to the end."""

    def __init__(self, held: Sequence[Held], grace: timedelta) -> None:
        """Prepare.

        Args:
            held: what the contexts hold; those too that are declared later.
            grace: how long it can be withdrawn.
        """
        self._held = held
        self._grace = grace

    def ask(self, command: EraseCustomer, customers: Customers) -> Accepted:
        """Make the appointment; OrdersAreOpen while there are any."""
        customer = customers.load(command.customer_id)
        self._refuse_open_orders(command.customer_id)
        customer.ask_erasure(customers.metadata.at + self._grace, command.reason)
        return customers.save(customer)

    def keep(self, command: KeepAppointment, customers: Customers) -> Accepted:
        """Erase the customer; OrdersAreOpen while there are any."""
        customer = customers.load(command.customer_id)
        self._refuse_open_orders(command.customer_id)
        customer.erase()
        return customers.erase(customer)

    def keep_all(self, reader: sa.Engine, writes: WriteSide) -> None:
        """Erase all whose time has come; those with open orders are looked at again at the next tick.

        It may end anywhere: what is left is due at the next tick as well.
        """
        until, after, erased = time.monotonic() + WORKS_FOR, UUID(int=0), False
        while due := due_erasures(reader, datetime.now(UTC), after):
            for after in due:
                if time.monotonic() > until:
                    return
                try:
                    writes.run(self.keep, KeepAppointment(after), Metadata(actor="erasure"))
                    erased = True
                except (OrdersAreOpen, ErasureNotAsked, NotFound):
                    continue  # something was ordered meanwhile; or it was withdrawn, or done, by another
        if erased:
            compact(reader)

    def _refuse_open_orders(self, customer_id: UUID) -> None:
        if is_busy(self._held, customer_id):
            raise OrdersAreOpen(f"Customer {customer_id} has orders that are neither completed nor cancelled.")


def withdraw_erasure(command: WithdrawErasure, customers: Customers) -> Accepted:
    """Withdraw it; ErasureNotAsked when there is none."""
    customer = customers.load(command.customer_id)
    customer.withdraw_erasure()
    return customers.save(customer)
