"""An outage costs no event: a delivery lasts until the store is back, through the very trigger that Azure calls."""

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from infra.local.containers import TOPOLOGY, create
from shared.frame.http.declared import declared
from shared.frame.messaging.wire import to_body
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.ordering.functions import ordering
from shared.ordering.tables import LOG
from shared.ordering.views.order_details import ReadOrder, read_order
from tests.support.cosmos import KEY, start, stop
from tests.support.shop import Shop
from tests.support.triggers import context, message, trigger
from tests.support.wiring import connected_app


def made(shop: Shop) -> tuple[ReadOrder, Any]:
    """Make an order; the query that shows it, and the message that tells of it."""
    customer = shop.customer()
    order = shop.order(shop.product(), customer_id=customer)
    with shop.ordering_engine.connect() as connection:
        [recorded] = LOG.history(connection, order)
    return ReadOrder(order_id=order, customer_id=customer), message(to_body(recorded.envelope, "ordering"))


async def projected_once_it_is_there(
    cosmos: CosmosDatabase, delivery: asyncio.Task[Any], query: ReadOrder, folder: Path, port: int
) -> None:
    """Start an account at the port, and hold the delivery to project its event into it."""
    process, connection_string = start(folder, port)
    try:
        create(connection_string, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
        await delivery
        details, _ = await read_order(Served(cosmos.container("orders"), 1), query, wait=NO_WAIT)
        assert len(details.items) == 1
    finally:
        stop(process)
        await cosmos.close()


async def test_an_event_that_comes_while_cosmos_is_away_is_projected_by_the_same_delivery(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    cosmos = CosmosDatabase(
        Settings(sql=shop.url, cosmos=f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={KEY};", service_bus="=")
    )
    query, event = made(shop)

    caplog.set_level(logging.WARNING, "stamina")
    with connected_app(Settings(sql=shop.url, cosmos="", service_bus=""), cosmos) as app:
        project_order = trigger(declared(ordering(app)).blueprint, "project_order")
        delivery = asyncio.create_task(project_order(event, context()))
        while not caplog.records:  # noqa: ASYNC110  # the log is what tells of a try that failed
            await asyncio.sleep(0.01)
        assert not delivery.done()
        await projected_once_it_is_there(cosmos, delivery, query, tmp_path, port)


async def refusing(port: int, asked: list[str]) -> web.AppRunner:
    """Serve an account whose firewall lets nobody at its data, and note what it is asked for."""
    here = [{"name": "here", "databaseAccountEndpoint": f"http://127.0.0.1:{port}/"}]

    async def refuse(request: web.Request) -> web.Response:
        if request.path == "/":
            return web.json_response({"id": "account", "writableLocations": here, "readableLocations": here})
        asked.append(request.path)
        said = {"code": "Forbidden", "message": "Request blocked by your Cosmos DB account firewall settings."}
        return web.json_response(said, status=403)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def test_an_event_that_comes_while_cosmos_refuses_the_app_is_projected_by_the_same_delivery(
    shop: Shop, tmp_path: Path
) -> None:
    """Somebody mends a firewall or a role, and no event has become a dead letter."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    account = f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={KEY};"
    cosmos = CosmosDatabase(Settings(sql=shop.url, cosmos=account, service_bus="="))
    query, event = made(shop)

    asked: list[str] = []
    firewall = await refusing(port, asked)
    with connected_app(Settings(sql=shop.url, cosmos="", service_bus=""), cosmos) as app:
        project_order = trigger(declared(ordering(app)).blueprint, "project_order")
        delivery = asyncio.create_task(project_order(event, context()))
        while len(asked) < 3 and not delivery.done():  # noqa: ASYNC110  # the account counts
            await asyncio.sleep(0.01)
        await firewall.cleanup()
        await projected_once_it_is_there(cosmos, delivery, query, tmp_path, port)
