"""What must be true once all is quiet, whatever went wrong before."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables as catalog
from shared.catalog.domain.product import Product
from shared.catalog.views.product_lists import LISTS, entry_of
from shared.catalog.views.stock_level import stock_document_of
from shared.customers import tables as customers
from shared.customers.domain.customer import Customer
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.times import utc_text
from shared.frame.read_side.generations import Generations, State
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.log_table import envelope_of
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import Refusal
from shared.ordering import tables as ordering
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderSubmittedV2
from shared.ordering.repository import Orders
from shared.ordering.views.customer_summary import COUNTED, RECENT, SUMMARY
from tests.kit.simulated import Simulated
from tests.simulation import contexts
from tests.simulation.database import FaultyEngine, logs, unpublished
from tests.simulation.erasure import broken_erasure
from tests.simulation.fulfilments import broken_fulfilments
from tests.simulation.money import broken_money
from tests.simulation.read_models import FaultyContainer
from tests.simulation.shop import Shop
from tests.simulation.stock import broken_stock
from tests.support.shop import about_product


def broken(shop: Shop) -> Iterator[str]:
    """Find what is not as it must be; nothing, in a system that keeps its promises."""
    yield from shop.reader.wrong
    for engine in shop.faulty.values():
        yield from cast("FaultyEngine", engine).wrong
    yield from _names(shop)
    for name, subscription in shop.subscriptions.items():
        if subscription.dead:
            yield f"{name}: {len(subscription.dead)} dead letters that replaying does not help"
    for name, log in logs().items():
        with shop.engines[name].connect() as connection:
            yield from _commands(connection, log, shop)
            yield from _published(connection, log, shop.topics[name].arrived)
    yield from _followed(shop)
    yield from _replayed(shop)
    yield from _read_models(shop)
    yield from _generations(shop)
    yield from broken_stock(shop)
    yield from broken_fulfilments(shop)
    yield from broken_erasure(shop)
    yield from broken_money(shop)
    for each in contexts.SIMULATED:
        yield from _agrees(shop, each)


SEVERAL = {"StockReservedV1", "StockAwaitedV2"}
"""One change of the stock may be for several orders."""


def _commands(connection: sa.Connection, log: EventLog[Any], shop: Shop) -> Iterator[str]:
    """Every accepted command left its events once, and refused ones none."""
    columns = (log.table.c.command_id, log.table.c.aggregate_id, log.table.c.type)
    rows = connection.execute(sa.select(*columns)).all()
    # of each aggregate: one shipment, or one order that is over, may be about several products
    left = Counter((row.command_id, row.aggregate_id, row.type) for row in rows)
    for (command, _, kind), times in left.items():
        if times > 1 and kind not in SEVERAL:
            yield f"{command} left {kind} {times} times"
    known = {sent.key: sent for sent in shop.clients.sent}
    for command in {row.command_id for row in rows} & known.keys():  # the others are events that were followed
        if known[command].accepted is None:
            yield f"{command} was refused and left events"


def _published(connection: sa.Connection, log: EventLog[Any], arrived: dict[Any, list[int]]) -> Iterator[str]:
    """Every event went out once, and each aggregate's in order."""
    if count := unpublished(connection.engine, log):
        yield f"{count} events are unpublished"
    newest = sa.select(log.table.c.aggregate_id, sa.func.max(log.table.c.aggregate_version)).group_by(
        log.table.c.aggregate_id
    )
    for aggregate_id, version in connection.execute(newest):
        if arrived[aggregate_id] != list(range(1, version + 1)):
            yield f"{aggregate_id} was published as {arrived[aggregate_id]}, not as 1 to {version}"


def _followed(shop: Shop) -> Iterator[str]:
    """Every event that a context takes from another one has come to it."""
    wired = shop.start().wired
    publishers = {context.topic: name for name, context in wired.items()}
    for name, context in wired.items():
        if context.inbox is None:
            continue
        with shop.engines[name].connect() as connection:
            come = set(connection.execute(sa.select(context.inbox.table.c.event_id)).scalars())
        for consumer in context.consumers:
            publisher = publishers[consumer.topic]
            if publisher == name:  # what follows from a context's own events is compared with its log
                continue
            with shop.engines[publisher].connect() as connection:
                rows = connection.execute(sa.select(logs()[publisher].table)).all()
            for envelope in map(envelope_of, rows):
                if consumer.takes(envelope.type) and envelope.event_id not in come:
                    yield f"{envelope.type} of {envelope.aggregate_id} has not come to {consumer.name}"


def _replayed(shop: Shop) -> Iterator[str]:
    """Who retries gets the first answer."""
    for sent in [sent for sent in shop.clients.sent if sent.accepted]:
        first = sent.accepted
        try:
            again = shop.writes[sent.context].run(sent.handler, sent.command, sent.metadata)
        except Refusal as refusal:
            yield f"{sent.key} was answered {first}, and on its retry {refusal}"
            continue
        if first is None or (again.aggregate_id, again.version) != (first.aggregate_id, first.version):
            yield f"{sent.key} was answered {first}, and on its retry {again}"


def _read_models(shop: Shop) -> Iterator[str]:
    names = _product_names(shop)
    serving = _serving(shop, "orders")
    documents = {document["id"]: document for document in serving if document["id"] != SUMMARY}
    summaries = {document["customerId"]: document for document in serving if document["id"] == SUMMARY}
    orders: dict[Any, list[Order]] = {}
    submissions: dict[Any, list[tuple[str, str]]] = {}
    with shop.engines["ordering"].connect() as connection:
        for order_id in connection.execute(sa.select(ordering.ORDERS.c.order_id)).scalars().all():
            history = ordering.LOG.history(connection, order_id)
            folded = Order.fold(recorded.event for recorded in history)
            stored = Orders(UnitOfWork(connection.engine), Metadata()).load(order_id)
            if _facts(stored) != _facts(folded):
                yield f"the tables have {_facts(stored)}, the log {_facts(folded)}"
            yield from _compare(f"order {order_id}", _shown(documents.get(str(order_id))), _expected(folded, names))
            orders.setdefault(folded.customer_id, []).append(folded)
            submissions.setdefault(folded.customer_id, []).extend(
                (utc_text(recorded.envelope.occurred_at), str(order_id))
                for recorded in history
                if isinstance(recorded.event, OrderSubmittedV2)
            )
    with shop.engines["customers"].connect() as connection:
        for customer_id in connection.execute(sa.select(customers.CUSTOMERS.c.customer_id)).scalars().all():
            customer = Customer.fold(entry.event for entry in customers.LOG.history(connection, customer_id))
            theirs = orders.get(customer_id, [])
            for order in theirs:
                shown = documents.get(str(order.order_id), {}).get("customerName")
                yield from _compare(f"customer's name in order {order.order_id}", shown, customer.name)
            yield from _summary(summaries.get(str(customer_id)), customer, theirs, submissions.get(customer_id, []))
    for document in documents.values():
        if len(document["projected"]) != document["version"]:
            yield f"order {document['id']} at {document['version']} notes {len(document['projected'])} versions"
    yield from _catalogue(shop, names)


def _catalogue(shop: Shop, names: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Products show their names and ratings, and lists show the products."""
    stored = {(document["view"], document["id"]): document for document in _serving(shop, "products")}
    with shop.engines["catalog"].connect() as connection:
        rated = connection.execute(sa.select(catalog.RATINGS.c.product_id, catalog.RATINGS.c.rating)).all()
    for id_, (name, _) in names.items():
        product, ratings = stored[f"product:{id_}", id_], [row.rating for row in rated if str(row.product_id) == id_]
        yield from _compare(f"product {id_}", product["name"], name)
        yield from _compare(
            f"ratings of {id_}", (product["ratingSum"], product["ratingCount"]), (sum(ratings), len(ratings))
        )
        entry = {name: value for name, value in stored.get((LISTS, id_), {}).items() if not name.startswith("_")}
        stock = stored.get((f"product:{id_}", stock_document_of(UUID(id_))))
        yield from _compare(f"{id_} in lists", entry, entry_of(product, stock))


def _agrees(shop: Shop, simulated: Simulated) -> Iterator[str]:
    """What a context's tables and read models say is what its log says."""
    log = logs()[simulated.context]
    with shop.engines[simulated.context].connect() as connection:
        ids = connection.execute(sa.select(log.table.c.aggregate_id).distinct()).scalars().all()
        for id_ in ids:
            stored = simulated.repository(UnitOfWork(connection.engine), Metadata()).load(id_)
            folded = type(stored).fold(recorded.event for recorded in log.history(connection, id_))
            yield from _compare(f"{simulated.repository.noun} {id_} in the tables", vars(stored), vars(folded))
    for name, rebuilding in shop.start().rebuildings_of(simulated.context).items():
        source, generations = rebuilding.view.source, rebuilding.view.generations
        container = generations.container(shop.scheduler.work(generations.read()).serving)
        keys = {key for id_ in ids if (key := shop.scheduler.work(source.partition_of(id_)))}
        for key in sorted(keys):
            for each in shop.scheduler.work(source.differences(container, key)):
                yield f"{name} shows {each.document_id} of {key} as the log does not: {each.what}"


def _serving(shop: Shop, view: str) -> list[dict[str, Any]]:
    """What queries read."""
    state, generations = _state(shop, view)
    return _documents(generations.container(state.serving))


def _generations(shop: Shop) -> Iterator[str]:
    """Generations that are kept side by side show the same."""
    for view in shop.start().rebuildings:
        state, generations = _state(shop, view)
        if state.standby is None:
            continue
        served, kept = (
            {
                (document.get("view"), document.get("customerId"), document["id"]): _but_its_life(document)
                for document in _documents(generations.container(number))
            }
            for number in (state.serving, state.standby)
        )
        for name in served.keys() | kept.keys():
            yield from _compare(f"{name} in generation {state.standby}", kept.get(name), served.get(name))


def _state(shop: Shop, view: str) -> tuple[State, Generations]:
    generations = shop.start().rebuildings[view].view.generations
    return shop.scheduler.work(generations.read()), generations


def _documents(container: ContainerProxy) -> list[dict[str, Any]]:
    return cast("FaultyContainer", container).store.documents()


def _but_its_life(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what tells of the document, not of its subject."""
    return {
        name: value
        for name, value in document.items()
        if name not in {"projected", "renames", "changes"} and not name.startswith("_")
    }


def _names(shop: Shop) -> Iterator[str]:
    """No reader was shown an older name after a newer one, or after it had asked for that."""
    given = {
        (sent.accepted.aggregate_id, sent.command.name): sent.accepted.version
        for sent in shop.clients.sent
        if sent.accepted and hasattr(sent.command, "name")
    }
    for (place, id_), shown in shop.reader.names.items():
        least = 0
        for name, asked in shown:
            version = given[id_, name]
            if version < max(least, asked):
                yield f"{place} showed the name {name!r}, version {version} of {id_}, after version {max(least, asked)}"
            least = max(least, version, asked)


def _summary(
    document: dict[str, Any] | None, customer: Customer, orders: list[Order], submissions: list[tuple[str, str]]
) -> Iterator[str]:
    if document is None:
        yield "there is no summary"
        return
    counts = Counter(str(order.status) for order in orders)
    spent = sum((order.total for order in orders if order.status in COUNTED), Decimal(0))
    yield from _compare("name in summary", document["customerName"], customer.name)
    yield from _compare("counts", {k: v for k, v in document["orders"].items() if v}, dict(counts))
    yield from _compare("spent", document["spent"].get("EUR", 0), int(spent * 100))
    newest = sorted((at for at, _ in submissions), reverse=True)
    yield from _compare("last order date", document["lastOrderDate"], newest[0] if newest else "")
    recent = [entry["submittedAt"] for entry in document["recentOrders"] if entry]
    yield from _compare("recent orders", recent, newest[:RECENT])


def _product_names(shop: Shop) -> dict[str, tuple[str, int]]:
    """The name of each product, and the version that gave it."""
    names = {}
    with shop.engines["catalog"].connect() as connection:
        for product_id in connection.execute(sa.select(catalog.PRODUCTS.c.product_id)).scalars().all():
            product = Product.fold(about_product(catalog.LOG.history(connection, product_id)))
            names[str(product_id)] = (product.name, product.version)
    return names


def _facts(order: Order) -> dict[str, Any]:
    return {
        "version": order.version,
        "status": order.status,
        "total": order.total,
        "currency": order.currency,
        "reason": order.cancel_reason,
        "address": order.shipping_address,
        "lines": sorted(order.lines.values(), key=lambda line: line.number),
    }


def _expected(order: Order, names: dict[str, tuple[str, int]]) -> dict[str, Any]:
    return {
        "version": order.version,
        "status": order.status,
        "total": int(order.total * 100),
        "city": order.shipping_address.city,
        "items": {
            str(line.product_id): (line.quantity, int(line.unit_price * 100), names[str(line.product_id)][0])
            for line in order.lines.values()
        },
    }


def _shown(document: dict[str, Any] | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {
        "version": document["version"],
        "status": document["status"],
        "total": document["total"],
        "city": document["shippingAddress"]["city"],
        "items": {
            product: (line["quantity"], line["unitPrice"], line["productName"])
            for product, line in document["items"].items()
        },
    }


def _compare(what: str, shown: object, expected: object) -> Iterator[str]:
    if shown != expected:
        yield f"{what}: shown {shown}, but it is {expected}"
