"""What orders cost in requests, request units, messages and bytes: the counts that docs/cost.md reckons with.

`pytest -s tests/integration/test_cost.py` prints them. The engine's request units are constants for each kind of
request (cosmos_engine/replies.py), so they only weigh requests; docs/cost.md says how to ask Azure for its own.
"""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from infra import cost
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.tables import LOG as CATALOG
from shared.catalog.views.product_details import partition_key_of
from shared.frame.messaging.envelope import Metadata
from shared.frame.messaging.wire import to_body
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.write_side.log_table import envelope_of
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import CODEC, LOG
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import ReadSummary, new_summary, read_summary
from shared.ordering.views.order_details import ReadOrder, read_order
from tests.support.containers import only
from tests.support.counting import MILLI, counting_cosmos, counting_sql
from tests.support.shop import Shop
from tests.support.topic import KeptTopic

ORDERS = 10
PER_THOUSAND = 1_000 // ORDERS


def life(shop: Shop, order_id: UUID, product_id: UUID) -> list[Callable[[], object]]:
    """An order's commands; it has been created already, and the first only lets that be published."""
    return [
        lambda: None,
        lambda: shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), Metadata()),
        lambda: shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata()),
    ]


@pytest.fixture
async def counts(shop: Shop, orders: ContainerProxy) -> dict[str, int]:
    """Play ORDERS orders of one customer, one after the other, and count for a thousand."""
    counts: Counter[str] = Counter()
    customer_id, tea, mug, pot = shop.customer(), shop.product(), shop.product(), shop.product()
    await orders.create_item(new_summary(customer_id, "Ada", 1))
    topic = KeptTopic()
    relay = Relay(shop.ordering_engine, LOG, topic)
    projection = Projection(
        only(orders), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider
    )
    with ExitStack() as stack:
        stack.enter_context(counting_sql(shop.ordering_engine, counts))
        stack.enter_context(counting_cosmos(counts))
        for _ in range(ORDERS):
            order_id = shop.order(tea, mug, customer_id=customer_id)
            begun = len(topic.sent)
            for command in life(shop, order_id, pot):
                command()
                counts["commands"] += 1
                counts["messages"] += relay.run()
                counts["message_bytes"] += len(to_body(topic.sent[-1], "ordering"))
                await projection.project(CODEC.open(topic.sent[-1]))
            assert tuple(envelope.type for envelope in topic.sent[begun:]) == cost.LIFE
            served = Served(orders, 1)
            for _ in range(3):
                await read_order(served, ReadOrder(order_id=order_id, customer_id=customer_id), wait=NO_WAIT)
            await list_orders(Served(orders, 1), ListOrders(customer_id=customer_id), wait=NO_WAIT)
            await read_summary(Served(orders, 1), ReadSummary(customer_id=customer_id), wait=NO_WAIT)
            counts["queries"] += 5
    with shop.ordering_engine.connect() as connection:
        logged = connection.execute(sa.select(sa.func.sum(sa.func.length(LOG.table.c.payload)))).scalar_one()
    counts["payload_characters"] = logged
    found = orders.query_items("SELECT * FROM c", partition_key=str(customer_id))
    counts["document_bytes"] = sum([len(json.dumps(document)) async for document in found])
    return _of_a_thousand(counts)


@pytest.fixture
async def related(shop: Shop, containers: Callable[[str], ContainerProxy]) -> dict[str, int]:
    """Submit ORDERS orders of three products, and count what related products add to a thousand."""
    counts: Counter[str] = Counter()
    products, container = [shop.product() for _ in range(3)], containers("related")
    for _ in range(ORDERS):
        submitted(shop, products)
    context = shop.wired({"related": container})["catalog"]
    [consumer] = [each for each in context.consumers if each.name == "project_product"]
    with shop.catalog_engine.connect() as connection:
        logged = connection.execute(CATALOG.table.select().where(CATALOG.table.c.type.in_(cost.PURCHASE))).all()
    with counting_cosmos(counts):
        for row in logged:
            await consumer.consume(envelope_of(row))
    found = [
        document
        for product_id in products
        async for document in container.query_items("SELECT * FROM c", partition_key=partition_key_of(product_id))
    ]
    counts["messages"] = len(logged)
    assert len(found) == len(logged)
    counts["characters"] = sum(len(row.payload) for row in logged)
    counts["bytes"] = sum(len(json.dumps(document)) for document in found)
    told = _of_a_thousand(counts)
    assert told["read_units"] == 0
    return {f"related_{name}": told[name] for name in ("messages", "characters", "bytes")} | {
        "related_units": told["write_units"]
    }


def submitted(shop: Shop, products: list[UUID]) -> None:
    """Submit an order that the catalogue hears of."""
    order_id = shop.order(*products)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)


def _of_a_thousand(counts: Counter[str]) -> dict[str, int]:
    del counts["cosmos_queries"]  # they are among the requests
    read = counts.pop("cosmos_read_milliunits", 0)
    written = counts.pop("cosmos_milliunits") - read
    units = {"read_units": read * PER_THOUSAND // MILLI, "write_units": written * PER_THOUSAND // MILLI}
    return {name: count * PER_THOUSAND for name, count in counts.items()} | units


def test_a_line_that_waits_is_two_requests_more_to_sql(shop: Shop) -> None:
    products, counts = [shop.product() for _ in range(3)], list[int]()
    for product_id in products:
        shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    for _ in range(2):
        counted: Counter[str] = Counter()
        with counting_sql(shop.catalog_engine, counted):
            submitted(shop, products)
        counts.append(counted["sql_requests"])
    reserved, waiting = counts
    assert waiting == reserved + 2 * len(products)


async def test_the_page_has_the_counts_of_a_thousand_orders(counts: dict[str, int], related: dict[str, int]) -> None:
    counts |= related
    print(json.dumps(counts, indent=1))  # noqa: T201  # for pytest -s
    written, _ = cost.inputs(cost.PAGE.read_text(encoding="utf-8"))
    for name, count in counts.items():
        # times have fewer digits now and then
        tolerance = 0.02 if name.endswith(("bytes", "characters")) else 0
        assert written[name] == pytest.approx(count, rel=tolerance, abs=0), name
