"""Before the day: customers register, products are added, and ordering hears of all of them."""

import asyncio
import time
from itertools import chain
from uuid import uuid4

from infra.local.demo.book import DIGITS, Book, Customer, Product, written
from infra.local.demo.goods import Goods
from infra.local.demo.shop import HEARD_WITHIN, PAUSE, Shop, Surprise
from infra.local.demo.work import Advance, each


class ClosedShopError(Exception):
    """The shop refuses customers or products; the message has its answer."""


async def open_shop(
    shop: Shop, book: Book, seed: int, customers: int, products: int, at_once: int, advance: Advance
) -> None:
    """Register customers and add products, of each currency in turn; every other four cost the same all day.

    Raises:
        ClosedShopError: the shop refused one of them, or ordering did not learn of it in time.
    """
    goods, currencies = Goods(f"{seed}/opening"), list(DIGITS)
    work = chain(
        (_register_customer(shop, book, goods, number) for number in range(customers)),
        (
            _add_product(shop, book, goods, currencies[number % len(currencies)], number % 8 < len(currencies))
            for number in range(products)
        ),
    )
    surprises = await each(work, at_once, advance)
    if not surprises:
        known = (_is_known(shop, book, goods, customer) for customer in book.customers.values())
        surprises = await each(known, at_once, lambda: None)
    if surprises:
        raise ClosedShopError(f"The shop cannot be opened. {surprises[0]}")


async def _register_customer(shop: Shop, book: Book, goods: Goods, number: int) -> None:
    customer = Customer(str(uuid4()), goods.customer_name())
    body = {
        "customerId": customer.customer_id,
        "name": customer.name,
        "email": f"customer{number}.{uuid4().hex[:12]}@example.com",
    }
    await shop.accepted("/customers", body, version=1)
    book.customers[customer.customer_id] = customer


async def _add_product(shop: Shop, book: Book, goods: Goods, currency: str, is_stable: bool) -> None:  # noqa: FBT001 -- a fact about the product
    name, category = goods.product_name()
    product = Product(
        product_id=str(uuid4()),
        name=name,
        description=goods.description(),
        category=category,
        currency=currency,
        prices=[goods.price(currency)],
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
    await shop.accepted("/products", body, version=1)
    book.products[product.product_id] = product


async def _is_known(shop: Shop, book: Book, goods: Goods, customer: Customer) -> None:
    """Wait until ordering has heard of a customer and of all goods: an order that names one more thing says so."""
    nothing = str(uuid4())
    items = [{"productId": product_id, "quantity": 1} for product_id in (nothing, *book.products)]
    body = {"customerId": customer.customer_id, "items": items, "shippingAddress": goods.address()}
    deadline = time.monotonic() + HEARD_WITHIN
    while True:
        answer = await shop.command("/orders", body)
        errors = answer.json().get("errors", [])
        if [error["pointer"] for error in errors] == ["/items/0/productId"]:
            return
        if time.monotonic() > deadline:
            raise Surprise(f"Ordering has not heard of everything: {answer.text}")
        await asyncio.sleep(PAUSE)
