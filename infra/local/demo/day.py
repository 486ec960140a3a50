"""The day: customers order, change their minds and come back, while prices and names change under them.

What an order does follows from the seed and its number alone; how orders overlap is up to the machine.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

from infra.local.demo.book import DIGITS, Book, Order, Product, written
from infra.local.demo.goods import Goods
from infra.local.demo.shop import HEARD_WITHIN, Shop, problem_code
from infra.local.demo.work import Advance, each

STEPS = (("submit", "Submitted"), ("confirm", "Confirmed"), ("complete", "Completed"))

CANCELLED, LEFT, REFUSED, MOVED, TWICE, LOOKED_AT = 0.08, 0.08, 0.12, 0.1, 0.06, 0.1
"""How likely, at each step, an order is called off, left as it is, asked for what must be refused, sent elsewhere;
a command is sent twice, an order looked at."""


class Day:
    """One day at one shop, which has opened with the customers and the products of the book."""

    def __init__(self, shop: Shop, book: Book, seed: int) -> None:
        self._shop = shop
        self._book = book
        self._seed = seed
        self._goods = Goods(f"{seed}/day")
        self._customers = list(book.customers.values())
        self._products: dict[str, list[Product]] = {currency: [] for currency in DIGITS}
        for product in book.products.values():
            self._products[product.currency].append(product)

    async def trade(self, numbers: Iterable[int], at_once: int, advance: Advance) -> list[str]:
        """Let customers place the orders of these numbers, so many at once; tell what was answered that must not be."""
        return await each((self.order(number) for number in numbers), at_once, advance)

    async def order(self, number: int) -> None:
        """One order from its beginning to its last step; Surprise if an answer is not the expected one."""
        random = Random(f"{self._seed}/{number}")
        order = await self._create(random)
        for _ in range(random.randint(0, 3)):
            await self._change(order, random)
        for verb, status in STEPS:
            if random.random() < REFUSED:
                await self._ask_too_much(order, random)
            if random.random() < CANCELLED:
                order.cancel_reason = self._goods.reason()
                await self._step(order, random, "cancel", "Cancelled", {"reason": order.cancel_reason})
                break
            if random.random() < LEFT:
                break
            if not order.lines:
                await self._add(order, random)
            await self._step(order, random, verb, status)
        await self._meanwhile(random)

    async def _create(self, random: Random) -> Order:
        customer = random.choice(self._customers)
        offered = random.choice([products for products in self._products.values() if products])
        wanted = random.choices(offered, k=random.choice([0, 1, 1, 2, 3, 5]))  # with duplicates
        items = [{"productId": product.product_id, "quantity": random.randint(1, 20)} for product in wanted]
        order = Order(str(uuid4()), customer.customer_id, self._goods.address())
        body = {
            "orderId": order.order_id,
            "customerId": order.customer_id,
            "items": items,
            "shippingAddress": order.address,
        }
        await self._buy("/orders", body, items, wanted, order, random)
        self._book.orders[order.order_id] = order
        return order

    async def _change(self, order: Order, random: Random) -> None:
        """Let a customer change an order: its shipping address, or its items."""
        if random.random() < MOVED:
            order.address = self._goods.address()
            order.version += 1
            path = f"/orders/{order.order_id}/shipping-address"
            await self._shop.accepted(path, order.address, version=order.version, twice=random.random() < TWICE)
            return
        if not order.lines or random.random() < 0.6:  # noqa: PLR2004 -- orders rather grow than shrink
            await self._add(order, random)
            return
        product_id = random.choice(list(order.lines))
        path = f"/orders/{order.order_id}/items/{product_id}"
        await self._shop.accepted(path, method="DELETE", version=order.version + 1, twice=random.random() < TWICE)
        del order.lines[product_id]
        order.version += 1

    async def _add(self, order: Order, random: Random) -> None:
        offered = (
            self._products[order.currency]
            if order.currency and order.lines
            else random.choice([*self._products.values()])
        )
        product = random.choice(offered)
        item = {"productId": product.product_id, "quantity": random.randint(1, 20)}
        order.version += 1
        await self._buy(f"/orders/{order.order_id}/items", item, [item], [product], order, random)

    async def _buy(
        self,
        path: str,
        body: dict[str, Any],
        items: Sequence[dict[str, Any]],
        products: Sequence[Product],
        order: Order,
        random: Random,
    ) -> None:
        """Order at a named price if the price may change, so that the book knows which price was taken.

        Ordering may know a newer or an older price than this client: then it refuses, and the client names another one.
        """
        others = Counter[str]()
        deadline = time.monotonic() + HEARD_WITHIN
        while True:
            for item, product in zip(items, products, strict=True):
                if not product.is_stable:
                    price = product.prices[-1 - others[product.product_id] % len(product.prices)]
                    item["expectedPrice"] = written(price, product.currency)
            answer = await self._shop.command(path, body, twice=random.random() < TWICE)
            if answer.is_success or time.monotonic() > deadline:
                break
            if problem_code(answer) == "price-changed":
                wrong = [int(place) if place else 0 for place in _places(answer.json())]
                others.update({products[place].product_id for place in wrong})
            else:
                break
        self._shop.require_version(answer, order.version)
        for item, product in zip(items, products, strict=True):
            order.add(product, item["quantity"], Decimal(item.get("expectedPrice", product.prices[-1])))

    async def _step(
        self, order: Order, random: Random, verb: str, status: str, body: dict[str, Any] | None = None
    ) -> None:
        path = f"/orders/{order.order_id}/{verb}"
        await self._shop.accepted(path, body, version=order.version + 1, twice=random.random() < TWICE)
        order.version += 1
        order.become(status)
        if random.random() < LOOKED_AT:
            await self._shop.see(order.order_id, order.customer_id, order.version)

    async def _ask_too_much(self, order: Order, random: Random) -> None:
        """Send a command that must be refused, and must change nothing."""
        path = f"/orders/{order.order_id}"
        if order.status != "Created":
            verb, code = random.choice([("submit", "order-status"), ("items", "order-status")])
            body = None if verb == "submit" else {"productId": next(iter(order.lines)), "quantity": 1}
            await self._shop.refused(code, f"{path}/{verb}", body)
            return
        await self._shop.refused("order-status", f"{path}/confirm")
        if not order.lines:
            await self._shop.refused("order-empty", f"{path}/submit")
        for currency, products in self._products.items():
            stable = [product for product in products if product.is_stable]
            if currency == order.currency and stable:
                product = random.choice(stable)
                too_little = product.prices[-1] - Decimal(1).scaleb(-DIGITS[currency])
                item = {"productId": product.product_id, "quantity": 1, "expectedPrice": written(too_little, currency)}
                await self._shop.refused("price-changed", f"{path}/items", item)
            elif order.lines and products:
                item = {"productId": random.choice(products).product_id, "quantity": 1}
                await self._shop.refused("currency-mix", f"{path}/items", item)

    async def _meanwhile(self, random: Random) -> None:
        """Change a price, rename a product or a customer, or nothing."""
        product = random.choice([product for products in self._products.values() for product in products])
        customer = random.choice(self._customers)
        what = random.random()
        if what < 0.15 and not product.is_stable:  # noqa: PLR2004 -- how likely it is
            async with product.changing:
                price = self._goods.price(product.currency)
                body = {"unitPrice": written(price, product.currency)}
                await self._shop.accepted(f"/products/{product.product_id}/price", body, version=product.version + 1)
                product.version += 1
                product.prices.append(price)
        elif what < 0.3:  # noqa: PLR2004 -- as above
            async with product.changing:
                name, _ = self._goods.product_name()
                body = {"name": name}
                await self._shop.accepted(f"/products/{product.product_id}/rename", body, version=product.version + 1)
                product.version += 1
                product.name = name
        elif what < 0.4:  # noqa: PLR2004 -- as above
            async with customer.changing:
                name = self._goods.customer_name()
                body = {"name": name}
                await self._shop.accepted(
                    f"/customers/{customer.customer_id}/rename", body, version=customer.version + 1
                )
                customer.version += 1
                customer.name = name


def _places(problem: dict[str, Any]) -> list[str]:
    """The numbers of the items that a problem points at, `/items/3/expectedPrice`; empty for `/expectedPrice`."""
    return [error["pointer"].rpartition("/")[0].rpartition("/")[2] for error in problem["errors"]]
