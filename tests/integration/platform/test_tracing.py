"""One trace from a request to the document it changes: through the outbox, Service Bus, the trigger and Cosmos DB."""

from collections.abc import AsyncIterator, Iterator
from unittest import mock
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan

from shared.frame.app import App
from shared.frame.http.declared import declared
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.write_side.outbox import Outbox
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.functions import ordering
from shared.ordering.tables import LOG
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import new_summary
from tests.support.servicebus import running_servicebus
from tests.support.shop import SHIPPING, Shop
from tests.support.telemetry import Observed, observing, parent_of, traceparent_of, written
from tests.support.triggers import context, message, trigger
from tests.support.wiring import connected_app

CREATION = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SUBMISSION = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def service_bus() -> Iterator[str]:
    with running_servicebus() as connection:
        yield connection


@pytest.fixture
async def models(read_models: str) -> AsyncIterator[CosmosDatabase]:
    """The read models as the app connects to them."""
    models = CosmosDatabase(Settings(sql="", cosmos=read_models, service_bus=""))
    yield models
    await models.close()


@pytest.fixture
def app(shop: Shop, models: CosmosDatabase, service_bus: str) -> Iterator[App]:
    with connected_app(Settings(sql=shop.url, cosmos="", service_bus=service_bus), models) as app:
        yield app


@pytest.fixture
def observed() -> Iterator[Observed]:
    with observing() as observed:
        yield observed


def place_order(shop: Shop) -> tuple[UUID, UUID]:
    """Create an order and submit it, in a request each; gives the customer and the order."""
    customer_id, product_id = shop.customer(), shop.product()
    create = CreateOrder(
        customer_id=customer_id, items=[Item(product_id=product_id, quantity=1)], shipping_address=SHIPPING
    )
    order_id = shop.ordering.run(create_order, create, Metadata(traceparent=CREATION)).aggregate_id
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata(traceparent=SUBMISSION))
    return customer_id, order_id


def delivered(connection: str) -> Iterator[ServiceBusReceivedMessage]:
    """The messages of an order, until there have been two."""
    with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_subscription_receiver("order-events", "order-views") as receiver,
    ):
        for _ in range(2):
            [received] = receiver.receive_messages(max_message_count=1, max_wait_time=30)
            yield received
            receiver.complete_message(received)


def traceparent_in(received: ServiceBusReceivedMessage) -> str:
    """The trace context that a message carries on its outside."""
    carried = (received.application_properties or {})[b"traceparent"]
    assert isinstance(carried, bytes)
    return carried.decode()


def sweep(shop: Shop, service_bus: str) -> None:
    """Let a relay run, as its timer does."""
    settings = Settings(sql=shop.url, cosmos="", service_bus=service_bus)
    outbox = Outbox(settings, shop.ordering_engine, LOG, "ordering", "order-events")
    # what it has to leave is for the publisher, which would go on after the test, with an engine that ends with it
    with mock.patch.object(outbox, "wake"):
        outbox.sweep()
    outbox._relay._topic._client.close()  # type: ignore[attr-defined]  # the app's ends with its process


async def test_one_trace_from_the_request_through_outbox_and_service_bus_to_the_projection(
    shop: Shop, app: App, models: CosmosDatabase, service_bus: str, observed: Observed
) -> None:
    project_order = trigger(declared(ordering(app)).blueprint, "project_order")
    customer_id, order_id = place_order(shop)
    sweep(shop, service_bus)

    await models.container("orders").create_item(new_summary(customer_id, "Ada", 1))
    for received in delivered(service_bus):
        carried = traceparent_in(received)
        event = message(b"".join(received.body), {"traceparent": carried})
        await project_order(event, context(carried))  # as on a laptop; Azure's host has a span of its own between

    document = await models.container("orders").read_item(str(order_id), str(customer_id))
    assert document["version"] == 2
    for request, command in ((CREATION, "CreateOrder"), (SUBMISSION, "SubmitOrder")):
        carried_out, sent, processed = observed.spans(request.split("-")[1])
        assert [span.name for span in (carried_out, sent, processed)] == [
            command,
            "send order-events",
            "process order-events",
        ]
        assert [parent_of(span) for span in (carried_out, sent, processed)] == [
            request,
            traceparent_of(carried_out),
            traceparent_of(sent),
        ]
        assert [written(link.context) for link in processed.links] == [traceparent_of(sent)]
        assert attribute(sent, "messaging.message.id") == attribute(processed, "messaging.message.id")
        assert attribute(processed, "messaging.destination.subscription.name") == "order-views"
    [lag] = observed.points("tandem.projection.lag")
    assert isinstance(lag, HistogramDataPoint)
    assert lag.count == 2


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {})[name]


def left(observed: Observed, metric: str) -> float:
    [point] = observed.points(metric)
    assert isinstance(point, NumberDataPoint)
    assert point.attributes == {"tandem.context": "ordering"}
    return point.value


def test_a_relay_tells_what_it_has_to_leave_in_the_outbox(shop: Shop, service_bus: str, observed: Observed) -> None:
    nowhere = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=eA==;UseDevelopmentEmulator=true;"
    for connection, waiting in ((service_bus, 0), (nowhere, 2), (service_bus, 0)):
        place_order(shop)
        sweep(shop, connection)
        assert left(observed, "tandem.outbox.unpublished") == waiting
        assert (left(observed, "tandem.outbox.oldest") > 0) == (waiting > 0)


async def test_request_units_are_told_apart_by_container_and_operation(
    shop: Shop, models: CosmosDatabase, observed: Observed
) -> None:
    customer_id = shop.customer()
    orders = models.container("orders")
    await orders.create_item(new_summary(customer_id, "Ada", 1))
    await orders.patch_item(
        new_summary(customer_id, "Ada", 1)["id"],
        str(customer_id),
        [{"op": "set", "path": "/customerName", "value": "Ada Lovelace"}],
    )
    await orders.execute_item_batch([("create", ({"id": "x", "customerId": str(customer_id)},))], str(customer_id))
    await list_orders(Served(orders, 1), ListOrders(customer_id=customer_id), wait=NO_WAIT)

    units = [point for point in observed.points("tandem.cosmos.request_units") if isinstance(point, HistogramDataPoint)]
    counted = {(point.attributes or {})["db.operation.name"]: point for point in units}
    assert counted.keys() - {"metadata"} == {"create_item", "patch_item", "execute_batch", "query_items", "read_item"}
    assert {
        (point.attributes or {})["db.collection.name"] for name, point in counted.items() if name != "metadata"
    } == {"orders"}
    assert all(point.count == 1 and point.sum > 0 for name, point in counted.items() if name != "metadata")
