"""A reader: asks the real queries again and again, and remembers what it was shown."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.views.product_details import ReadProduct, read_product
from shared.frame.platform.input import After
from shared.frame.read_side.generations import Served
from shared.frame.read_side.past import StillFolding
from shared.frame.read_side.read_your_writes import Wait, read_at_least, wait_for
from shared.kernel.refusals import Unavailable
from shared.ordering.domain.errors import OrderNotFound
from shared.ordering.events import OrderStatus
from shared.ordering.views.customer_orders import CustomerOrders, ListOrders, list_orders
from shared.ordering.views.customer_summary import COUNTED, ReadSummary, read_summary
from shared.ordering.views.order_details import OrderDetails, ReadOrder, read_order
from shared.ordering.views.order_history import ReadHistory, read_entries, read_history, read_order_of_the_past
from tests.simulation.clients import Clients, Sent
from tests.simulation.process import Process
from tests.simulation.read_models import FaultyContainer
from tests.simulation.scheduler import Crash, Scheduler

WAITS = (0, 1, 5)
"""Seconds that the reader is ready to wait for a version."""


class Reader:
    """One reader, who knows what the clients were answered.

    Attributes:
        wrong: what it was shown that cannot be.
        names: the names that it was shown of each thing in each place, in that order, each with the version that it
            had asked for. Which version gave a name, only the log can tell.
    """

    def __init__(self, scheduler: Scheduler, clients: Clients, start: Callable[[], Process], engine: sa.Engine) -> None:
        self._scheduler = scheduler
        self._clients = clients
        self._start = start
        self._process = start()
        self._engine = engine
        self._seen: dict[UUID, int] = {}
        self._shown: dict[tuple[str, UUID], int] = {}
        self._total_count = 0
        self.wrong: list[str] = []
        self.names: dict[tuple[str, UUID], list[tuple[str, int]]] = {}

    def live(self) -> None:
        """Read until the shop closes."""
        while not self._scheduler.closing:
            self._scheduler.pause()
            try:
                self._scheduler.work(self._look())
            except (Unavailable, StillFolding, CosmosHttpResponseError, TimeoutError, sa.exc.OperationalError):
                continue  # the answer is a 503
            except Crash:
                self._process = self._start()

    async def _look(self) -> None:
        chance = self._scheduler.random
        sent = chance.choice([sent for sent in self._clients.sent if sent.accepted])
        looks: dict[str, list[Callable[[Sent, Wait], Awaitable[None]]]] = {
            "ordering": [self._order, self._order, self._list, self._summary, self._whole, self._past],
            "catalog": [self._product],
            "customers": [self._summary],
        }
        await chance.choice(looks.get(sent.context, [self._document]))(sent, wait_for(chance.choice(WAITS)))

    async def _order(self, sent: Sent, wait: Wait) -> None:
        order_id, version = _answered(sent)
        asked = self._scheduler.random.choice((None, version))
        query = ReadOrder(order_id=order_id, customer_id=self._clients.customer, min_version=asked)
        try:
            order, _ = await read_order(await self._process.orders.served(), query, wait)
        except OrderNotFound:
            self._saw("order", order_id, 0, asked)
        else:
            self._saw("order", order_id, order.version, asked)
            self._saw_names(order)

    async def _product(self, sent: Sent, wait: Wait) -> None:
        product_id, version = _answered(sent)
        asked = self._scheduler.random.choice((None, version))
        try:
            product, _ = await read_product(
                await self._process.products.served(),
                ReadProduct(product_id=product_id, min_version=asked),
                wait,
            )
        except ProductNotFound:
            self._saw("product", product_id, 0, asked)
        else:
            self._saw("product", product_id, product.version, asked)
            self._saw_name("catalog", product_id, product.name)

    async def _document(self, sent: Sent, wait: Wait) -> None:
        """Read a document of a context beside the shop's own, as its queries do."""
        id_, version = _answered(sent)
        asked = self._scheduler.random.choice((None, version))
        for name, rebuilding in self._process.rebuildings_of(sent.context).items():
            key = await rebuilding.view.source.partition_of(id_)
            served = await rebuilding.view.generations.served()
            found = key and await read_at_least(served.container, str(id_), key, asked, wait)
            shown, least = found["version"] if found else 0, max(self._shown.get((name, id_), 0), asked or 0)
            if shown < least:
                self.wrong.append(f"{name} showed {id_} at version {shown}, after {least}")
            self._shown[name, id_] = max(least, shown)

    async def _summary(self, sent: Sent, wait: Wait) -> None:
        id_, version = _answered(sent)
        asked: dict[str, Any] = (
            {"after": After(id_, version)} if sent.context == "ordering" else {"min_version": version}
        )
        query = ReadSummary(customer_id=self._clients.customer, **asked)
        summary = await read_summary(await self._process.orders.served(), query, wait)
        self._saw_name("summary", self._clients.customer, summary.customer_name, asked.get("min_version", 0))
        if "after" in asked:
            self._seen[id_] = max(self._seen.get(id_, 0), version)  # what comes later may not show less

    async def _list(self, sent: Sent, wait: Wait) -> None:
        order_id, version = _answered(sent)
        chance = self._scheduler.random
        status = chance.choice((None, None, *OrderStatus))
        skip, take = chance.choice((0, 0, 1, 3)), chance.choice((2, 100))
        after = After(order_id, version)
        query = ListOrders(customer_id=self._clients.customer, skip=skip, take=take, status=status, after=after)
        container, before = await self._orders()
        shown = await list_orders(Served(container, 1), query, wait)
        for order in shown.items:
            self._saw("order", order.order_id, order.version, version if order.order_id == order_id else None)
        if status is None:
            self._saw_count(shown.total_count)
        if _changes(container) == before and len(shown.items) != min(take, max(0, shown.total_count - skip)):
            self.wrong.append(f"{len(shown.items)} orders from {skip} on, {take} at most, of {shown.total_count}")
        if status is None and (skip, take) == (0, 100):
            self._saw_all(shown)

    async def _whole(self, _sent: Sent, wait: Wait) -> None:
        """Compare the list and the summary, which change together or not at all."""
        container, before = await self._orders()
        shown = await list_orders(Served(container, 1), ListOrders(customer_id=self._clients.customer, take=100), wait)
        summary = await read_summary(Served(container, 1), ReadSummary(customer_id=self._clients.customer), wait)
        if _changes(container) != before:
            return
        self._saw_all(shown)
        totals = [Decimal(order.total) for order in shown.items if order.status in COUNTED]
        spent = sum((Decimal(each.amount) for each in summary.total_spent), Decimal(0))
        if (summary.total_orders, spent) != (len(totals), sum(totals)):
            self.wrong.append(f"{summary.total_orders} orders for {spent} at a glance, but {totals} in the list")
        if len(shown.items) != shown.total_count:
            self.wrong.append(f"{len(shown.items)} orders are listed as {shown.total_count}")

    async def _past(self, sent: Sent, wait: Wait) -> None:
        """Compare what is shown with what the log says it was then."""
        order_id, version = _answered(sent)
        customer = self._clients.customer
        query = ReadOrder(order_id=order_id, customer_id=customer, min_version=version)
        now, _ = await read_order(await self._process.orders.served(), query, wait)
        past = ReadOrder(order_id=order_id, customer_id=customer, as_of_version=now.version)
        then = read_order_of_the_past(self._engine, self._engine, past)
        if _but_names(then) != _but_names(now):
            self.wrong.append(f"order {order_id} is shown as {now}, but was {then}")
        container, _ = await self._orders()
        asked = ReadHistory(order_id=order_id)
        history = await read_history(container, asked, *read_entries(self._engine, asked))
        if [event.version for event in history.events] != list(range(1, history.version + 1)):
            self.wrong.append(f"the history of {order_id} has gaps: {history}")
        if any(event.projected_at is None for event in history.events[: now.version]):
            self.wrong.append(f"the history of {order_id} does not tell when {now.version} versions were shown")

    async def _orders(self) -> tuple[ContainerProxy, int]:
        """Give the container that serves, and how many changes it has seen."""
        container = (await self._process.orders.served()).container
        return container, _changes(container)

    def _saw(self, kind: str, id_: UUID, version: int, asked: int | None) -> None:
        least = max(self._seen.get(id_, 0), asked or 0)
        if version < least:
            self.wrong.append(f"{kind} {id_} was shown at version {version}, after {least}")
        self._seen[id_] = max(least, version)

    def _saw_names(self, order: OrderDetails) -> None:
        self._saw_name(f"order {order.order_id}", self._clients.customer, order.customer_name)
        for line in order.items:
            self._saw_name(f"order {order.order_id}", line.product_id, line.product_name)

    def _saw_name(self, place: str, id_: UUID, name: str, asked: int = 0) -> None:
        self.names.setdefault((place, id_), []).append((name, asked))

    def _saw_count(self, total_count: int) -> None:
        if total_count < self._total_count:
            self.wrong.append(f"{self._total_count} orders, and then {total_count}")
        self._total_count = max(self._total_count, total_count)

    def _saw_all(self, shown: CustomerOrders) -> None:
        listed = {order.order_id for order in shown.items}
        orders = {
            sent.accepted.aggregate_id for sent in self._clients.sent if sent.accepted and sent.context == "ordering"
        }
        if vanished := {id_ for id_, version in self._seen.items() if version and id_ in orders} - listed:
            self.wrong.append(f"orders vanished from the list: {vanished}")


def _changes(container: ContainerProxy) -> int:
    return cast("FaultyContainer", container).changes


def _answered(sent: Sent) -> tuple[UUID, int]:
    assert sent.accepted is not None, "only those are chosen"
    return sent.accepted.aggregate_id, sent.accepted.version


def _but_names(order: OrderDetails) -> dict[str, Any]:
    return order.model_dump(exclude={"customer_name": True, "items": {"__all__": {"product_name"}}})
