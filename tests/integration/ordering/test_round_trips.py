"""What events and queries cost Cosmos DB, counted on the wire; `pytest -s` shows the figures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import aiohttp
from azure.cosmos.aio import ContainerProxy

from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import LOG
from shared.ordering.views import order_projection
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import ReadSummary, new_summary, read_summary
from shared.ordering.views.order_details import ReadOrder, read_order
from tests.support.containers import only
from tests.support.shop import Shop


@contextmanager
def counted() -> Iterator[list[str]]:
    """Note every request for documents; a client asks once for the container's partition ranges, which are none."""
    sent: list[str] = []
    real = aiohttp.ClientSession._request

    async def request(self: aiohttp.ClientSession, method: str, url: str, **options: object) -> object:
        if "/docs/" in url:
            sent.append(f"{method} {url}")
        return await real(self, method, url, **options)  # type: ignore[arg-type]  # handed on as it came

    with mock.patch.object(aiohttp.ClientSession, "_request", request):
        yield sent


async def test_each_event_is_one_request_and_detail_and_summary_are_one_point_read(
    shop: Shop, orders: ContainerProxy
) -> None:
    customer_id, tea, mug = shop.customer(), shop.product(), shop.product()
    await orders.create_item(new_summary(customer_id, "Ada", 1))
    order_id = shop.order(tea, customer_id=customer_id)
    other = shop.order(tea, customer_id=customer_id)
    commands: list[Callable[[], object]] = [
        lambda: shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=mug, quantity=1), Metadata()),
        lambda: shop.ordering.run(remove_item, RemoveItem(order_id=order_id, product_id=tea), Metadata()),
        lambda: shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(submit_order, SubmitOrder(order_id=other), Metadata()),
        lambda: shop.ordering.run(cancel_order, CancelOrder(order_id=other, reason="no"), Metadata()),
    ]
    for command in commands:
        command()
    projection = Projection(
        only(orders), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider
    )
    with shop.ordering_engine.connect() as connection:
        events = [*LOG.history(connection, order_id), *LOG.history(connection, other)]
    for recorded in events:
        with counted() as sent:
            await projection.project(recorded)
        print(f"{recorded.envelope.type}: {len(sent)} request")  # noqa: T201  # for pytest -s
        assert len(sent) == 1, sent
    with counted() as sent:
        await read_order(Served(orders, 1), ReadOrder(order_id=order_id, customer_id=customer_id), wait=NO_WAIT)
        await read_summary(Served(orders, 1), ReadSummary(customer_id=customer_id), wait=NO_WAIT)
    assert [request.split()[0] for request in sent] == ["GET", "GET"]
    with counted() as sent:
        page = await list_orders(Served(orders, 1), ListOrders(customer_id=customer_id), wait=NO_WAIT)
    assert page.total_count == 2
    print(f"a page of orders: {[request.split()[0] for request in sent]}")  # noqa: T201  # for pytest -s
    assert sorted(request.split()[0] for request in sent) == ["GET", "POST"], "a point read and a query, side by side"
