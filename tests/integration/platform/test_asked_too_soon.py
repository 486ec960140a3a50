"""What one caller causes for themselves says so in the log, by which the alarm server-errors leaves it out.

The minutes of the process, by which the console calls for a person, count it apart.
"""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import pytest
from azure.cosmos.aio import ContainerProxy

from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.views.export import MAX_WAITING
from shared.frame.context import Context
from shared.frame.http.declared import declared
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform import telemetry
from shared.frame.platform.activity import ActivityLog
from shared.ordering.views.customer_summary import new_summary
from tests.support import principals
from tests.support.offers import a_product, an_order, history, pieces, saved
from tests.support.shop import Shop
from tests.support.triggers import trigger

AT_A_TIME = 12


async def status_of(context: Context[Any], name: str, path: dict[str, str], query: dict[str, str], prefer: str) -> int:
    """Send a query to a context's route, as the shop, and give the status."""
    request = func.HttpRequest(
        method="GET",
        url=f"http://host/api/route?{urlencode(query)}",
        headers=principals.shop() | {"Prefer": prefer},
        params=query,
        route_params=path,
        body=b"",
    )
    invocation = SimpleNamespace(invocation_id="i-1", trace_context=SimpleNamespace(trace_parent=None))
    route: Any = trigger(declared(context).blueprint, name)
    return int((await route(request, invocation)).status_code)


@pytest.fixture(autouse=True)
def lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "shared.frame.http.answers")


@pytest.fixture
def activity(monkeypatch: pytest.MonkeyPatch) -> ActivityLog:
    """What this process counts from now on."""
    log = ActivityLog()
    monkeypatch.setattr(telemetry, "ACTIVITY", log)
    return log


async def counts(activity: ActivityLog) -> Counter[str]:
    """Give what the process would write of its minutes."""
    found = Counter[str]()

    async def write(_: str, content: dict[str, Any]) -> None:
        found.update(content["counts"])

    activity.write_with(write)
    await activity.write()
    return found


class Order:
    """An order of the log, of which the read model has what a test lets it have."""

    def __init__(self, shop: Shop, orders: ContainerProxy) -> None:
        self._order = saved(shop.ordering_engine, an_order(pieces(a_product())))
        self._events = history(shop.ordering_engine, self._order)
        self._ordering = shop.wired({"orders": orders})["ordering"]

    @property
    def version(self) -> int:
        """That of the log."""
        return len(self._events)

    async def is_shown(self) -> None:
        """Show all that the log has."""
        for event in self._events:
            await self._ordering.read_models["orders"].projection.project(event)

    async def read(self, version: int, prefer: str) -> int:
        """Ask for a version; give the status."""
        query = {"customerId": str(self._order.customer_id), "minVersion": str(version)}
        return await status_of(self._ordering, "get_order", {"orderId": str(self._order.order_id)}, query, prefer)


@pytest.fixture
def order(shop: Shop, orders: ContainerProxy) -> Order:
    return Order(shop, orders)


async def test_who_waits_for_a_version_that_the_log_does_not_have(
    order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    await order.is_shown()
    statuses = await asyncio.gather(*(order.read(order.version + 1, "wait=1") for _ in range(AT_A_TIME)))
    assert statuses == [503] * AT_A_TIME
    assert caplog.messages == ["asked too soon: read-model-behind"] * AT_A_TIME


async def test_who_polls_and_grants_no_time(order: Order, caplog: pytest.LogCaptureFixture) -> None:
    assert await order.read(order.version, "wait=0") == 503
    assert caplog.messages == ["asked too soon: read-model-behind"]
    await order.is_shown()
    assert await order.read(order.version, "wait=0") == 200


async def test_who_asks_too_soon_is_counted_apart_from_errors_and_overload(order: Order, activity: ActivityLog) -> None:
    assert {await order.read(order.version, "wait=0") for _ in range(AT_A_TIME)} == {503}
    assert await counts(activity) == {"tooSoon": AT_A_TIME}


async def test_a_late_projection_is_counted_as_an_error(order: Order, activity: ActivityLog) -> None:
    assert await order.read(order.version, "wait=1") == 503
    assert await counts(activity) == {"errors": 1}


async def test_who_waits_for_a_version_that_the_log_has_is_not_why(
    order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    """The projection is held up, perhaps for everybody."""
    assert await order.read(order.version, "wait=1") == 503
    assert not caplog.messages


async def test_who_waits_for_a_customers_event_that_has_not_come_to_ordering_is_not_why(
    shop: Shop, orders: ContainerProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Ordering has a copy of customers, which follows theirs; perhaps it is late for everybody."""
    customer_id = shop.customer("Ada")
    await orders.create_item(new_summary(customer_id, "Ada", 1))
    rename = RenameCustomer(customer_id=customer_id, name="Ada King")
    version = shop.customers.run(rename_customer, rename, Metadata()).version
    path, query = {"customerId": str(customer_id)}, {"minVersion": str(version)}
    ordering = shop.wired({"orders": orders})["ordering"]
    assert await status_of(ordering, "get_customer_summary", path, query, "wait=1") == 503
    assert not caplog.messages


async def test_who_asks_for_more_exports_at_once_than_they_have_places(
    shop: Shop, activity: ActivityLog, caplog: pytest.LogCaptureFixture
) -> None:
    customers, path = shop.wired()["customers"], {"customerId": str(shop.customer())}
    exports = (status_of(customers, "get_customer_export", path, {}, "") for _ in range(AT_A_TIME))
    refused = AT_A_TIME - MAX_WAITING // 2
    assert sorted(await asyncio.gather(*exports)) == [200] * (AT_A_TIME - refused) + [503] * refused
    assert caplog.messages == ["asked too soon: overloaded"] * refused
    assert await counts(activity) == {"accepted": 1, "tooSoon": refused}
