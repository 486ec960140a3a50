"""Erase the customers whose grace period is over, and who have no open orders; a timer looks for them."""

import logging
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from shared.customers.commands.erase_customer import refuse_open_orders
from shared.customers.domain.errors import ErasureNotAsked, OrdersAreOpen
from shared.customers.metrics import LATE, OVERDUE
from shared.customers.repository import COUNT_ERASED, Customers, due_erasures
from shared.customers.tables import SCHEMA
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.messaging.retries import tell
from shared.frame.platform.telemetry import record_metrics
from shared.frame.sql.compaction import Compaction
from shared.frame.write_side.commands import LONG_WORK, WriteSide
from shared.frame.write_side.owner_data import OwnerData, has_open_work
from shared.kernel.refusals import NotFound

logger = logging.getLogger(__name__)

WORKS_FOR = 20.0
"""Seconds after which a tick begins no other erasure."""

COUNTS_FOR = 5.0
"""Seconds after which a tick asks of no other customer whether an open order holds up an erasure that is overdue."""


@dataclass(frozen=True, slots=True)
class KeepAppointment:
    """Erase a customer whose grace period is over."""

    customer_id: UUID


class DueErasures:
    """Carries out the erasures that are due."""

    def __init__(self, engine: sa.Engine, writes: WriteSide, owner_data: Sequence[OwnerData]) -> None:
        """Prepare.

        Args:
            engine: the context's engine.
            writes: saves what is erased.
            owner_data: the contexts' data of customers, including contexts that are declared later.
        """
        self._engine = engine
        self._writes = writes
        self._owner_data = owner_data
        self._compaction = Compaction(COUNT_ERASED)

    def keep_all(self) -> None:
        """Erase all customers whose grace period is over; the next tick tries those again who could not be erased.

        It may stop anywhere: the next tick finds the customers that are left. It tells how many are overdue.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer, or another context's. Who was erased until
                then is removed from the files nevertheless.
            sqlite3.OperationalError: as `compact`.
        """
        now, until = datetime.now(UTC), time.monotonic() + WORKS_FOR
        held_up: set[UUID] = set()
        for customer_id in due_erasures(self._engine, now):
            if time.monotonic() > until:
                break
            if self._is_held_up(customer_id, now):
                held_up.add(customer_id)
        self._compaction.run(self._engine)
        record_metrics(SCHEMA, {OVERDUE: self._overdue(held_up)})

    def keep(self, command: KeepAppointment, customers: Customers) -> Accepted:
        """Erase the customer if it is time; ErasureNotAsked if it is not, OrdersAreOpen while there are open orders."""
        customer = customers.load(command.customer_id)
        refuse_open_orders(self._owner_data, command.customer_id)
        customer.erase(customers.metadata.at)
        return customers.erase(customer)

    def _is_held_up(self, customer_id: UUID, now: datetime) -> bool:
        """Erase a customer, or tell that an open order holds it up."""
        try:
            self._writes.run(self.keep, KeepAppointment(customer_id), Metadata(actor="erasure", at=now), LONG_WORK)
        except OrdersAreOpen:
            return True  # the customer has ordered meanwhile
        except (ErasureNotAsked, NotFound):
            pass  # it was withdrawn, perhaps asked for anew, or another process has made it
        except Exception as error:  # noqa: BLE001  # one customer's failure must not stop the others
            tell(logger, error, f"customer {customer_id} was not erased, and is at the next tick")
        return False

    def _overdue(self, held_up: Container[UUID]) -> int:
        """Count who should have been erased and has no open orders.

        It asks of those alone whom this tick did not find held up. Where the time for that ends, the rest counts as
        one: it is not known that nobody is overdue.
        """
        until, overdue = time.monotonic() + COUNTS_FOR, 0
        for customer_id in due_erasures(self._engine, datetime.now(UTC) - LATE):
            if customer_id in held_up:
                continue
            if time.monotonic() > until:
                return overdue + 1
            overdue += not has_open_work(self._owner_data, customer_id)
        return overdue
