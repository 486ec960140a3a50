"""Corrects names after a rename, so that orders and summaries show the present names of customers and products.

The write side knows which orders show a name. A document with an older name is patched. If a document does not show the
item yet, it is brought up to date from the log first, so that no order keeps an old name because it was projected late.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.catalog.events import AnswerToOrdering, CatalogEvent, ProductRenamedV1
from shared.customers.events import CustomerErasedV1, CustomerEvent, CustomerRegisteredV1, CustomerRenamedV1
from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.threads import DELIVERY
from shared.frame.read_side.container import Container, took_effect
from shared.frame.read_side.generations import Generations
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.shape import Shapes
from shared.frame.sql.reading import read_from
from shared.kernel.personal import ERASED
from shared.ordering.events import OrderEvent
from shared.ordering.finding import OrderToCorrect, orders_of_customer, orders_with_product
from shared.ordering.views import customer_summary, order_details
from shared.ordering.views.customer_summary import SUMMARY, new_summary

AT_ONCE = 16
"""Documents corrected at the same time."""


@dataclass(frozen=True, slots=True)
class NewName:
    """A new name of a customer or product, and where documents show it.

    Attributes:
        whose: "customer" or "product": how the properties begin that have the name and its version.
        name: the name.
        version: the version of the customer or product from which on it has the name.
        within: leads to the part of a document that has these properties.
    """

    whose: str
    name: str
    version: int
    within: Sequence[str] = ()

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The Cosmos patch operations that make a document show it."""
        part = "".join(f"/{step}" for step in self.within)
        return [
            {"op": "set", "path": f"{part}/{self.whose}Name", "value": self.name},
            {"op": "set", "path": f"{part}/{self.whose}Version", "value": self.version},
        ]

    @property
    def condition(self) -> str:
        """The condition that a document `c` shows an older name, in Cosmos SQL."""
        part = "".join(f'["{step}"]' for step in self.within)
        return f"c{part}.{self.whose}Version < {self.version}"

    def is_lacking(self, document: Mapping[str, Any]) -> bool:
        """Tell whether a document shows an older name; it shows none without the part."""
        part: Mapping[str, Any] = document
        for step in self.within:
            part = part.get(step, {})
        return bool(part.get(f"{self.whose}Version", self.version) < self.version)


class NameCorrections:
    """Corrects the names in the orders container."""

    def __init__(
        self,
        generations: Generations,
        reader: sa.Engine,
        orders: Projection[OrderEvent],
    ) -> None:
        self._generations = generations
        self._reader = reader
        self._orders = orders

    async def correct_product(self, recorded: Recorded[CatalogEvent | AnswerToOrdering]) -> None:
        """Show a product's new name in every order that has it."""
        event, version = recorded.event, recorded.envelope.version
        if not isinstance(event, ProductRenamedV1):
            return
        orders = await DELIVERY.run(self._orders_with_product, event.product_id, version)
        await self._correct(orders, NewName("product", event.name, version, ("items", str(event.product_id))))

    async def correct_customer(self, recorded: Recorded[CustomerEvent]) -> None:
        """Show a customer's name in the summary, which a new customer gets here, and in every order.

        After an erasure there is no name. The customer's documents in an unused generation, which no event reaches, are
        then deleted.
        """
        event, version = recorded.event, recorded.envelope.version
        match event:
            case CustomerRegisteredV1() | CustomerRenamedV1():
                name = event.name
            case CustomerErasedV1():
                name = ERASED
            case _:
                return
        partition_key = str(event.customer_id)
        containers = await self._generations.containers_to_write()
        for container in containers:
            # it exists if an order came first, or this delivery is a repeated one
            with self._generations.tolerate_missing(container), suppress(ResourceExistsError):
                summary = new_summary(event.customer_id, name, version)
                await container.create_item(summary, no_response=True)
        if isinstance(event, CustomerRegisteredV1):
            return
        new = NewName("customer", name, version)
        for container in containers:
            with self._generations.tolerate_missing(container):
                await _corrected(container, SUMMARY, partition_key, new, customer_summary.SHAPES)
        await self._correct(await DELIVERY.run(self._orders_of_customer, event.customer_id), new)
        if isinstance(event, CustomerErasedV1):
            await self._generations.delete_from_unused(partition_key)

    async def _correct(self, orders: Sequence[OrderToCorrect], new: NewName) -> None:
        for some in batched(orders, AT_ONCE, strict=False):
            # read for each batch: correcting many orders may take longer than the notice of a switch
            for container in await self._generations.containers_to_write():
                await asyncio.gather(*(self._correct_one(container, order, new) for order in some))

    async def _correct_one(self, container: Container, order: OrderToCorrect, new: NewName) -> None:
        place = (str(order.order_id), str(order.customer_id))
        with self._generations.tolerate_missing(container):
            with suppress(ResourceNotFoundError):
                if await _corrected(container, *place, new, order_details.SHAPES, order.version):
                    return
            await self._orders.catch_up(container, order.order_id, *place, order.version)
            await _corrected(container, *place, new, order_details.SHAPES, order.version)  # now it cannot be behind

    def _orders_with_product(self, product_id: UUID, version: int) -> list[OrderToCorrect]:
        return read_from(self._reader, lambda connection: list(orders_with_product(connection, product_id, version)))

    def _orders_of_customer(self, customer_id: UUID) -> list[OrderToCorrect]:
        return read_from(self._reader, lambda connection: list(orders_of_customer(connection, customer_id)))


async def _corrected(
    container: Container, document_id: str, partition_key: str, new: NewName, shapes: Shapes, order: int | None = None
) -> bool:
    """Let a document show a new name; bring it into today's shape first if need be.

    Args:
        container: has the document.
        document_id: names it.
        partition_key: its partition.
        new: the name.
        shapes: the document's shapes.
        order: the version that an order's document must show, which counts its renames; None for a summary.

    Returns:
        False if the order's document is behind. True if it shows the name, or a later one, or no longer what has it.

    Raises:
        ResourceNotFoundError: there is no such document.
    """
    operations, conditions = new.operations, [shapes.condition, new.condition]
    if order is not None:
        operations.append({"op": "incr", "path": "/renames", "value": 1})
        conditions.append(f"c.version >= {order}")
    when = "from c where " + " AND ".join(conditions)
    for _ in range(2):
        if await took_effect(
            container.patch_item(document_id, partition_key, operations, filter_predicate=when, no_response=True)
        ):
            return True
        document = await shapes.read_migrated(container, document_id, partition_key)
        if document is None or (order is not None and document["version"] < order):
            return False
        if not new.is_lacking(document):
            return True
        # else it was in another shape, or has caught up since
    return False
