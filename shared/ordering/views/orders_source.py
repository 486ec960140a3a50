"""Where the orders container comes from: ordering's log, which it is filled from and held against.

The container always holds together: a customer's summary counts exactly the orders that are there, at their versions,
because an order and what it adds to the summary are written in one batch, by the projection and by filling alike.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from uuid import UUID, uuid4

import sqlalchemy as sa
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.messaging.container import Container, replaced
from shared.messaging.projection import Projection
from shared.ordering.events import OrderEvent
from shared.ordering.tables import LOG
from shared.ordering.views.customer_summary import SUMMARY
from shared.ordering.views.order_documents import (
    CHANGED_ORDERS,
    COUNT_CUSTOMERS,
    COUNT_ORDERS,
    SOME_CUSTOMERS,
    CustomersOrders,
    History,
    next_orders,
    orders_of,
)
from shared.ordering.views.orders_filling import BATCH_DOCUMENTS, fill_orders
from shared.platform.background import with_pause
from shared.platform.reading import Document, point_read
from shared.platform.views import Changed, Difference, Filled, Source, different

PAGE = BATCH_DOCUMENTS
"""Orders that are folded at a time: a batch of them, if they are one customer's."""

AT_ONCE = 8
"""Customers whose documents are written at the same time, and documents that are read."""

ALL = 2**31 - 1

COMPARED = 500
"""Orders of a customer that are held against the log; of one who has more, the summary is not."""

TRIES = 20
"""Looks at a busy customer before a summary is left to the next check, and a document to the next healing."""

ORDERS = "SELECT * FROM c WHERE c.kind = 'order'"


class OrdersSource(Source):
    """Orders and summaries, from ordering's log."""

    def __init__(self, engine: sa.Engine, projection: Projection[OrderEvent]) -> None:
        self._engine = engine.execution_options(reads_only=True)
        self._projection = projection

    async def total(self) -> int:
        """Count orders and customers."""
        return await asyncio.to_thread(self._total)

    async def fill(self, container: Container, position: str | None) -> Filled:
        """Write the next orders, customer by customer."""
        after = _ids(position)
        page = await asyncio.to_thread(self._next, after)
        if not page:
            return Filled(None, 0, 0, 0)
        places = asyncio.Semaphore(AT_ONCE)

        async def fill_one(customer: CustomersOrders) -> tuple[int, int]:
            async with places:
                return await fill_orders(container, customer, is_new=customer.customer_id != after[0])

        done = await asyncio.gather(*(fill_one(customer) for customer in page))
        last = page[-1]
        order = last.histories[-1][0].envelope.aggregate_id if last.histories else UUID(int=0)
        seen = sum(len(customer.histories) + (customer.customer_id != after[0]) for customer in page)
        return Filled(
            f"{last.customer_id}/{order}", seen, sum(written for written, _ in done), sum(events for _, events in done)
        )

    async def newest(self) -> int:
        """Give the sequence of ordering's newest event."""
        return await asyncio.to_thread(self._newest)

    async def changed(self, after: int, most: int) -> Sequence[Changed]:
        """Give ordering's events after a sequence."""
        return await asyncio.to_thread(self._changed, after, most)

    async def sample(self, count: int) -> Sequence[str]:
        """Choose customers who are neighbours of a random id."""
        return await asyncio.to_thread(self._sample, count)

    async def partition_of(self, id_: UUID) -> str | None:
        """Name a customer's partition."""
        return str(id_) if await asyncio.to_thread(self._orders_of, id_, 1) else None

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Compare a customer's orders and summary with the log."""
        customer = await asyncio.to_thread(self._orders_of, UUID(partition_key), COMPARED + 1)
        if customer is None:
            return []
        some = [_order_id(history) for history in customer.histories[:COMPARED]]
        all_of_them = len(some) == len(customer.histories)
        if all_of_them:
            stored, summary, at_one_moment = await _seen_together(container, partition_key)
        else:
            stored, summary, at_one_moment = await _chosen(container, partition_key, some), None, False
        # the log once more, as it has to know all that the documents show
        customer = await asyncio.to_thread(self._orders_of, UUID(partition_key), ALL if all_of_them else COMPARED + 1)
        if customer is None:
            return []
        compared = [history for history in customer.histories if _order_id(history) in some]
        found = await asyncio.to_thread(_differences, customer, compared, stored)  # folding many takes a while
        if at_one_moment:
            shown = _as_stored(customer, stored)
            what = different(await asyncio.to_thread(customer.summary, shown), summary) if summary else "missing"
            found += [Difference(SUMMARY, partition_key, what)] if what else []
        return found

    async def heal(self, container: Container, partition_key: str) -> None:
        """Replace what is wrong, as of its version; bring orders up to date; then replace what is wrong by then."""
        await self._replace_wrong(container, partition_key)  # first: events fail on documents that are damaged
        customer = await asyncio.to_thread(self._orders_of, UUID(partition_key), ALL)
        if customer is None:
            return
        for history in customer.histories:
            order_id, version = history[0].envelope.aggregate_id, history[-1].envelope.version
            await self._projection.catch_up(container, order_id, str(order_id), partition_key, version)
        await self._replace_wrong(container, partition_key)  # the summary counted without the orders that were missing

    async def _replace_wrong(self, container: Container, partition_key: str) -> None:
        for _ in range(TRIES):
            if await self._replaced(container, partition_key):
                return  # else an event came in between: look again

    async def _replaced(self, container: Container, partition_key: str) -> bool:
        summary = await point_read(container, SUMMARY, partition_key)  # first, so that no later order escapes its etag
        stored = await _stored(container, partition_key)
        customer = await asyncio.to_thread(self._orders_of, UUID(partition_key), ALL)
        if customer is None:
            return True
        shown = _as_stored(customer, stored)
        right = [(customer.order(history), stored[_order_id(history)]) for history in shown]
        try:
            for document, before in right:
                if different(document, before):
                    kept = {"projected": before["projected"], "renames": before["renames"] + 1}
                    if not await replaced(container, {**document, **kept}, before):
                        return False
            fresh = customer.summary(shown)
            if summary is None:
                await container.create_item(fresh)
            elif different(fresh, summary):
                return await replaced(container, fresh, summary)
        except (ResourceExistsError, ResourceNotFoundError):
            return False
        return True

    def _total(self) -> int:
        with self._engine.connect() as connection:
            return sum(connection.execute(count).scalar_one() for count in (COUNT_ORDERS, COUNT_CUSTOMERS))

    def _next(self, after: tuple[UUID, UUID]) -> Sequence[CustomersOrders]:
        with self._engine.connect() as connection:
            return next_orders(connection, after, PAGE)

    def _orders_of(self, customer_id: UUID, most: int) -> CustomersOrders | None:
        with self._engine.connect() as connection:
            return orders_of(connection, customer_id, most)

    def _newest(self) -> int:
        with self._engine.connect() as connection:
            return LOG.newest(connection)

    def _changed(self, after: int, most: int) -> Sequence[Changed]:
        with self._engine.connect() as connection:
            rows = connection.execute(CHANGED_ORDERS, {"after": after, "most": most}).all()
        return [Changed(*row[:3], str(row.aggregate_id), str(row.customer_id)) for row in rows]

    def _sample(self, count: int) -> Sequence[str]:
        with self._engine.connect() as connection:
            ids = [
                id_
                for start in (uuid4(), UUID(int=0))  # behind the last one comes the first one again
                for id_ in connection.execute(SOME_CUSTOMERS, {"customer": start, "most": count}).scalars()
            ]
        return [str(id_) for id_ in dict.fromkeys(ids)][:count]


async def _stored(container: Container, partition_key: str) -> dict[str, Document]:
    return {row["id"]: row async for row in container.query_items(ORDERS, partition_key=partition_key)}


async def _seen_together(container: Container, partition_key: str) -> tuple[dict[str, Document], Document | None, bool]:
    """Read orders and their summary, and tell whether they belong together: no event came in between."""
    summary = await point_read(container, SUMMARY, partition_key)
    for _ in range(TRIES):
        before = summary
        stored = await _stored(container, partition_key)
        summary = await point_read(container, SUMMARY, partition_key)
        if (before and before["_etag"]) == (summary and summary["_etag"]):
            return stored, summary, True
    return stored, summary, False


async def _chosen(container: Container, partition_key: str, order_ids: Sequence[str]) -> dict[str, Document]:
    stored: dict[str, Document] = {}
    for some in batched(order_ids, AT_ONCE, strict=False):
        reading = asyncio.gather(*(point_read(container, order_id, partition_key) for order_id in some))
        found = await with_pause(reading)
        stored |= {document["id"]: document for document in found if document is not None}
    return stored


def _as_stored(customer: CustomersOrders, stored: Mapping[str, Document]) -> Sequence[History]:
    """Give the histories of the orders that are there, up to the versions that they are at."""
    return [
        history[: stored[order_id]["version"]]
        for history in customer.histories
        if (order_id := _order_id(history)) in stored
    ]


def _differences(
    customer: CustomersOrders, histories: Iterable[History], stored: Mapping[str, Document]
) -> list[Difference]:
    return [
        Difference(_order_id(history), str(customer.customer_id), what)
        for history in histories
        if (what := _difference(customer, history, stored.get(_order_id(history)))) is not None
    ]


def _difference(customer: CustomersOrders, history: History, stored: Document | None) -> str | None:
    if stored is None:
        return "missing"
    return different(customer.order(history[: stored["version"]]), stored) or (
        "behind" if stored["version"] < len(history) else None
    )


def _order_id(history: History) -> str:
    return str(history[0].envelope.aggregate_id)


def _ids(position: str | None) -> tuple[UUID, UUID]:
    customer, _, order = (position or f"{UUID(int=0)}/{UUID(int=0)}").partition("/")
    return UUID(customer), UUID(order)
