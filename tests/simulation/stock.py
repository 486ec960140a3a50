"""No piece is promised twice, whatever went wrong: each is on hand, reserved for one order, or shipped."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.stock import Stock, stock_of
from shared.catalog.events import (
    ItemShippedV1,
    OrderedStock,
    StockEvent,
    StockLevel,
    StockReceivedV1,
    StockRecountedV1,
    StockReservedV1,
)
from shared.catalog.tables import LOG, ORDERED_STOCK, STOCK
from shared.ordering import tables as ordering
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderStatus, OrderSubmittedV2
from tests.simulation.shop import Shop

UNDER_WAY = {OrderStatus.SUBMITTED, OrderStatus.CONFIRMED}


def broken_stock(shop: Shop) -> Iterator[str]:
    """Find stock that does not add up."""
    lines: dict[UUID, dict[UUID, OrderedStock]] = defaultdict(dict)
    kept_since: dict[UUID, datetime] = {}
    with shop.engines["catalog"].connect() as connection:
        for row in connection.execute(sa.select(ORDERED_STOCK)).all():
            line = OrderedStock(row.order_id, row.submitted_at, row.reserved, row.waiting, row.shipped)
            lines[row.product_id][row.order_id] = line
        for row in connection.execute(sa.select(STOCK)).all():
            history = LOG.history(connection, stock_of(row.product_id))
            events = cast("list[StockEvent]", [recorded.event for recorded in history])
            kept_since[row.product_id] = history[0].envelope.occurred_at
            level = StockLevel(row.on_hand, row.reserved, row.waiting)
            yield from _adds_up(row.product_id, level, lines[row.product_id], events)
    yield from _orders(shop, lines, kept_since)


def _adds_up(
    product_id: UUID, level: StockLevel, lines: Mapping[UUID, OrderedStock], events: list[StockEvent]
) -> Iterator[str]:
    folded, what = Stock.fold(events), f"the stock of {product_id}"
    if (folded.level, folded.lines) != (level, lines):
        yield f"{what}: the tables have {level} and {lines}, the log {folded.level} and {folded.lines}"
    yield from _overtaken(events, what)
    in_house = 0
    for event in events:
        match event:
            case StockReceivedV1():
                in_house += event.quantity
            case StockRecountedV1():
                in_house = event.counted
            case ItemShippedV1():
                in_house -= event.quantity
            case _:
                pass
        if not 0 <= event.level.reserved <= event.level.on_hand:
            yield f"{what} was oversold: {event}"
        if event.level.on_hand != in_house:
            yield f"{what}: {in_house} pieces are in the house, and not {event.level.on_hand}"
    if level.reserved != sum(line.reserved for line in lines.values()):
        yield f"{what}: {level.reserved} are reserved, and orders have {lines}"
    if level.waiting != sum(line.waiting for line in lines.values()):
        yield f"{what}: {level.waiting} are waited for, and orders wait for {lines}"
    if level.waiting and level.available:
        yield f"{what}: orders wait for {level.waiting} while {level.available} are there"


def _overtaken(events: list[StockEvent], what: str) -> Iterator[str]:
    """Find pieces that an order got while an order that was submitted earlier waited."""
    waiting: dict[UUID, OrderedStock] = {}
    for event in events:
        if isinstance(event, StockReceivedV1 | StockRecountedV1):
            continue
        if isinstance(event, StockReservedV1):
            earlier = [each for each in waiting.values() if _place(each) < _place(event.line)]
            if earlier:
                yield f"{what}: {event} overtook {earlier}"
        waiting.pop(event.line.order_id, None)
        if event.line.waiting:
            waiting[event.line.order_id] = event.line


def _place(line: OrderedStock) -> tuple[datetime, UUID]:
    return line.submitted_at, line.order_id


def _orders(
    shop: Shop, lines: Mapping[UUID, Mapping[UUID, OrderedStock]], kept_since: Mapping[UUID, datetime]
) -> Iterator[str]:
    """Each order has, waits for and got what it ordered; it knows that, and shows it."""
    state = shop.scheduler.work(shop.start().rebuildings["orders"].view.generations.read())
    container = cast("Any", shop.start().rebuildings["orders"].view.generations.container(state.serving))
    shown = {document["id"]: document for document in container.store.documents()}
    with shop.engines["ordering"].connect() as connection:
        for order_id in connection.execute(sa.select(ordering.ORDERS.c.order_id)).scalars().all():
            history = ordering.LOG.history(connection, order_id)
            order = Order.fold(entry.event for entry in history)
            submitted_at = [each.envelope.occurred_at for each in history if isinstance(each.event, OrderSubmittedV2)]
            for product_id, ordered in order.lines.items():
                line, what = lines[product_id].get(order_id), f"order {order_id}, product {product_id}"
                known = order.stock.get(product_id)
                if line is None:
                    if known is not None:
                        yield f"{what} knows of stock that it does not have: {known}"
                    if order.status is OrderStatus.COMPLETED and any(
                        kept_since.get(product_id, at) < at for at in submitted_at
                    ):
                        yield f"{what} is completed, and its pieces are for sale"
                    continue
                if known is None or (known.reserved, known.waiting, known.shipped) != _pieces(line):
                    yield f"{what} knows of {known}, and has {line}"
                document = shown.get(str(order_id), {"items": {}})["items"].get(str(product_id), {}).get("stock")
                if document is None or tuple(document.values()) != _pieces(line):
                    yield f"{what} shows {document}, and has {line}"
                if order.status in UNDER_WAY and sum(_pieces(line)) != ordered.quantity:
                    yield f"{what} ordered {ordered.quantity}, and has {line}"
                if order.status not in UNDER_WAY and line.reserved + line.waiting:
                    yield f"{what} is {order.status}, and still has {line}"
            if (
                order.status is OrderStatus.CONFIRMED
                and order.lines
                and all(map(order._is_shipped, order.lines.values()))
            ):
                yield f"order {order_id} is all shipped, and not completed"


def _pieces(line: OrderedStock) -> tuple[int, int, int]:
    return line.reserved, line.waiting, line.shipped
