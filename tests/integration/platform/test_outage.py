"""An outage costs no event: a delivery lasts until the store is back, through the very trigger that Azure calls."""

import asyncio
import json
import logging
import socket
from pathlib import Path

import pytest

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


async def test_an_event_that_comes_while_cosmos_is_away_is_projected_by_the_same_delivery(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    cosmos = CosmosDatabase(
        Settings(sql=shop.url, cosmos=f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={KEY};", service_bus="=")
    )
    customer = shop.customer()
    order = shop.order(shop.product(), customer_id=customer)
    with shop.ordering_engine.connect() as connection:
        [recorded] = LOG.history(connection, order)
    event = message(to_body(recorded.envelope, "ordering"))

    caplog.set_level(logging.WARNING, "stamina")
    with connected_app(Settings(sql=shop.url, cosmos="", service_bus=""), cosmos) as app:
        project_order = trigger(declared(ordering(app)).blueprint, "project_order")
        delivery = asyncio.create_task(project_order(event, context()))
        while not caplog.records:  # noqa: ASYNC110  # the log is what tells of a try that failed
            await asyncio.sleep(0.01)
        assert not delivery.done()
        process, connection_string = start(tmp_path, port)
        try:
            create(connection_string, json.loads(TOPOLOGY.read_text(encoding="utf-8")))
            await delivery
            query = ReadOrder(order_id=order, customer_id=customer)
            details, _ = await read_order(Served(cosmos.container("orders"), 1), query, wait=NO_WAIT)
            assert len(details.items) == 1
        finally:
            stop(process)
            await cosmos.close()
