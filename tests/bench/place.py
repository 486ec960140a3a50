"""Where the bench measures: real engines as processes of their own, SQLite files, and the app in the worker library."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy, CosmosClient

from infra.local.host import worker
from infra.local.host.rpc import Function
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.ordering.tables import PRODUCTS
from tests.bench.engines import ROOT, empty_database, engines, settings
from tests.bench.latency import Delay
from tests.bench.services import Service, tandem
from tests.support.database import sqlite_database
from tests.support.shop import Shop, shop_at


@dataclass(frozen=True)
class Place:
    """Everything that the sections measure with.

    Attributes:
        folder: for files of a section's own.
        cosmos: the Cosmos engine's connection string.
        bare: azure-cosmos' client of it, as its documentation makes one.
        models: the app's client of it.
        shop: the write side, on the files that the app has too.
        functions: the app's functions in the worker, by name.
        delay: of each round trip to a store that is not beside; 0 unless a section sets it.
    """

    folder: Path
    cosmos: str
    bare: CosmosClient
    models: CosmosDatabase
    shop: Shop
    functions: dict[str, Function]
    delay: Delay
    _stack: AsyncExitStack
    _services: list[Service]

    async def tandem(self) -> Service:
        """Give the whole Tandem as a service over HTTP, without delay for now; started when it is first asked for."""
        self.delay.set(0)
        if not self._services:
            service = await self._stack.enter_async_context(tandem(self.folder / "tandem", self.delay))
            await service.open()
            self._services.append(service)
        return self._services[0]

    @property
    def orders(self) -> ContainerProxy:
        """The container of orders and summaries."""
        return self.models.container("orders")

    @property
    def bare_orders(self) -> ContainerProxy:
        """The same container through the bare client."""
        return self.bare.get_database_client("orders-db").get_container_client("orders")

    @contextmanager
    def another_shop(self, name: str) -> Iterator[Shop]:
        """Give a section a write side that the app's publisher does not know, and so leaves alone."""
        folder = self.folder / name
        folder.mkdir()
        with shop_at(sqlite_database(folder)) as shop:
            yield shop

    @asynccontextmanager
    async def empty_orders(self) -> AsyncIterator[ContainerProxy]:
        """Make a container like it, new and empty, in a database of its own."""
        name = empty_database(self.cosmos)
        models = CosmosDatabase(Settings(sql=self.shop.url, cosmos=self.cosmos, service_bus="", cosmos_database=name))
        try:
            yield models.container("orders")
        finally:
            await models.close()


@asynccontextmanager
async def open_place(folder: Path) -> AsyncIterator[Place]:
    """Start engines, load the app into this process, and end all in the end.

    The app can be loaded once in a process, so there is one place in a run.
    """
    async with AsyncExitStack() as stack:
        cosmos, service_bus = stack.enter_context(engines())
        shop = stack.enter_context(shop_at(sqlite_database(folder)))
        os.environ |= settings(shop.url, cosmos, service_bus)
        functions = {function.name: function for function in await worker.load(ROOT)}
        models = CosmosDatabase(Settings(sql=shop.url, cosmos=cosmos, service_bus=service_bus))
        stack.push_async_callback(models.close)
        bare = await stack.enter_async_context(
            CosmosClient.from_connection_string(cosmos, connection_verify=False, enable_endpoint_discovery=False)
        )
        yield Place(folder, cosmos, bare, models, shop, functions, Delay.new(folder / "delay"), stack, [])


def products(shop: Shop, count: int) -> list[Any]:
    """Put products on offer in ordering's own list, without the catalogue; their ids."""
    rows = [
        {
            "product_id": uuid4(),
            "name": f"Tea {number}",
            "name_version": 1,
            "unit_price": "12.50",
            "currency": "EUR",
            "price_version": 1,
        }
        for number in range(count)
    ]
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.insert(PRODUCTS), rows)
    return [row["product_id"] for row in rows]
