"""Stock: how many orders a second are reserved, when all want the same product and when they want a hundred.

Orders of one line are made beforehand. The time is from the first submission until the stock of each product shows all
that is reserved of it: by then every order has been through its command, the log, a message and the catalogue's
transaction, and every reservation through the log, a message and the projection.
"""

import time
from collections import Counter
from functools import partial
from itertools import cycle, islice
from uuid import uuid4

import aiohttp

from tests.bench.load import ask, send
from tests.bench.place import Place
from tests.bench.rounds import Spread
from tests.bench.rows import Row
from tests.bench.services import ADDRESS, PATIENT, Service, eventually
from tests.bench.sizes import Sizes

SECTION = "8. Stock (orders reserved a second, from their submission until the stock shows it)"
FEW = 4
"""Clients who prepare, and who wait: more would keep the app from what they wait for."""
MANY = 100
"""Products, or as many as there are orders."""


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Reserve as many orders of one product as of many, in turns."""
    service = await place.tandem()
    one, many = list[float](), list[float]()
    products, clients = min(MANY, sizes.reserved), sizes.clients[-1]
    for _ in range(sizes.reserving_rounds):
        one.append(await _rate(service, 1, sizes.reserved, clients))
        many.append(await _rate(service, products, sizes.reserved, clients))
    told = f"{sizes.reserved} orders, {clients} clients"
    return [
        Row(SECTION, "orders of one product", Spread.of(one), "orders a second", context=told),
        Row(SECTION, f"orders of {products} products", Spread.of(many), "orders a second", context=told),
        Row(SECTION, "the first over the second", Spread.of([a / b for a, b in zip(one, many, strict=True)])),
    ]


async def _rate(service: Service, products: int, orders: int, clients: int) -> float:
    """Reserve so many orders, each of one piece; orders a second."""
    product_ids = [str(uuid4()) for _ in range(products)]
    await ask([partial(_add, service, product_id, orders) for product_id in product_ids], FEW)
    wanted = dict(zip([str(uuid4()) for _ in range(orders)], cycle(product_ids), strict=False))
    customers = islice(cycle(service.customers), orders)
    made = zip(wanted.items(), customers, strict=True)
    await ask([partial(_make, service, *order, customer_id) for order, customer_id in made], FEW)
    begin = time.perf_counter()
    await ask([partial(_submit, service, order_id) for order_id in wanted], clients)
    reserved = Counter(wanted.values())
    await ask([partial(_reserve, service, product_id, count) for product_id, count in reserved.items()], FEW)
    return orders / (time.perf_counter() - begin)


async def _add(service: Service, product_id: str, pieces: int, http: aiohttp.ClientSession) -> None:
    body = {
        "productId": product_id,
        "name": "Teapot",
        "category": "kitchen",
        "unitPrice": "24.90",
        "currency": "EUR",
        "initialStock": pieces,
    }
    await send(http, "POST", f"{service.base_url}/products", service.headers, body)


async def _make(
    service: Service, order_id: str, product_id: str, customer_id: str, http: aiohttp.ClientSession
) -> None:
    """Make an order as soon as ordering knows the product, and wait until it is shown."""
    items = [{"productId": product_id, "quantity": 1}]
    body = {"orderId": order_id, "customerId": customer_id, "items": items, "shippingAddress": ADDRESS}

    async def make(http: aiohttp.ClientSession) -> None:
        await send(http, "POST", f"{service.base_url}/orders", service.headers, body)

    await eventually(make, http)
    await _shown(service, f"orders/{order_id}?customerId={customer_id}&minVersion=1", http)


async def _submit(service: Service, order_id: str, http: aiohttp.ClientSession) -> None:
    """Submit an order; who is turned away because there are too many comes again."""

    async def submit(http: aiohttp.ClientSession) -> None:
        await send(http, "POST", f"{service.base_url}/orders/{order_id}/submit", service.headers)

    await eventually(submit, http)


async def _reserve(service: Service, product_id: str, orders: int, http: aiohttp.ClientSession) -> None:
    """Wait until so many orders have reserved a product: each is a version of its stock behind the first."""
    await _shown(service, f"products/{product_id}/inventory?minVersion={1 + orders}", http)


async def _shown(service: Service, path: str, http: aiohttp.ClientSession) -> None:
    async def show(http: aiohttp.ClientSession) -> None:
        await send(http, "GET", f"{service.base_url}/{path}", {**service.headers, **PATIENT})

    await eventually(show, http)
