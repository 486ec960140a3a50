"""Customers with a history to publish, and relays that tell the time by a clock which a test moves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.customers.events import CustomerRegisteredV1, CustomerRenamedV1
from shared.customers.tables import LOG
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.relay import Relay, Topic
from shared.frame.write_side.unit_of_work import UnitOfWork
from tests.support.shop import Shop, rows


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


def history(shop: Shop, length: int, after: int = 0, aggregate_id: UUID | None = None) -> UUID:
    """Give a customer this many events more, in a transaction each."""
    customer_id = aggregate_id or uuid4()
    for version in range(after, after + length):
        event = (
            CustomerRenamedV1(customer_id, f"Ada {version}")
            if version
            else CustomerRegisteredV1(customer_id, "Ada", "ada@example.org")
        )
        with UnitOfWork(shop.customers_engine) as work:
            LOG.append(work, customer_id, version, [event], Metadata())
            work.commit()
    return customer_id


def unpublished(shop: Shop) -> list[tuple[object, object]]:
    """The events still to be sent, by aggregate and version."""
    return [
        (row["aggregate_id"], row["aggregate_version"])
        for row in rows(shop.customers_engine, LOG.table)
        if row["published_at"] is None
    ]


def relay(shop: Shop, topic: Topic, clock: Clock) -> Relay[object]:
    """A relay of the customers' events."""
    return Relay(shop.customers_engine, LOG, topic, clock)  # type: ignore[arg-type]  # of whatever events
