"""A rush on the last pieces of a product: some customers get one, others wait for a delivery, and items are shipped.

The rush has its own customers and its own product, and knows their expected state at each step.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from infra.local.demo.goods import Goods
from infra.local.demo.shop import HEARD_WITHIN, PAUSE, Shop, Surprise

CUSTOMERS, PIECES, DELIVERED = 10, 4, 3
SERVED = PIECES + DELIVERED
STEPS = 5
"""Pieces of work that the progress counts."""

NOT_YET = {"order-not-confirmed", "order-not-found", "not-reserved"}
"""Refusals of a shipment that are allowed until the order's events have arrived."""


class Rush:
    """The rush.

    Attributes:
        compared: the number of comparisons with the expected state.
    """

    def __init__(self, shop: Shop, seed: int, advance: Callable[[], None]) -> None:
        self._shop = shop
        self._goods = Goods(f"{seed}/rush")
        self._advance = advance
        self._product_id = str(uuid4())
        self._orders = {str(uuid4()): str(uuid4()) for _ in range(CUSTOMERS)}
        self.compared = 0

    async def run(self) -> list[str]:
        """Run the rush, and give the differences from the expected state."""
        try:
            for step in (self._open, self._want, self._deliver, self._ship, self._rate):
                await step()
                self._advance()
        except Surprise as surprise:
            return [f"rush: {surprise}"]
        return []

    async def _open(self) -> None:
        name, category = self._goods.product_name()
        product = {"productId": self._product_id, "name": name, "category": category, "initialStock": PIECES}
        await self._shop.accepted("/products", product | {"currency": "EUR", "unitPrice": "9.90"}, version=1)
        for customer_id in self._orders.values():
            body = {"customerId": customer_id, "name": self._goods.customer_name()}
            await self._shop.accepted("/customers", body | {"email": f"{customer_id}@example.com"}, version=1)

    async def _want(self) -> None:
        """Let all customers order one piece at the same time."""
        await asyncio.gather(*(self._order(order_id) for order_id in self._orders))
        await self._inventory(currentStock=PIECES, reserved=PIECES, available=0, waiting=CUSTOMERS - PIECES)
        await self._stocks(reserved=PIECES, waiting=CUSTOMERS - PIECES)

    async def _order(self, order_id: str) -> None:
        items = [{"productId": self._product_id, "quantity": 1}]
        body = {"orderId": order_id, "customerId": self._orders[order_id], "items": items}
        await self._shop.taken("/orders", body | {"shippingAddress": self._goods.address()}, {"invalid"})
        await self._shop.accepted(f"/orders/{order_id}/submit", version=2)

    async def _deliver(self) -> None:
        """Receive a delivery: the earliest orders get it."""
        await self._shop.taken(f"/products/{self._product_id}/receipts", {"quantity": DELIVERED, "reference": "Rush"})
        await self._inventory(currentStock=SERVED, reserved=SERVED, available=0, waiting=CUSTOMERS - SERVED)
        await self._stocks(reserved=SERVED, waiting=CUSTOMERS - SERVED)

    async def _ship(self) -> None:
        """Ship the reserved pieces, and cancel the orders that still wait."""
        items = [{"productId": self._product_id, "quantity": 1}]
        for order_id, stock in (await self._lines()).items():
            if stock == "reserved":
                await self._shop.taken(f"/orders/{order_id}/confirm", {})
                await self._shop.taken(f"/orders/{order_id}/shipments", {"items": items}, NOT_YET)
            else:
                await self._shop.taken(f"/orders/{order_id}/cancel", {"reason": self._goods.reason()})
        await self._inventory(currentStock=0, reserved=0, available=0, waiting=0)
        await self._stocks(shipped=SERVED, none=CUSTOMERS - SERVED)
        statuses = {"Completed": SERVED, "Cancelled": CUSTOMERS - SERVED}
        await self._becomes("statuses", lambda: self._of_orders(lambda order: order["status"]), statuses)

    async def _rate(self) -> None:
        """Let all customers rate the product, and some of them twice."""
        ratings = {customer_id: 1 + number % 5 for number, customer_id in enumerate(self._orders.values())}
        path = f"/products/{self._product_id}/ratings"
        for customer_id, rating in ratings.items():
            for given in (5, rating):
                await self._shop.taken(path, {"customerId": customer_id, "rating": given})
        average = round(sum(ratings.values()) / len(ratings), 2)
        shown = {"userRating": average, "ratingCount": len(ratings), "isOutOfStock": True, "available": 0}
        await self._becomes("product", lambda: self._seen(f"/products/{self._product_id}", shown), shown)

    async def _inventory(self, **level: int) -> None:
        path = f"/products/{self._product_id}/inventory"
        await self._becomes("inventory", lambda: self._seen(path, level), level)

    async def _stocks(self, **lines: int) -> None:
        await self._becomes("lines", lambda: self._of_orders(lambda order: order["items"][0]["stock"]), lines)

    async def _lines(self) -> dict[str, str]:
        return {order_id: (await self._read(order_id))["items"][0]["stock"] for order_id in self._orders}

    async def _of_orders(self, what: Callable[[Any], str]) -> dict[str, int]:
        return dict(Counter([what(await self._read(order_id)) for order_id in self._orders]))

    async def _read(self, order_id: str) -> Any:
        return await self._shop.query(f"/orders/{order_id}", customerId=self._orders[order_id], minVersion=2)

    async def _seen(self, path: str, names: Mapping[str, object]) -> dict[str, object]:
        shown = await self._shop.query(path)
        return {name: shown.get(name) for name in names}

    async def _becomes(self, what: str, look: Callable[[], Any], expected: Mapping[str, object]) -> None:
        """Look until the expected state is there, as long as events may take."""
        deadline = time.monotonic() + HEARD_WITHIN
        while (shown := await look()) != expected:
            if time.monotonic() > deadline:
                raise Surprise(f"{what} should be {dict(expected)}, and is {shown}")
            await asyncio.sleep(PAUSE)
        self.compared += len(expected)
