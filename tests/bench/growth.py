"""Growth: how the time follows the size, as the exponent of size ** exponent: 0 is flat, 1 is linear."""

import asyncio
import copy
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import batched
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.generations import Served
from shared.frame.read_side.log_source import LogSource
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT, TIMEOUT
from shared.frame.write_side.relay import Relay
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.domain.offer import Customer
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderStatus
from shared.ordering.reference_data import ReferenceData
from shared.ordering.repository import Orders
from shared.ordering.tables import LOG
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import new_summary
from shared.ordering.views.order_documents import CustomerPartitions, document_of
from tests.bench.place import Place, products
from tests.bench.rounds import Spread, Work, exponent, milliseconds, take_turns
from tests.bench.rows import Goal, Row
from tests.bench.sizes import Sizes
from tests.support.containers import only
from tests.support.offers import ADDRESS, a_product, pieces
from tests.support.shop import Shop
from tests.support.topic import KeptTopic

SECTION = "5. Growth (the exponent of time over size: 0 is flat, 1 linear)"
LINEAR = Goal(1.1)
GIVEN_UP = 0.98 * TIMEOUT
"""Seconds from which a query counts as given up: clocks are not that exact."""
BATCH = 100
"""Documents or orders that are written at a time, to prepare."""
EVENTS = 5
"""Of each order that a read model is rebuilt from."""
ORDERS_OF_ONE = 20
"""Orders of each customer there."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Measure items, lists, the relay and rebuilding at growing sizes."""
    return [
        await _items(place, sizes),
        *await _lists(place, sizes),
        await _relay(place, sizes),
        await _rebuild(place, sizes),
    ]


async def _items(place: Place, sizes: Sizes) -> Row:
    """Add to a line that is there, so that an order keeps its size."""
    ids = products(place.shop, max(sizes.lines))
    customer_id = place.shop.customer()
    orders = {size: place.shop.order(*ids[:size], customer_id=customer_id) for size in sizes.lines}

    async def add(order_id: UUID) -> None:
        place.shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=ids[0], quantity=1), Metadata())

    sides: dict[int, Work] = {size: partial(add, order_id) for size, order_id in orders.items()}
    taken = await take_turns(sides, sizes.rounds, max(2, sizes.repeats // 4))
    return _fitted("add an item, over lines of the order: it is loaded whole, for its rules", taken, LINEAR)


async def _lists(place: Place, sizes: Sizes) -> list[Row]:
    [order] = await asyncio.to_thread(_some_orders, place.shop, 1)
    with place.shop.ordering_engine.connect() as connection:
        document = document_of(LOG.history(connection, order.order_id))
    async with place.empty_orders() as container:
        return await _pages(container, document, sizes)


async def _pages(container: ContainerProxy, document: dict[str, Any], sizes: Sizes) -> list[Row]:
    customers = {size: await _customer_with(container, document, size) for size in sizes.lists}
    rows = []
    for page, skips in (
        ("first", dict.fromkeys(sizes.lists, 0)),
        ("last", {it: max(it - 20, 0) for it in sizes.lists}),
    ):
        sides: dict[int, Work] = {
            size: partial(_page, container, ListOrders(customer_id=customer_id, skip=skips[size]))
            for size, customer_id in customers.items()
        }
        taken = await take_turns(sides, sizes.rounds, 1)
        given_up = [f"no answer within {TIMEOUT:g} s at {it:,}" for it in taken if min(taken[it]) > GIVEN_UP]
        what = "; ".join([f"the {page} page of a list, over the customer's orders: the engine sorts all", *given_up])
        rows.append(_fitted(what, taken, None))
    return rows


async def _page(container: ContainerProxy, query: ListOrders) -> None:
    """Read a page; where a query gives the store up, the time is at least that."""
    with suppress(TimeoutError):
        await list_orders(Served(container, 1), query, wait=NO_WAIT)


async def _customer_with(container: ContainerProxy, document: dict[str, Any], orders: int) -> UUID:
    """Give a customer so many orders, straight into the read model."""
    customer_id, began = uuid4(), datetime(2026, 1, 1, tzinfo=UTC)
    summary = new_summary(customer_id, "Ada", 1)
    await container.create_item(summary | {"orders": summary["orders"] | {OrderStatus.CREATED: orders}})
    for numbers in batched(range(orders), BATCH, strict=False):
        written = [
            copy.copy(document)
            | {
                "id": str(uuid4()),
                "customerId": str(customer_id),
                "createdAt": f"{began + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S.%fZ}",
            }
            for number in numbers
        ]
        await container.execute_item_batch([("create", (it,), {}) for it in written], str(customer_id))
    return customer_id


async def _relay(place: Place, sizes: Sizes) -> Row:
    """Publish one new event, with nothing and with much behind it."""
    sides: dict[int, Work] = {}
    with ExitStack() as stack:
        for size in (0, sizes.published):
            shop = stack.enter_context(place.another_shop(f"relay-{size}"))
            await asyncio.to_thread(_some_orders, shop, size)
            with shop.ordering_engine.begin() as connection:
                connection.execute(sa.update(LOG.table).values(published_at=datetime.now(UTC)))
            sides[size] = partial(_publish_one, shop, Relay(shop.ordering_engine, LOG, KeptTopic()))
        taken = await take_turns(sides, sizes.rounds, max(2, sizes.repeats // 2))
    none, many = taken[0], taken[sizes.published]
    return Row(
        SECTION,
        f"an order made and published, with {sizes.published:,} published events behind it / with none",
        Spread.of([a / b for a, b in zip(many, none, strict=True)]),
        goal=Goal(1.25),
        context=f"{milliseconds(many)} / {milliseconds(none)}",
    )


async def _publish_one(shop: Shop, relay: Relay[Any]) -> None:
    _some_orders(shop, 1)
    assert relay.run() == 1


async def _rebuild(place: Place, sizes: Sizes) -> Row:
    """Fill an empty container from the log; the largest sizes once, for they take long enough to be exact."""
    taken: dict[int, list[float]] = {}
    for size in sizes.events:
        with place.another_shop(f"rebuild-{size}") as shop:
            await asyncio.to_thread(_some_orders, shop, size // EVENTS, EVENTS)
            async with place.empty_orders() as container:
                taken[size] = [await _fill(shop, container, size)]
    rates = ", ".join(f"{size:,}: {size / seconds[0]:,.0f}/s" for size, seconds in taken.items())
    return _fitted("a read model rebuilt, over events in the log", taken, LINEAR, rates)


async def _fill(shop: Shop, container: ContainerProxy, expected: int) -> float:
    projection = Projection(
        only(container), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider
    )
    source = LogSource(shop.ordering_engine, projection, CustomerPartitions(), order_projection.project)
    begin, position, events = time.perf_counter(), None, 0
    while (filled := await source.fill(container, position)).position is not None:
        position, events = filled.position, events + filled.events
    assert events == expected, f"{events} events of {expected}"
    return time.perf_counter() - begin


def _some_orders(shop: Shop, count: int, events: int = 1) -> Sequence[Order]:
    """Write orders of one line, with so many events each, as commands would; many in a transaction."""
    made: list[Order] = []
    for numbers in batched(range(count), BATCH, strict=False):
        with UnitOfWork(shop.ordering_engine) as work:
            for number in numbers:
                if number % ORDERS_OF_ONE == 0:
                    customer = Customer(uuid4(), "Ada", version=1)
                    ReferenceData(work).add_customer(customer.customer_id, customer.name, 1)
                order = Order.create(uuid4(), customer, [pieces(a_product())], ADDRESS)
                for _ in range(events - 1):
                    order.add([pieces(a_product())])
                Orders(work, Metadata()).save(order)
                made.append(order)
            work.commit()
    return made


def _fitted(what: str, taken: dict[int, list[float]], goal: Goal | None, context: str = "") -> Row:
    sizes = list(taken)
    fitted = [exponent(sizes, seconds) for seconds in zip(*taken.values(), strict=True)]
    said = context or ", ".join(f"{size:,}: {milliseconds(seconds)}" for size, seconds in taken.items())
    return Row(SECTION, what, Spread.of(fitted), "exponent", goal, said)
