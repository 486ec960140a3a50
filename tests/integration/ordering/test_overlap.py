"""A message runs twice at the same time when its lock runs out under its handler: every consumer is proof against it.

Measured on the real host: a lock is renewed for maxAutoLockRenewalDuration; then the message is delivered again while
the first call still runs, even in the same process. Here the second delivery comes at each await of the first in turn.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables as catalog_tables
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.customers import tables as customers_tables
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Envelope, Metadata
from shared.frame.write_side.event_log import EventLog
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import INBOX, LOG
from shared.ordering.views.customer_summary import SUMMARY
from tests.support.delivery import Delivery
from tests.support.overlap import interrupted
from tests.support.shop import Shop

MOST = 100
"""Awaits; an event's delivery has far fewer."""

type Consume = Callable[[Envelope], Awaitable[None]]


@pytest.fixture
async def delivery(
    shop: Shop, orders: ContainerProxy, catalog: ContainerProxy, containers: Callable[[str], ContainerProxy]
) -> Delivery:
    """Consumers whose Cosmos client has met its containers: the first request asks about them, while others wait."""
    delivery = Delivery(shop, orders, catalog, containers("related"))
    order_id, _, product_id = await an_order(shop, delivery)
    for envelope in envelopes(shop.ordering_engine, LOG, order_id):
        await delivery.consume("project_order", envelope)
    [added] = envelopes(shop.catalog_engine, catalog_tables.LOG, product_id)
    await delivery.consume("project_product", added)
    return delivery


def envelopes(engine: sa.Engine, log: EventLog[Any], aggregate_id: UUID) -> list[Envelope]:
    with engine.connect() as connection:
        return [recorded.envelope for recorded in log.history(connection, aggregate_id)]


async def twice_at_once(consume: Consume, envelope: Envelope, at: int) -> bool:
    """Deliver an event, and again at this await; a delivery that fails is repeated, as Service Bus does."""

    async def deliver() -> None:
        with suppress(sa.exc.IntegrityError):  # the inbox: it is being consumed elsewhere at this moment
            await consume(envelope)

    overlapped = await interrupted(deliver(), at, deliver)
    await consume(envelope)
    return overlapped


async def an_order(shop: Shop, delivery: Delivery) -> tuple[UUID, UUID, UUID]:
    """A submitted order whose customer's summary is there, and nothing else; with the customer and the product."""
    customer_id, product_id = shop.customer(), shop.product()
    [registered] = envelopes(shop.customers_engine, customers_tables.LOG, customer_id)
    await delivery.consume("follow_customers", registered)
    order_id = shop.order(product_id, customer_id=customer_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    return order_id, customer_id, product_id


@pytest.mark.parametrize("first", [True, False], ids=["created", "submitted"])
async def test_an_orders_event_counts_once_in_order_and_summary(
    shop: Shop, orders: ContainerProxy, delivery: Delivery, *, first: bool
) -> None:
    for at in count():
        order_id, customer_id, _ = await an_order(shop, delivery)
        created, submitted = envelopes(shop.ordering_engine, LOG, order_id)
        if not first:
            await delivery.consume("project_order", created)
        overlapped = await twice_at_once(
            delivery.consumers["project_order"].consume, created if first else submitted, at
        )
        document = await orders.read_item(str(order_id), str(customer_id))
        summary = await orders.read_item(SUMMARY, str(customer_id))
        assert document["version"] == len(document["projected"]) == (1 if first else 2)
        assert (summary["orders"]["Created"], summary["orders"]["Submitted"]) == ((1, 0) if first else (0, 1))
        assert summary["spent"] == ({} if first else {"EUR": 1250})
        if not overlapped:
            assert at > 2
            return
        assert at < MOST


async def test_a_gap_is_filled_once(shop: Shop, orders: ContainerProxy, delivery: Delivery) -> None:
    for at in count():
        order_id, customer_id, _ = await an_order(shop, delivery)
        _, submitted = envelopes(shop.ordering_engine, LOG, order_id)
        overlapped = await twice_at_once(delivery.consumers["project_order"].consume, submitted, at)
        summary = await orders.read_item(SUMMARY, str(customer_id))
        assert (summary["orders"]["Created"], summary["orders"]["Submitted"]) == (0, 1)
        if not overlapped:
            assert at > 5
            return
        assert at < MOST


async def test_a_products_event_changes_its_document_once(
    shop: Shop, catalog: ContainerProxy, delivery: Delivery
) -> None:
    for at in count():
        product_id = shop.product()
        shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Mate"), Metadata())
        added, renamed = envelopes(shop.catalog_engine, catalog_tables.LOG, product_id)
        await delivery.consume("project_product", added)
        overlapped = await twice_at_once(delivery.consumers["project_product"].consume, renamed, at)
        document = await catalog.read_item(str(product_id), f"product:{product_id}")
        assert (document["name"], document["version"], len(document["projected"])) == ("Mate", 2, 2)
        if not overlapped:
            assert at > 2
            return
        assert at < MOST


@pytest.mark.parametrize("whose", ["product", "customer"])
async def test_a_new_name_is_taken_over_once_and_shown_everywhere(
    shop: Shop, orders: ContainerProxy, delivery: Delivery, whose: str
) -> None:
    for at in count():
        order_id, customer_id, product_id = await an_order(shop, delivery)
        for envelope in envelopes(shop.ordering_engine, LOG, order_id):
            await delivery.consume("project_order", envelope)
        if whose == "product":
            shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="New"), Metadata())
            renamed = envelopes(shop.catalog_engine, catalog_tables.LOG, product_id)[1]
        else:
            shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="New"), Metadata())
            renamed = envelopes(shop.customers_engine, customers_tables.LOG, customer_id)[1]
        consume = delivery.consumers[f"follow_{whose}s"].consume
        overlapped = await twice_at_once(consume, renamed, at)
        document = await orders.read_item(str(order_id), str(customer_id))
        shown = document["items"][str(product_id)]["productName"] if whose == "product" else document["customerName"]
        assert (shown, document["renames"]) == ("New", 1)
        with shop.ordering_engine.connect() as connection:
            consumed = connection.execute(sa.select(INBOX.table.c.event_id)).scalars().all()
            assert consumed.count(renamed.event_id) == 1
        if not overlapped:
            assert at > 2
            return
        assert at < MOST
