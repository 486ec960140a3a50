"""Totals to the minor unit: awkward amounts, many of them, through the projections and the wire to the Cosmos engine.

Two ways, for want of time rather than of trust: some thousand orders go event by event through the projection; 100,000
amounts go through the projection's own `incr` operations, nine hundred to a transactional batch.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import batched
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy, CosmosClient

from infra.local.containers import TOPOLOGY, create
from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.document_update import Create, DocumentUpdate, Patch
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.kernel.money import Money
from shared.ordering.events import (
    Address,
    OrderCancelledV1,
    OrderCreatedV1,
    OrderEvent,
    OrderStatus,
    OrderSubmittedV2,
)
from shared.ordering.tables import LOG
from shared.ordering.views import customer_summary, order_projection
from shared.ordering.views.customer_summary import SUMMARY, ReadSummary, new_summary, read_summary
from tests.support.containers import only
from tests.support.cosmos import running_cosmos
from tests.support.envelopes import an_envelope

DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
AT_ONCE = 32
INCREMENTS_A_BATCH = 900
"""Cosmos DB takes a hundred operations in a batch, and a patch of ten increments is one."""
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    with running_cosmos() as connection:
        create(connection, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
        yield connection


@pytest.fixture
async def orders(connection: str) -> AsyncIterator[ContainerProxy]:
    async with CosmosClient.from_connection_string(connection, enable_endpoint_discovery=False) as client:
        yield client.get_database_client("orders-db").get_container_client("orders")


def awkward(random: Random, currency: str, most: int) -> Decimal:
    """An amount that no binary fraction can hold, mostly."""
    return Decimal(random.randint(1, most)).scaleb(-DIGITS[currency])


def recorded(event: OrderEvent, version: int, at: datetime) -> Recorded[OrderEvent]:
    """The event as it would come from Service Bus; nothing in the payload is read again."""
    return Recorded(replace(an_envelope(type(event).__name__, event.order_id, version), occurred_at=at), event)


@dataclass(frozen=True)
class PlacedOrder:
    """An order with a total, submitted by one customer, and cancelled or not."""

    order_id: UUID
    customer_id: UUID
    currency: str
    total: Decimal
    cancelled: bool
    at: datetime

    def events(self) -> list[Recorded[OrderEvent]]:
        """Its history; the items do not matter here."""
        ids = (self.order_id, self.customer_id)
        events: list[OrderEvent] = [
            OrderCreatedV1(*ids, "Ada", 1, Address("12 Main St", "Cork", "T12"), None, (), Decimal(0)),
            OrderSubmittedV2(*ids, self.currency, self.total, lines=None),
        ]
        if self.cancelled:
            events.append(OrderCancelledV1(*ids, self.currency, self.total, was=OrderStatus.SUBMITTED, reason="x"))
        return [recorded(event, version, self.at) for version, event in enumerate(events, 1)]


async def test_thousands_of_orders_projected_at_once_add_up_to_the_minor_unit(orders: ContainerProxy) -> None:
    random, customer_id = Random(1), uuid4()
    placed = []
    for number in range(600):
        currency = random.choice(list(DIGITS))
        total = awkward(random, currency, 10**11)
        cancelled, at = random.random() < 0.3, START + timedelta(seconds=number)
        placed.append(PlacedOrder(uuid4(), customer_id, currency, total, cancelled, at))
    await orders.create_item(new_summary(customer_id, "Ada", 1))
    projection = Projection(
        only(orders), sa.create_engine("sqlite://"), LOG, order_projection.project, order_projection.reconsider
    )
    waiting = iter(placed)

    async def project_next() -> None:
        for order in waiting:
            for event in order.events():
                await projection.project(event)
                if random.random() < 0.1:
                    await projection.project(event)  # a repeated delivery must not count

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(project_next())

    kept = [order for order in placed if not order.cancelled]
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for order in kept:
        expected[order.currency] += order.total
    summary = await read_summary(Served(orders, 1), ReadSummary(customer_id=customer_id), wait=NO_WAIT)
    assert summary.total_orders == len(kept)
    assert {spent.currency: Decimal(spent.amount) for spent in summary.total_spent} == expected
    assert [recent.order_id for recent in summary.recent_orders] == [order.order_id for order in placed[:-11:-1]]


async def test_100000_increments_leave_the_totals_exact_to_the_minor_unit(orders: ContainerProxy) -> None:
    random, customer_id = Random(2), uuid4()
    amounts = [
        Money(awkward(random, currency, 10**11), currency) for currency in random.choices(list(DIGITS), k=100_000)
    ]
    loads = {uuid4(): some for some in batched(amounts, INCREMENTS_A_BATCH, strict=False)}

    def change(bundle: Recorded[OrderEvent]) -> DocumentUpdate:
        gate = {"id": str(bundle.event.order_id), "customerId": str(customer_id), "kind": "bundle", "version": 1}
        spend = [spending(amount, customer_id) for amount in loads[bundle.event.order_id]]
        return DocumentUpdate(str(customer_id), Create(gate), [Patch(SUMMARY, spend, customer_summary.SHAPES)])

    await orders.create_item(new_summary(customer_id, "Ada", 1))
    projection = Projection[OrderEvent](only(orders), sa.create_engine("sqlite://"), LOG, change)
    async with asyncio.TaskGroup() as group:
        for load in loads:
            bundle = OrderSubmittedV2(load, customer_id, "EUR", Decimal(0), lines=None)
            group.create_task(projection.project(recorded(bundle, 1, START)))

    expected: dict[str, Decimal] = defaultdict(Decimal)
    for amount in amounts:
        expected[amount.currency] += amount.amount
    summary = await read_summary(Served(orders, 1), ReadSummary(customer_id=customer_id), wait=NO_WAIT)
    assert {spent.currency: Decimal(spent.amount) for spent in summary.total_spent} == expected
    assert min(Money(amount, currency).minor for currency, amount in expected.items()) > 10**15


def spending(amount: Money, customer_id: UUID) -> Mapping[str, Any]:
    """The one operation by which the projection of a submitted order adds its total."""
    submitted = OrderSubmittedV2(uuid4(), customer_id, amount.currency, amount.amount, lines=None)
    patch = customer_summary.project(recorded(submitted, 2, START))
    assert patch is not None
    (operation,) = [operation for operation in patch.operations if operation["path"].startswith("/spent/")]
    return operation
