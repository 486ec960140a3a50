"""Round trips: counted, not timed, so they are the same on any machine."""

from collections import Counter
from uuid import UUID

from shared.messaging.envelope import Metadata
from shared.messaging.projection import Projection
from shared.messaging.relay import Relay
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import CODEC, LOG
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import ReadSummary, new_summary, read_summary
from shared.ordering.views.order_details import ReadOrder, read_order
from shared.platform.generations import Served
from tests.bench.place import Place, products
from tests.bench.rounds import Spread
from tests.bench.rows import Goal, Row
from tests.bench.sizes import Sizes
from tests.support.containers import only
from tests.support.counting import MILLI, counting_cosmos, counting_sql
from tests.support.shop import SHIPPING, Shop
from tests.support.topic import KeptTopic

SECTION = "2. Round trips"
ORDER, OTHER = UUID(int=1), UUID(int=2)


async def measure(place: Place, _sizes: Sizes) -> list[Row]:
    """Count what each command, its event and each query ask of the stores."""
    with place.another_shop("round-trips") as shop:
        return await _count(place, shop)


async def _count(place: Place, shop: Shop) -> list[Row]:
    customer_id, (tea, mug) = shop.customer(), products(shop, 2)
    await place.orders.create_item(new_summary(customer_id, "Ada", 1))
    topic = KeptTopic()
    relay = Relay(shop.ordering_engine, LOG, topic)
    rows: list[Row] = []
    for name, handler, command in (
        ("create", create_order, _create(ORDER, customer_id, tea)),
        ("add item", add_item, AddItem(order_id=ORDER, product_id=mug, quantity=1)),
        ("remove item", remove_item, RemoveItem(order_id=ORDER, product_id=mug)),
        ("submit", submit_order, SubmitOrder(order_id=ORDER)),
        ("confirm", confirm_order, ConfirmOrder(order_id=ORDER)),
        ("complete", complete_order, CompleteOrder(order_id=ORDER)),
        ("create another", create_order, _create(OTHER, customer_id, tea)),
        ("cancel", cancel_order, CancelOrder(order_id=OTHER, reason="no")),
    ):
        counts: Counter[str] = Counter()
        with counting_sql(shop.ordering_engine, counts):
            shop.ordering.run(handler, command, Metadata())  # type: ignore[arg-type]  # each has its own command
        commits = f"commits: {counts['sql_commits']}"
        rows.append(_row(f"command: {name}", counts["sql_statements"], "SQL statements", 4, commits))
    commands = len(rows)
    relay.run()
    rows.append(_row("messages, each an event", len(topic.sent) / commands, "a command", 1))
    projection = Projection(
        only(place.orders), shop.ordering_engine, LOG, order_projection.change, order_projection.reconsider
    )
    for envelope in topic.sent:
        counts = Counter()
        with counting_cosmos(counts):
            await projection.project(CODEC.open(envelope))
        rows.append(_cosmos(f"event: {envelope.type}", counts, 1))
    details = ReadOrder(order_id=ORDER, customer_id=customer_id)
    for name, query, most in (
        ("order", read_order(Served(place.orders, 1), details, wait=0), 1),
        ("summary", read_summary(place.orders, ReadSummary(customer_id=customer_id), wait=0), 1),
        ("a page of orders", list_orders(place.orders, ListOrders(customer_id=customer_id), wait=0), 2),
    ):
        counts = Counter()
        with counting_cosmos(counts):
            await query
        rows.append(_cosmos(f"query: {name}", counts, most))
    return rows


def _create(order_id: UUID, customer_id: UUID, product_id: UUID) -> CreateOrder:
    items = [Item(product_id=product_id, quantity=1)]
    return CreateOrder(order_id=order_id, customer_id=customer_id, items=items, shipping_address=SHIPPING)


def _cosmos(what: str, counts: Counter[str], most: int) -> Row:
    units = f"{counts['cosmos_milliunits'] / MILLI:g} RU by the engine's constants"
    return _row(what, counts["cosmos_requests"], "Cosmos requests", most, units)


def _row(what: str, count: float, unit: str, most: int, context: str = "") -> Row:
    return Row(SECTION, what, Spread.exactly(count), unit, Goal(most), context)
