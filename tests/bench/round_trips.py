"""Round trips: counted, not timed, so they are the same on any machine.

Where CONFORMANCE_SQL names a server, its requests are those that the real driver has sent, seen on the wire.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from uuid import UUID, uuid4

from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.tables import LOG as CUSTOMERS
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.sql.reading import read_from
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderNotInStatus
from shared.ordering.event_handlers.follow_customers import follow_customer
from shared.ordering.tables import CODEC, INBOX, LOG
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import ReadSummary, new_summary, read_summary
from shared.ordering.views.order_details import ReadOrder, read_order
from tests.bench.place import Place, products
from tests.bench.rounds import Spread
from tests.bench.rows import Goal, Row
from tests.bench.sizes import Sizes
from tests.support.containers import only
from tests.support.counting import MILLI, counting_cosmos
from tests.support.database import empty_database
from tests.support.requests import Watch, watched_shop
from tests.support.shop import SHIPPING, Shop
from tests.support.topic import KeptTopic

SECTION = "2. Round trips"
ORDER, OTHER = UUID(int=1), UUID(int=2)


async def measure(place: Place, _sizes: Sizes) -> list[Row]:
    """Count what each command, its event and each query ask of the stores."""
    folder = place.folder / "round-trips"
    folder.mkdir()
    with watched_shop(empty_database(folder)) as (shop, watch):
        return await _count(place, shop, watch)


async def _count(place: Place, shop: Shop, watch: Watch) -> list[Row]:
    @contextmanager
    def requests(what: str, most: int) -> Iterator[None]:
        with watch() as made:
            yield
        seen = made.counted if made.on_the_wire is None else made.on_the_wire
        context = "" if made.on_the_wire is None else f"on the wire; {made.counted} by what the other sections count"
        rows.append(_row(what, seen, "SQL requests", most, context))

    on_sqlite = shop.ordering_engine.dialect.name == "sqlite"
    customer_id, (tea, mug) = shop.customer(), products(shop, 2)
    shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Ada L."), Metadata())
    renamed = read_from(shop.customers_engine, partial(CUSTOMERS.history, aggregate_id=customer_id))[-1]
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
        with requests(f"command: {name}", 2):
            shop.ordering.run(handler, command, Metadata())  # type: ignore[arg-type]  # each has its own command
    commands = len(rows)
    with requests("publishing all of it", 2):
        relay.run()
    with requests("a relay with nothing to do", 1):
        relay.run()
    rows.append(_row("messages, each an event", len(topic.sent) / commands, "a command", 1))
    projection = Projection(
        only(place.orders), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider
    )
    for envelope in topic.sent:
        counts: Counter[str] = Counter()
        with counting_cosmos(counts):
            await projection.project(CODEC.open(envelope))
        rows.append(_cosmos(f"event: {envelope.type}", counts, 1))
    details = ReadOrder(order_id=ORDER, customer_id=customer_id)
    for name, query, most in (
        ("order", read_order(Served(place.orders, 1), details, wait=NO_WAIT), 1),
        ("summary", read_summary(Served(place.orders, 1), ReadSummary(customer_id=customer_id), wait=NO_WAIT), 1),
        (
            "a page of orders",
            list_orders(Served(place.orders, 1), ListOrders(customer_id=customer_id), wait=NO_WAIT),
            2,
        ),
    ):
        counts = Counter()
        with counting_cosmos(counts):
            await query
        rows.append(_cosmos(f"query: {name}", counts, most))
    # what a replay and a refusal ask; on SQLite a replay of a create asks once more, after its batch
    create, metadata = _create(uuid4(), customer_id, tea), Metadata()
    shop.ordering.run(create_order, create, metadata)
    with requests("command: create, replayed", 3 if on_sqlite else 2):
        shop.ordering.run(create_order, create, metadata)
    with requests("command: confirm, refused", 2), suppress(OrderNotInStatus):
        shop.ordering.run(confirm_order, ConfirmOrder(order_id=create.order_id), Metadata())
    with requests("a lone read", 1):
        read_from(shop.ordering_engine, LOG.claims.unpublished)
    with requests("an event that ordering follows", 1):
        INBOX.consume(shop.ordering_engine, renamed, follow_customer)
    return rows


def _create(order_id: UUID, customer_id: UUID, product_id: UUID) -> CreateOrder:
    items = [Item(product_id=product_id, quantity=1)]
    return CreateOrder(order_id=order_id, customer_id=customer_id, items=items, shipping_address=SHIPPING)


def _cosmos(what: str, counts: Counter[str], most: int) -> Row:
    units = f"{counts['cosmos_milliunits'] / MILLI:g} RU by the engine's constants"
    return _row(what, counts["cosmos_requests"], "Cosmos requests", most, units)


def _row(what: str, count: float, unit: str, most: int, context: str = "") -> Row:
    return Row(SECTION, what, Spread.exactly(count), unit, Goal(most), context)
