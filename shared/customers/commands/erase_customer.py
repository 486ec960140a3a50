"""Erase a customer (GDPR, article 17): after a grace period in which it can be withdrawn, and without open orders.

A timer carries out the erasures that are due. The other contexts erase their data of the customer when the event
reaches them.
"""

import logging
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import StringConstraints

from shared.customers.domain.errors import ErasureNotAsked, OrdersAreOpen
from shared.customers.metrics import LATE, OVERDUE
from shared.customers.repository import COUNT_ERASED, Customers, due_erasures
from shared.customers.tables import SCHEMA
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Text
from shared.frame.platform.telemetry import record_metrics
from shared.frame.sql.engines import Compaction
from shared.frame.write_side.commands import LONG_WORK, WriteSide
from shared.frame.write_side.owner_data import OwnerData, has_open_work
from shared.kernel.personal import PERSONAL
from shared.kernel.refusals import NotFound
from shared.story import CUSTOMER_ID

logger = logging.getLogger(__name__)

WORKS_FOR = 20.0
"""Seconds after which a tick begins no other erasure."""

COUNTS_FOR = 5.0
"""Seconds after which a tick asks of no other customer whether an open order holds up an erasure that is overdue."""


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
class KeepAppointment:
    """Erase a customer whose grace period is over."""

    customer_id: UUID


class Erasures:
    """The erasures, from the request to the end."""

    def __init__(self, owner_data: Sequence[OwnerData], grace: timedelta) -> None:
        """Prepare.

        Args:
            owner_data: the contexts' data of customers, including contexts that are declared later.
            grace: how long an erasure can be withdrawn.
        """
        self._owner_data = owner_data
        self._grace = grace
        self._compaction = Compaction(COUNT_ERASED)

    def ask(self, command: EraseCustomer, customers: Customers) -> Accepted:
        """Schedule the erasure; OrdersAreOpen while there are open orders."""
        customer = customers.load(command.customer_id)
        self._refuse_open_orders(command.customer_id)
        customer.ask_erasure(customers.metadata.at + self._grace, command.reason)
        return customers.save(customer)

    def keep(self, command: KeepAppointment, customers: Customers) -> Accepted:
        """Erase the customer if it is time; ErasureNotAsked if it is not, OrdersAreOpen while there are open orders."""
        customer = customers.load(command.customer_id)
        self._refuse_open_orders(command.customer_id)
        customer.erase(customers.metadata.at)
        return customers.erase(customer)

    def keep_all(self, reader: sa.Engine, writes: WriteSide) -> None:
        """Erase all customers whose grace period is over; the next tick tries those again who could not be erased.

        It may stop anywhere: the next tick finds the customers that are left. It tells how many are overdue.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer, or another context's. Who was erased until
                then is removed from the files nevertheless.
            sqlite3.OperationalError: as `compact`.
        """
        now, until = datetime.now(UTC), time.monotonic() + WORKS_FOR
        held_up: set[UUID] = set()
        for customer_id in due_erasures(reader, now):
            if time.monotonic() > until:
                break
            if self._is_held_up(customer_id, writes, now):
                held_up.add(customer_id)
        self._compaction.run(reader)
        record_metrics(SCHEMA, {OVERDUE: self._overdue(reader, held_up)})

    def _overdue(self, reader: sa.Engine, held_up: Container[UUID]) -> int:
        """Count who should have been erased and has no open orders.

        It asks of those alone whom this tick did not find held up. Where the time for that ends, the rest counts as
        one: it is not known that nobody is overdue.
        """
        until, overdue = time.monotonic() + COUNTS_FOR, 0
        for customer_id in due_erasures(reader, datetime.now(UTC) - LATE):
            if customer_id in held_up:
                continue
            if time.monotonic() > until:
                return overdue + 1
            overdue += not has_open_work(self._owner_data, customer_id)
        return overdue

    def _is_held_up(self, customer_id: UUID, writes: WriteSide, now: datetime) -> bool:
        """Erase a customer, or tell that an open order holds it up."""
        try:
            writes.run(self.keep, KeepAppointment(customer_id), Metadata(actor="erasure", at=now), LONG_WORK)
        except OrdersAreOpen:
            return True  # the customer has ordered meanwhile
        except (ErasureNotAsked, NotFound):
            pass  # it was withdrawn, perhaps asked for anew, or another process has made it
        except Exception:  # one customer's failure must not stop the others
            logger.exception("customer %s was not erased, and is at the next tick", customer_id)
        return False

    def _refuse_open_orders(self, customer_id: UUID) -> None:
        if has_open_work(self._owner_data, customer_id):
            raise OrdersAreOpen(f"Customer {customer_id} has orders under way: submitted or confirmed.")


def withdraw_erasure(command: WithdrawErasure, customers: Customers) -> Accepted:
    """Withdraw it; ErasureNotAsked if none is scheduled."""
    customer = customers.load(command.customer_id)
    customer.withdraw_erasure()
    return customers.save(customer)
