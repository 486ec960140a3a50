"""Where the catalog container comes from: filling it anew, and holding it against the log; a document a product."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from azure.core.exceptions import ResourceExistsError

from shared.catalog.events import ProductEvent
from shared.catalog.tables import LOG, PRODUCTS
from shared.catalog.views import product_details
from shared.catalog.views.product_details import view_of
from shared.messaging.change import folded
from shared.messaging.container import Container, replaced
from shared.messaging.envelope import Recorded
from shared.messaging.projection import Projection
from shared.platform.reading import point_read
from shared.platform.views import Changed, Difference, Filled, Source, different

PAGE = 100
"""Products that are folded at a time."""

AT_ONCE = 16
"""Documents that are written at the same time."""

_AFTER = sa.bindparam("after", type_=sa.Uuid)
_MOST = sa.bindparam("most", type_=sa.Integer)
NEXT_PRODUCTS = (
    sa.select(PRODUCTS.c.product_id).where(PRODUCTS.c.product_id > _AFTER).order_by(PRODUCTS.c.product_id).limit(_MOST)
)
COUNT_PRODUCTS = sa.select(sa.func.count()).select_from(PRODUCTS)
CHANGED_PRODUCTS = (
    sa.select(LOG.table.c.sequence, LOG.table.c.aggregate_version, LOG.table.c.occurred_at, LOG.table.c.aggregate_id)
    .where(LOG.table.c.sequence > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(LOG.table.c.sequence)
    .limit(_MOST)
)

type History = Sequence[Recorded[ProductEvent]]


class ProductsSource(Source):
    """Products, from the catalogue's log."""

    def __init__(self, engine: sa.Engine, projection: Projection[ProductEvent]) -> None:
        self._engine = engine.execution_options(reads_only=True)
        self._projection = projection

    async def total(self) -> int:
        """Count products."""
        return await asyncio.to_thread(self._total)

    async def fill(self, container: Container, position: str | None) -> Filled:
        """Write the next products."""
        page = await asyncio.to_thread(self._next, UUID(position or str(UUID(int=0))))
        if not page:
            return Filled(None, 0, 0, 0)
        places = asyncio.Semaphore(AT_ONCE)

        async def created(history: History) -> int:
            async with places:
                try:
                    await container.create_item(document_of(history), no_response=True)
                except ResourceExistsError:  # an event came first
                    return 0
                return len(history)

        events = await asyncio.gather(*(created(history) for history in page))
        last = page[-1][0].envelope.aggregate_id
        return Filled(str(last), len(page), sum(count > 0 for count in events), sum(events))

    async def newest(self) -> int:
        """Give the sequence of the catalogue's newest event."""
        return await asyncio.to_thread(self._newest)

    async def changed(self, after: int, most: int) -> Sequence[Changed]:
        """Give the catalogue's events after a sequence."""
        return await asyncio.to_thread(self._changed, after, most)

    async def sample(self, count: int) -> Sequence[str]:
        """Choose products that are neighbours of a random id."""
        return [view_of(id_) for id_ in await asyncio.to_thread(self._sample, count)]

    async def partition_of(self, id_: UUID) -> str | None:
        """Name a product's partition."""
        partition_key = view_of(id_)
        return partition_key if await asyncio.to_thread(self._history, partition_key) else None

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Compare a product with the log."""
        history = await asyncio.to_thread(self._history, partition_key)
        if not history:
            return []
        document_id = str(history[0].envelope.aggregate_id)
        stored = await point_read(container, document_id, partition_key)
        what = "missing" if stored is None else different(document_of(history[: stored["version"]]), stored)
        if what is None and stored is not None and stored["version"] < len(history):
            what = "behind"
        return [Difference(document_id, partition_key, what)] if what else []

    async def heal(self, container: Container, partition_key: str) -> None:
        """Replace a product that is wrong, as of its version; then bring it up to date."""
        history = await asyncio.to_thread(self._history, partition_key)
        if not history:
            return
        product_id = history[0].envelope.aggregate_id
        stored = await point_read(container, str(product_id), partition_key)
        if stored is not None and stored["version"] > len(history):
            return
        if stored is not None and different(right := document_of(history[: stored["version"]]), stored):
            healed = {**right, "projected": stored["projected"], "healed": stored.get("healed", 0) + 1}
            if not await replaced(container, healed, stored):  # an event came in between
                await self.heal(container, partition_key)
                return
        await self._projection.catch_up(container, product_id, str(product_id), partition_key, len(history))

    def _total(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(COUNT_PRODUCTS).scalar_one()

    def _next(self, after: UUID) -> Sequence[History]:
        with self._engine.connect() as connection:
            ids = connection.execute(NEXT_PRODUCTS, {"after": after, "most": PAGE}).scalars().all()
            histories = LOG.histories(connection, ids)
        return [histories[id_] for id_ in ids]

    def _newest(self) -> int:
        with self._engine.connect() as connection:
            return LOG.newest(connection)

    def _changed(self, after: int, most: int) -> Sequence[Changed]:
        with self._engine.connect() as connection:
            rows = connection.execute(CHANGED_PRODUCTS, {"after": after, "most": most}).all()
        return [
            Changed(
                row.sequence, row.aggregate_version, row.occurred_at, str(row.aggregate_id), view_of(row.aggregate_id)
            )
            for row in rows
        ]

    def _sample(self, count: int) -> Sequence[UUID]:
        with self._engine.connect() as connection:
            ids = [
                id_
                for start in (uuid4(), UUID(int=0))  # behind the last one comes the first one again
                for id_ in connection.execute(NEXT_PRODUCTS, {"after": start, "most": count}).scalars()
            ]
        return list(dict.fromkeys(ids))[:count]

    def _history(self, partition_key: str) -> History:
        with self._engine.connect() as connection:
            return LOG.history(connection, UUID(partition_key.removeprefix("product:")))


def document_of(history: History) -> dict[str, Any]:
    """Make the document that projecting these events makes, a product's first one and those that followed."""
    return folded(product_details.change(recorded).gate for recorded in history)
