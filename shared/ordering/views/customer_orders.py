"""A customer's orders, newest first: a page of the order documents, counted by the summary beside them."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, OwnerId, QueryInput
from shared.frame.platform.output import Amount, Answer, Time, amount
from shared.frame.read_side.container import Container
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import TIMEOUT, Wait, point_read, wait_for_one
from shared.ordering.events import OrderStatus
from shared.ordering.views import customer_summary, order_details
from shared.ordering.views.after_order import AfterOrder
from shared.ordering.views.customer_summary import SUMMARY
from shared.story import CUSTOMER_ID

_PAGE = """
SELECT c.id, c.shape, c.status, c.version, c.currency, c.total, c.createdAt, c.submittedAt
FROM c WHERE c.kind = 'order'{} ORDER BY c.createdAt DESC, c.id DESC OFFSET @skip LIMIT @take
"""
PAGE = _PAGE.format("")
PAGE_OF_STATUS = _PAGE.format(" AND c.status = @status")


class OrderInList(Answer):
    """An order without its items."""

    order_id: UUID
    status: OrderStatus
    version: int
    currency: str | None
    total: Amount
    created_at: Time
    submitted_at: Time | None


class CustomerOrders(Answer):
    """A page of a customer's orders; `totalCount` counts all of them, with the status that was asked for."""

    items: list[OrderInList]
    total_count: int


class ListOrders(QueryInput, json_schema_extra=example(customerId=CUSTOMER_ID)):
    """A page of a customer's orders, newest created first."""

    customer_id: OwnerId
    skip: Annotated[int, Field(ge=0, le=1_000_000), Digits] = 0
    take: Annotated[int, Field(ge=1, le=100), Digits] = 20
    status: OrderStatus | None = None
    after: AfterOrder | None = None


async def list_orders(served: Served, query: ListOrders, wait: Wait) -> CustomerOrders:
    """Read a page; a customer without orders has an empty one.

    Raises:
        UnreadableShape: another release wrote one of the documents.
        Unavailable: the order that `after` names did not reach its version in time.
    """
    orders = served.container
    await wait_for_one(orders, str(query.customer_id), query.after, wait)
    items, counts = await asyncio.gather(_page(orders, query), _counts(orders, query.customer_id))
    return CustomerOrders(items=items, total_count=counts[query.status] if query.status else sum(counts.values()))


async def _page(orders: Container, query: ListOrders) -> list[OrderInList]:
    parameters: list[dict[str, object]] = [
        {"name": "@skip", "value": query.skip},
        {"name": "@take", "value": query.take},
    ]
    if query.status:
        parameters.append({"name": "@status", "value": query.status})
    page = PAGE_OF_STATUS if query.status else PAGE
    rows = orders.query_items(page, parameters=parameters, partition_key=str(query.customer_id))
    async with asyncio.timeout(TIMEOUT):
        found = [order_details.SHAPES.check_part(row) async for row in rows]
    return [
        OrderInList(
            order_id=row["id"],
            status=row["status"],
            version=row["version"],
            currency=row["currency"],
            total=amount(row["total"], row["currency"]),
            created_at=row["createdAt"],
            submitted_at=row["submittedAt"],
        )
        for row in found
    ]


async def _counts(orders: Container, customer_id: UUID) -> Mapping[str, Any]:
    summary = await point_read(orders, SUMMARY, str(customer_id))
    return dict(customer_summary.SHAPES.read(summary)["orders"]) if summary else dict.fromkeys(OrderStatus, 0)
