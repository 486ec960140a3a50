"""The audit: every read model compared with the book, value by value.

Read models are eventually consistent. A query says which version it wants to see; names, which reach orders on a way of
their own, are read again until they are right or time is up.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from infra.local.demo.book import Book, Customer, Order, Product, written
from infra.local.demo.shop import PAUSE, Shop

RIGHT_WITHIN = 90.0
"""Seconds after which a difference counts. If the host is killed, events that its relay had claimed wait for a
minute."""

PAGE = 7
"""Orders a page: few, so that there are several pages."""
RECENT = 10
STATUSES = ("Created", "Submitted", "Confirmed", "Completed", "Cancelled")


class Audit:
    """Compares one shop with one book."""

    def __init__(
        self, shop: Shop, book: Book, at_once: int, advance: Callable[[], None], right_within: float = RIGHT_WITHIN
    ) -> None:
        """Prepare; `right_within` is in seconds, from when a comparison begins."""
        self._shop = shop
        self._book = book
        self._at_once = asyncio.Semaphore(at_once)
        self._advance = advance
        self._right_within = right_within
        self._seen: dict[str, dict[str, Any]] = {}
        self.compared: Counter[str] = Counter()
        self.differences: list[str] = []

    @staticmethod
    def size(book: Book) -> int:
        """The number of comparisons: each product, each order, and for each customer a summary and six lists."""
        return len(book.products) + len(book.orders) + len(book.customers) * (2 + len(STATUSES))

    async def run(self) -> None:
        """Compare everything; the times in lists and summaries are compared with those in the orders."""
        async with asyncio.TaskGroup() as group:
            for product in self._book.products.values():
                group.create_task(self._product(product))
            for order in self._book.orders.values():
                group.create_task(self._order(order))
        async with asyncio.TaskGroup() as group:
            for customer in self._book.customers.values():
                group.create_task(self._summary(customer))
                for status in (None, *STATUSES):
                    group.create_task(self._list(customer, status))

    async def _product(self, product: Product) -> None:
        async def read() -> Any:
            return await self._shop.query(f"/products/{product.product_id}", minVersion=product.version)

        await self._compare("product", product.product_id, read, self._book.product(product))

    async def _order(self, order: Order) -> None:
        async def read() -> Any:
            details = await self._shop.query(
                f"/orders/{order.order_id}", customerId=order.customer_id, minVersion=order.version
            )
            self._seen[order.order_id] = details
            return {name: value is not None if name.endswith("At") else value for name, value in details.items()}

        await self._compare("order", order.order_id, read, self._book.details(order))

    async def _summary(self, customer: Customer) -> None:
        submitted = self._newest_first(customer, "submittedAt", STATUSES)
        expected = self._book.summary(customer) | {
            "lastOrderDate": self._seen[submitted[0].order_id]["submittedAt"] if submitted else None,
            "recentOrders": [
                {
                    "orderId": order.order_id,
                    "submittedAt": self._seen[order.order_id]["submittedAt"],
                    "total": {"currency": order.currency, "amount": written(order.total, order.currency)},
                }
                for order in submitted[:RECENT]
            ],
        }

        async def read() -> Any:
            return await self._shop.query(f"/customers/{customer.customer_id}/summary", minVersion=customer.version)

        await self._compare("summary", customer.customer_id, read, expected)

    async def _list(self, customer: Customer, status: str | None) -> None:
        orders = self._newest_first(customer, "createdAt", [status] if status else STATUSES)
        rows = [
            {
                "orderId": order.order_id,
                "status": order.status,
                "version": order.version,
                "currency": order.currency,
                "total": written(order.total, order.currency),
                "createdAt": self._seen[order.order_id]["createdAt"],
                "submittedAt": self._seen[order.order_id]["submittedAt"],
            }
            for order in orders
        ]

        async def read() -> Any:
            items: list[Any] = []
            filtered: dict[str, str] = {"status": status} if status else {}
            while True:
                page = await self._shop.query(
                    f"/customers/{customer.customer_id}/orders", skip=len(items), take=PAGE, **filtered
                )
                if "items" not in page:
                    return page
                items += page["items"]
                if len(page["items"]) < PAGE:
                    return {"items": items, "totalCount": page["totalCount"]}

        name = f"of {status or 'all'} orders of {customer.customer_id}"
        await self._compare("list", name, read, {"items": rows, "totalCount": len(rows)})

    def _newest_first(self, customer: Customer, time_name: str, statuses: Sequence[str]) -> list[Order]:
        orders = [
            order
            for order in self._book.orders_of(customer.customer_id)
            if order.status in statuses and self._seen[order.order_id].get(time_name)
        ]
        orders.sort(key=lambda order: (self._seen[order.order_id][time_name], order.order_id), reverse=True)
        return orders

    async def _compare(self, what: str, name: str, read: Callable[[], Awaitable[Any]], expected: Any) -> None:
        async with self._at_once:
            deadline = time.monotonic() + self._right_within
            while True:
                actual = await read()
                if actual == expected or time.monotonic() > deadline:
                    break
                await asyncio.sleep(PAUSE)
        self.differences += [f"{what} {name}: {found}" for found in _differences(expected, actual)]
        self.compared[what] += 1
        self._advance()


def _differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    match expected, actual:
        case dict(), dict():
            for key in expected.keys() | actual.keys():
                yield from _differences(expected.get(key), actual.get(key), f"{path}/{key}")
        case list(), list() if len(expected) == len(actual):
            for place, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from _differences(one, other, f"{path}/{place}")
        case _ if expected != actual:
            yield f"{path or '/'} should be {expected!r}, is {actual!r}"
        case _:
            pass
