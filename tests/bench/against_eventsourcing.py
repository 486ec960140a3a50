"""Against the `eventsourcing` library: the same lives of orders, in process, on SQLite files that are equally careful.

A command of Tandem validates its input, reads products and prices from SQL, and keeps state tables beside the events;
the library's application is given them and has none. To rebuild is the same work for both: read an order's events from
the log and fold the aggregate.
"""

import sqlite3
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderStatus
from shared.ordering.tables import LOG
from tests.bench.peers.event_sourced import Item, Orders, application
from tests.bench.place import Place, products
from tests.bench.rounds import Spread, ratio, take_turns
from tests.bench.rows import Goal, Row
from tests.bench.sizes import Sizes
from tests.support.shop import Shop

SECTION = "4b. Against the eventsourcing library (the same orders, in process, SQLite)"
ADDED = 3
COMMANDS = 1 + ADDED + 3
"""Of one life: create, add items, submit, confirm, complete. Each leaves one event."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Compare commands and rebuilding."""
    with place.another_shop("aggregates") as shop:
        _careful(shop.ordering_engine)
        customer_id, ids = shop.customer(), products(shop, 1 + ADDED)
        items = [Item(id_, "Tea", 1, "12.50", "EUR") for id_ in ids]
        app = application(place.folder)
        lived: dict[str, list[UUID]] = {"ours": [], "theirs": []}

        async def we_live() -> None:
            lived["ours"] += [_our_life(shop, customer_id, ids) for _ in range(sizes.lives)]

        async def they_live() -> None:
            lived["theirs"] += [_their_life(app, customer_id, items) for _ in range(sizes.lives)]

        commands = await take_turns({"ours": we_live, "theirs": they_live}, sizes.rounds, 1)

        async def we_rebuild() -> None:
            with shop.ordering_engine.connect().execution_options(reads_only=True) as connection:
                for order_id in lived["ours"][: sizes.lives]:
                    order = Order.fold(recorded.event for recorded in LOG.history(connection, order_id))
                    assert order.status is OrderStatus.COMPLETED

        async def they_rebuild() -> None:
            for order_id in lived["theirs"][: sizes.lives]:
                assert app.order(order_id).status == "Completed"

        rebuilding = await take_turns({"ours": we_rebuild, "theirs": they_rebuild}, sizes.rounds, 1)
        app.close()
    count = sizes.lives * COMMANDS
    return [
        _row("commands a second", commands, count, 0.9),
        _row("rebuilding aggregates, events a second", rebuilding, count, 1),
    ]


def _our_life(shop: Shop, customer_id: UUID, ids: list[UUID]) -> UUID:
    writes, order_id = shop.ordering, shop.order(ids[0], customer_id=customer_id)
    for id_ in ids[1:]:
        writes.run(add_item, AddItem(order_id=order_id, product_id=id_, quantity=1), Metadata())
    writes.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    writes.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    writes.run(complete_order, CompleteOrder(order_id=order_id), Metadata())
    return order_id


def _their_life(app: Orders, customer_id: UUID, items: list[Item]) -> UUID:
    address = {"street": "Hauptstraße 1", "city": "Köln", "postal_code": "50667"}
    order_id = app.create_order(customer_id, "Ada", address, items[:1])
    for item in items[1:]:
        app.add_item(order_id, item)
    app.submit_order(order_id)
    app.confirm_order(order_id)
    app.complete_order(order_id)
    return order_id


def _careful(engine: sa.Engine) -> None:
    """Let each commit reach the disk, as the library's SQLite does."""
    engine.dispose()

    @sa.event.listens_for(engine, "connect")
    def _full(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA ordering.synchronous = FULL")


def _row(what: str, taken: dict[str, list[float]], count: int, goal: float) -> Row:
    a_second = {side: count / Spread.of(seconds).median for side, seconds in taken.items()}
    return Row(
        SECTION,
        what,
        ratio(taken["theirs"], taken["ours"]),
        goal=Goal(goal, at_least=True),
        context=f"{a_second['ours']:.0f} / {a_second['theirs']:.0f}",
    )
