"""Against the bare clients: what the system adds to one point read, one patch and one SQL transaction."""

import copy
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from infra.local.host import worker
from infra.local.host.rpc import bytes_data, protos
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.projection import Projection
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.repository import LOAD_CUSTOMER_WITH_PRODUCTS
from shared.ordering.tables import LOG, ORDER_LINES, ORDERS
from shared.ordering.views import order_projection
from shared.ordering.views.customer_summary import new_summary
from tests.bench.latency import delay_engines
from tests.bench.place import Place, products
from tests.bench.rounds import Work, milliseconds, ratio, take_turns
from tests.bench.rows import Goal, Row
from tests.bench.sizes import Sizes
from tests.support import principals
from tests.support.containers import only
from tests.support.counting import STATEMENT_BY_STATEMENT
from tests.support.shop import SHIPPING, Shop

SECTION = "1. Against the bare client (same process, same engine)"
_INSERT_ORDER, _INSERT_LINES, _APPEND = (sa.insert(table) for table in (ORDERS, ORDER_LINES, LOG.table))
LINES = 10
AWAY = 0.001
"""Seconds for a round trip; a database in the same region is as far away, or farther."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Compare queries, projections and commands with their bare clients."""
    return [*await _query(place, sizes), *await _projection(place, sizes), *await _command(place, sizes)]


async def _query(place: Place, sizes: Sizes) -> list[Row]:
    customer_id = place.shop.customer()
    order_id = place.shop.order(*products(place.shop, LINES), customer_id=customer_id)
    await place.orders.create_item(new_summary(customer_id, "Ada", 1))
    projection = Projection(
        only(place.orders), place.shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider
    )
    with place.shop.ordering_engine.connect() as connection:
        for recorded in LOG.history(connection, order_id):
            await projection.project(recorded)
    request = _request(
        "GET", f"/api/orders/{order_id}", {"orderId": str(order_id)}, query={"customerId": str(customer_id)}
    )
    container = place.bare_orders

    async def ours() -> None:
        answer = await worker.invoke(place.functions["get_order"], request)
        assert answer.http.status_code == "200", answer.http.body.bytes

    async def bare() -> None:
        await container.read_item(str(order_id), str(customer_id))

    taken = await take_turns({"ours": ours, "bare": bare}, sizes.rounds, sizes.repeats)
    return [_row("order query through the worker / azure-cosmos point read", taken, 1.25)]


async def _projection(place: Place, sizes: Sizes) -> list[Row]:
    """Project one event on an order after the other; beside it the same patch on documents that are like them."""
    customer_id, (tea, mug) = place.shop.customer(), products(place.shop, 2)
    await place.orders.create_item(new_summary(customer_id, "Ada", 1))
    projection = Projection(
        only(place.orders), place.shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider
    )
    count = 1 + sizes.rounds * sizes.repeats
    added, twins = [], []
    for _ in range(count):
        order_id = place.shop.order(tea, customer_id=customer_id)
        place.shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=mug, quantity=1), Metadata())
        with place.shop.ordering_engine.connect() as connection:
            opened, changed = LOG.history(connection, order_id)
        await projection.project(opened)
        twin = copy.deepcopy(await place.orders.read_item(str(order_id), str(customer_id)))
        twins.append(str(uuid4()))
        await place.orders.create_item({**twin, "id": twins[-1]})
        added.append(changed)
    container, line = place.bare_orders, {"number": 2, "productName": "Tea", "productVersion": 1, "quantity": 1}

    async def ours() -> None:
        await projection.project(added.pop())

    async def bare() -> None:
        operations: list[dict[str, Any]] = [
            {"op": "set", "path": f"/items/{mug}", "value": {**line, "unitPrice": 1250}},
            {"op": "set", "path": "/currency", "value": "EUR"},
            {"op": "set", "path": "/total", "value": 2500},
            {"op": "set", "path": "/version", "value": 2},
            {"op": "add", "path": "/projected/-", "value": int(datetime.now(UTC).timestamp() * 1000)},
        ]
        await container.patch_item(
            twins.pop(), str(customer_id), operations, filter_predicate="from c where c.version = 1", no_response=True
        )

    taken = await take_turns({"ours": ours, "bare": bare}, sizes.rounds, sizes.repeats)
    return [_row("projection of one event / azure-cosmos patch_item", taken, 1.25)]


async def _command(place: Place, sizes: Sizes) -> list[Row]:
    sides = _sides(place.shop)
    taken = await take_turns(sides, sizes.rounds, sizes.repeats)
    rows = [
        _row("command (an order of 10 lines) / SQL transaction that writes its rows", taken, 1.6),
        _row("the same / SQL transaction that also reads what the command must", taken | {"bare": taken["statements"]}),
        _row("the same over the first, with SQL 1 ms away", await _away(place, sizes), 0.7),
    ]
    taken = await take_turns({"ours": _through_the_worker(place), "bare": sides["bare"]}, sizes.rounds, sizes.repeats)
    # its events are published meanwhile, on another thread of this process
    return [*rows, _row("the same through the worker, from HTTP body to answer, over the first", taken)]


async def _away(place: Place, sizes: Sizes) -> dict[str, list[float]]:
    """Let both have their database where a network would have it."""
    with place.another_shop("away") as shop:
        sides = _sides(shop)
        delay_engines(shop.ordering_engine, place.delay, alone=True)
        place.delay.set(AWAY)
        try:
            return await take_turns({side: sides[side] for side in ("ours", "bare")}, sizes.rounds, sizes.repeats)
        finally:
            place.delay.set(0)


def _sides(shop: Shop) -> dict[str, Work]:
    """Create an order: as the command, as a transaction with its rows, as one that reads what the command must."""
    customer_id, ids = shop.customer(), products(shop, LINES)
    items = [Item(product_id=id_, quantity=1) for id_ in ids]
    order, lines, events = _rows_of(shop, shop.order(*ids, customer_id=customer_id))
    writes = shop.ordering
    engine = shop.ordering_engine.execution_options(**{STATEMENT_BY_STATEMENT: True})

    async def ours() -> None:
        command = CreateOrder(order_id=uuid4(), customer_id=customer_id, items=items, shipping_address=SHIPPING)
        writes.run(create_order, command, Metadata())

    def write(connection: sa.Connection, order_id: UUID) -> None:
        connection.execute(_INSERT_ORDER, order | {"order_id": order_id})
        connection.execute(_INSERT_LINES, [line | {"order_id": order_id} for line in lines])
        new = {"event_id": uuid4(), "aggregate_id": order_id, "command_id": str(uuid4())}
        connection.execute(_APPEND, [event | new for event in events])

    async def bare() -> None:
        with engine.begin() as connection:
            write(connection, uuid4())

    async def statements() -> None:
        with engine.begin() as connection:
            offer = {"id": customer_id, "products": ids, "address": None}
            connection.execute(LOAD_CUSTOMER_WITH_PRODUCTS, offer).mappings().all()
            write(connection, uuid4())

    return {"ours": ours, "bare": bare, "statements": statements}


def _through_the_worker(place: Place) -> Work:
    body = {
        "customerId": str(place.shop.customer()),
        "items": [{"productId": str(id_), "quantity": 1} for id_ in products(place.shop, LINES)],
        "shippingAddress": {"street": "Hauptstraße 1", "city": "Köln", "postalCode": "50667"},
    }
    request = _request("POST", "/api/orders", {}, body=json.dumps(body).encode())

    async def through_the_worker() -> None:
        answer = await worker.invoke(place.functions["post_order"], request)
        assert answer.http.status_code == "201", answer.http.body.bytes

    return through_the_worker


def _rows_of(shop: Shop, order_id: UUID) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Read what a command wrote: the order, its lines, its events."""
    with shop.ordering_engine.connect() as connection:
        order, lines, events = (
            [dict(row) for row in connection.execute(sa.select(table).where(column == order_id)).mappings()]
            for table, column in (
                (ORDERS, ORDERS.c.order_id),
                (ORDER_LINES, ORDER_LINES.c.order_id),
                (LOG.table, LOG.table.c.aggregate_id),
            )
        )
    for event in events:
        del event["sequence"]
    return order[0], lines, events


def _request(
    method: str, path: str, params: dict[str, str], query: dict[str, str] | None = None, body: bytes = b""
) -> Any:
    """Build what the host hands to the worker."""
    headers = {"content-type": "application/json", "host": "127.0.0.1", "accept": "*/*"} | principals.shop()
    http = protos.RpcHttp(
        method=method,
        url=f"http://127.0.0.1{path}",
        headers=headers,
        params=params,
        query=query or {},
        body=bytes_data(body),
    )
    return protos.TypedData(http=http)


def _row(what: str, taken: dict[str, list[float]], goal: float | None = None) -> Row:
    return Row(
        SECTION,
        what,
        ratio(taken["ours"], taken["bare"]),
        goal=None if goal is None else Goal(goal),
        context=f"{milliseconds(taken['ours'])} / {milliseconds(taken['bare'])}",
    )
