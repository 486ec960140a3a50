"""Corrects names after a rename, so that orders and summaries show the present names of customers and products.

The write side knows which orders show a name. A document with an older name is patched. If a document does not show the
item yet, it is brought up to date from the log first, so that no order keeps an old name because it was projected late.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import batched
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.catalog.events import AnswerToOrdering, ProductEvent, ProductRenamedV1
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


class Names:
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

    async def correct_product(self, recorded: Recorded[ProductEvent | AnswerToOrdering]) -> None:
        """Show a product's new name in every order that has it."""
        event, version = recorded.event, recorded.envelope.version
        if not isinstance(event, ProductRenamedV1):
            return
        line = f'c.items["{event.product_id}"]'
        await self._correct(
            await DELIVERY.run(self._orders_with_product, event.product_id, version),
            [
                {"op": "set", "path": f"/items/{event.product_id}/productName", "value": event.name},
                {"op": "set", "path": f"/items/{event.product_id}/productVersion", "value": version},
            ],
            condition=f"{line}.productVersion < {version}",
        )

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
        containers = await self._generations.written()
        for container in containers:
            # it exists if an order came first, or this delivery is a repeated one
            with self._generations.spared(container), suppress(ResourceExistsError):
                summary = new_summary(event.customer_id, name, version)
                await container.create_item(summary, no_response=True)
        if isinstance(event, CustomerRegisteredV1):
            return
        operations: list[dict[str, Any]] = [
            {"op": "set", "path": "/customerName", "value": name},
            {"op": "set", "path": "/customerVersion", "value": version},
        ]
        condition = f"c.customerVersion < {version}"
        for container in containers:
            with self._generations.spared(container):
                # unless the document has this name already, or a later one
                await _patch(container, SUMMARY, partition_key, operations, condition, customer_summary.SHAPES)
        orders = await DELIVERY.run(self._orders_of_customer, event.customer_id)
        await self._correct(orders, operations, condition)
        if isinstance(event, CustomerErasedV1):
            await self._generations.clear_given_up(partition_key)

    async def _correct(
        self, orders: Sequence[OrderToCorrect], operations: Sequence[dict[str, Any]], condition: str
    ) -> None:
        rename = [*operations, {"op": "incr", "path": "/renames", "value": 1}]
        for some in batched(orders, AT_ONCE, strict=False):
            # read for each batch: correcting many orders may take longer than the notice of a switch
            for container in await self._generations.written():
                await asyncio.gather(*(self._correct_one(container, order, rename, condition) for order in some))

    async def _correct_one(
        self, container: Container, order: OrderToCorrect, rename: list[dict[str, Any]], condition: str
    ) -> None:
        document_id, partition_key = str(order.order_id), str(order.customer_id)
        shown, shapes = f"c.version >= {order.version} AND {condition}", order_details.SHAPES
        with self._generations.spared(container):
            with suppress(ResourceNotFoundError):
                if await _patch(container, document_id, partition_key, rename, shown, shapes):
                    return
            # the name is new already, or the item is gone, or the document is behind
            await self._orders.catch_up(container, order.order_id, document_id, partition_key, order.version)
            await _patch(container, document_id, partition_key, rename, shown, shapes)  # now it cannot be behind

    def _orders_with_product(self, product_id: UUID, version: int) -> list[OrderToCorrect]:
        return read_from(self._reader, lambda connection: list(orders_with_product(connection, product_id, version)))

    def _orders_of_customer(self, customer_id: UUID) -> list[OrderToCorrect]:
        return read_from(self._reader, lambda connection: list(orders_of_customer(connection, customer_id)))


async def _patch(
    container: Container,
    document_id: str,
    partition_key: str,
    rename: list[dict[str, Any]],
    condition: str,
    shapes: Shapes,
) -> bool:
    """Patch a document, after bringing it into today's shape if need be; tell whether the condition held."""
    when = f"from c where {shapes.condition} AND {condition}"
    for _ in range(2):
        if await took_effect(
            container.patch_item(document_id, partition_key, rename, filter_predicate=when, no_response=True)
        ):
            return True
        if not await shapes.brought(container, document_id, partition_key):
            return False
    return False
