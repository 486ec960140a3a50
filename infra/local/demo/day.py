"""The day: customers order, change their minds and come back, while prices and names change under them.

What an order does follows from the seed and its number alone; how orders overlap is up to the machine.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

from infra.local.demo.book import DIGITS, Book, Customer, Order, Product, written
from infra.local.demo.goods import Goods
from infra.local.demo.shop import PAUSE, Shop, Surprise, problem_code

HEARD_WITHIN = 90.0
"""Seconds until ordering must have heard of a new product or price."""

STEPS = (("submit", "Submitted"), ("confirm", "Confirmed"), ("complete", "Completed"))

CANCELLED, LEFT, REFUSED, TWICE, LOOKED_AT = 0.08, 0.08, 0.12, 0.06, 0.1
"""How likely, at each step, an order is called off, left as it is, asked for what must be refused, ...; a command is
sent twice, looked at."""

type Advance = Callable[[], None]


class Day:
    """One day at one shop."""

    def __init__(self, shop: Shop, book: Book, seed: int) -> None:
        self._shop = shop
        self._book = book
        self._seed = seed
        self._goods = Goods(str(seed))
        self._customers: list[Customer] = []
        self._products: dict[str, list[Product]] = {currency: [] for currency in DIGITS}
        self.surprises: list[str] = []

    async def open(self, customers: int, products: int, at_once: int, advance: Advance) -> None:
        """Register customers and add products, of each currency in turn; every other one costs the same all day."""
        currencies = list(DIGITS)
        adding = [self._add_product(currencies[n % len(currencies)], n % 8 < len(currencies)) for n in range(products)]
        registering = [self._register_customer(n) for n in range(customers)]
        await self._each([*adding, *registering], at_once, advance)
        if not self.surprises:
            await self._each((self._is_known(customer) for customer in self._customers), at_once, lambda: None)

    async def trade(self, orders: int, at_once: int, advance: Advance) -> None:
        """Let customers order, so many at once."""
        await self._each((self._order(number) for number in range(orders)), at_once, advance)

    async def _each(self, work: Iterable[Any], at_once: int, advance: Advance) -> None:
        waiting = iter(work)

        async def next_ones() -> None:
            for piece in waiting:
                try:
                    await piece
                except Surprise as surprise:
                    self.surprises.append(str(surprise))
                advance()

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(next_ones())

    async def _register_customer(self, number: int) -> None:
        customer = Customer(str(uuid4()), self._goods.customer_name())
        body = {"customerId": customer.customer_id, "name": customer.name, "email": f"customer{number}@example.com"}
        await self._shop.accepted("/customers", body, version=1)
        self._book.customers[customer.customer_id] = customer
        self._customers.append(customer)

    async def _add_product(self, currency: str, is_stable: bool) -> None:  # noqa: FBT001 -- a fact about the product
        name, category = self._goods.product_name()
        product = Product(
            product_id=str(uuid4()),
            name=name,
            description=self._goods.description(),
            category=category,
            currency=currency,
            prices=[self._goods.price(currency)],
            is_stable=is_stable,
        )
        body = {
            "productId": product.product_id,
            "name": name,
            "description": product.description,
            "category": category,
            "currency": currency,
            "unitPrice": written(product.prices[-1], currency),
        }
        await self._shop.accepted("/products", body, version=1)
        self._book.products[product.product_id] = product
        self._products[currency].append(product)

    async def _is_known(self, customer: Customer) -> None:
        """Wait until ordering has heard of a customer and of all goods: an order that names one more thing says so."""
        nothing = str(uuid4())
        items = [{"productId": product_id, "quantity": 1} for product_id in (nothing, *self._book.products)]
        address = self._goods.address()
        body = {"customerId": customer.customer_id, "items": items, "shippingAddress": address}
        deadline = time.monotonic() + HEARD_WITHIN
        while True:
            answer = await self._shop.command("/orders", body)
            errors = answer.json().get("errors", [])
            if [error["pointer"] for error in errors] == ["/items/0/productId"]:
                return
            if time.monotonic() > deadline:
                raise Surprise(f"Ordering has not heard of everything: {answer.text}")
            await asyncio.sleep(PAUSE)

    async def _order(self, number: int) -> None:
        """One order from its beginning to wherever it gets."""
        random = Random(f"{self._seed}/{number}")
        order = await self._create(random)
        for _ in range(random.randint(0, 3)):
            await self._change_items(order, random)
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
        order.version = 2 if items else 1
        await self._buy("/orders", body, items, wanted, order, random)
        self._book.orders[order.order_id] = order
        return order

    async def _change_items(self, order: Order, random: Random) -> None:
        if not order.lines or random.random() < 0.6:  # noqa: PLR2004 -- orders rather grow than shrink
            await self._add(order, random)
            return
        product_id = random.choice(list(order.lines))
        path = f"/orders/{order.order_id}/items/{product_id}"
        await self._shop.accepted(path, method="DELETE", version=order.version + 1, twice=random.random() < TWICE)
        del order.lines[product_id]
        order.version += 1

    async def _add(self, order: Order, random: Random) -> None:
        offered = self._products[order.currency] if order.currency else random.choice([*self._products.values()])
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
        """Buy at a price that is named, as long as it may change: so the book knows which one was taken.

        Ordering may not have heard of the newest price yet, or have heard before this client: then it refuses, and
        another one is named.
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
        """Send what must be refused, and must change nothing."""
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
            elif order.currency and products:
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
