"""Names that changed reach every document that shows them, in whatever order the events of both sides come."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog.events import CatalogEvent, ProductPriceChangedV1, ProductRenamedV1
from shared.customers.events import CustomerEvent, CustomerRegisteredV1, CustomerRenamedV1
from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.projection import Projection
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderEvent
from shared.ordering.finding import OrderToCorrect
from shared.ordering.tables import LOG
from shared.ordering.views import order_projection
from shared.ordering.views.customer_summary import SUMMARY
from shared.ordering.views.names import NameCorrections, NewName
from tests.integration.ordering.test_round_trips import counted
from tests.support.containers import OneGeneration, only
from tests.support.envelopes import recorded
from tests.support.offers import a_customer, a_product, an_order, history, pieces, saved
from tests.support.shop import Shop


@pytest.fixture
def projection(shop: Shop, orders: ContainerProxy) -> Projection[OrderEvent]:
    return Projection(only(orders), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider)


@pytest.fixture
def names(shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]) -> NameCorrections:
    return NameCorrections(OneGeneration("orders", "orders", {"orders": orders}), shop.ordering_engine, projection)


def product_renamed(product_id: UUID, name: str, version: int) -> Recorded[CatalogEvent]:
    return recorded(ProductRenamedV1(product_id, name), product_id, version)


def customer_renamed(customer_id: UUID, name: str, version: int) -> Recorded[CustomerEvent]:
    return recorded(CustomerRenamedV1(customer_id, name), customer_id, version)


async def project(projection: Projection[OrderEvent], events: Sequence[Recorded[OrderEvent]]) -> None:
    for each in events:
        await projection.project(each)


async def document(orders: ContainerProxy, order: Order) -> Any:
    return await orders.read_item(str(order.order_id), str(order.customer_id))


async def test_a_new_name_reaches_every_order_that_has_the_product_and_no_other(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    tea, mug = a_product(name="Tea"), a_product(name="Mug")
    having = [saved(shop.ordering_engine, an_order(pieces(tea), pieces(mug))) for _ in range(20)]
    lacking = saved(shop.ordering_engine, an_order(pieces(mug)))
    for order in (*having, lacking):
        await project(projection, history(shop.ordering_engine, order))

    await names.correct_product(product_renamed(tea.product_id, "Green tea", 2))

    for order in having:
        found = await document(orders, order)
        shown = {product_id: line["productName"] for product_id, line in found["items"].items()}
        assert shown == {str(tea.product_id): "Green tea", str(mug.product_id): "Mug"}
        assert (found["version"], found["renames"]) == (1, 1)
    assert (await document(orders, lacking))["renames"] == 0


async def test_a_new_name_that_comes_twice_or_after_a_newer_one_changes_nothing(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    tea = a_product(name="Tea")
    order = saved(shop.ordering_engine, an_order(pieces(tea)))
    await project(projection, history(shop.ordering_engine, order))
    for name, version in (("Third", 3), ("Third", 3), ("Second", 2)):
        await names.correct_product(product_renamed(tea.product_id, name, version))

    found = await document(orders, order)
    assert found["items"][str(tea.product_id)]["productName"] == "Third"
    assert found["renames"] == 1


async def test_an_order_that_shows_the_name_already_costs_no_more_than_a_look(
    shop: Shop, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    """A correction of very many orders that was cut short passes those again that it had come to."""
    tea, customer = a_product(name="Tea"), a_customer("Ada")
    for _ in range(5):
        order = saved(shop.ordering_engine, an_order(pieces(tea), customer=customer))
        await project(projection, history(shop.ordering_engine, order))
    renamed, ada = product_renamed(tea.product_id, "Green tea", 2), customer_renamed(customer.customer_id, "Ada L.", 2)
    requests = []
    for _ in range(2):
        with counted() as of_product:
            await names.correct_product(renamed)
        with counted() as of_customer:
            await names.correct_customer(ada)
        requests.append((len(of_product), len(of_customer)))
    # of the customer's, one is to make the summary, which is then corrected as an order is
    assert requests == [(5, 1 + 6), (2 * 5, 1 + 2 * 6)]


async def test_a_price_that_changed_renames_nothing(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    tea = a_product("1.00", name="Tea")
    order = saved(shop.ordering_engine, an_order(pieces(tea)))
    await project(projection, history(shop.ordering_engine, order))
    before = await document(orders, order)
    event = ProductPriceChangedV1(tea.product_id, tea.price.amount + 1, "EUR")
    await names.correct_product(recorded(event, tea.product_id, 2))
    assert await document(orders, order) == before


@pytest.mark.parametrize("projected", [0, 1, 2])
async def test_an_order_whose_events_have_not_arrived_is_brought_up_to_date_and_then_renamed(
    projected: int, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    tea = a_product(name="Tea")
    order = an_order(pieces(a_product()))
    order.add([pieces(a_product())])
    order.add([pieces(tea)])
    saved(shop.ordering_engine, order)
    events = history(shop.ordering_engine, order)
    await project(projection, events[:projected])

    await names.correct_product(product_renamed(tea.product_id, "Green tea", 2))
    await project(projection, events)  # late

    found = await document(orders, order)
    assert found["items"][str(tea.product_id)]["productName"] == "Green tea"
    assert (found["version"], found["renames"]) == (3, 1)


async def test_an_item_that_is_gone_again_when_its_name_comes_is_left_alone(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    tea = a_product(name="Tea")
    order = an_order(pieces(tea))
    had_it = OrderToCorrect(order.order_id, order.customer_id, order.version)  # what the tables said before the removal
    order.remove(tea.product_id)
    saved(shop.ordering_engine, order)
    await project(projection, history(shop.ordering_engine, order))
    before = await document(orders, order)

    await names._correct([had_it], NewName("product", "Green tea", 2, ("items", str(tea.product_id))))

    assert await document(orders, order) == before


async def test_a_line_that_took_the_new_name_already_is_left_alone(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    tea = a_product(name="Green tea")
    renamed = type(tea)(tea.product_id, "Green tea", tea.price, version=2)
    order = saved(shop.ordering_engine, an_order(pieces(renamed)))
    await project(projection, history(shop.ordering_engine, order))
    await names.correct_product(product_renamed(tea.product_id, "Green tea", 2))
    assert (await document(orders, order))["renames"] == 0


async def test_a_new_name_of_a_customer_reaches_the_summary_and_all_orders(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    customer = a_customer("Ada")
    made = [saved(shop.ordering_engine, an_order(customer=customer)) for _ in range(3)]
    await project(projection, history(shop.ordering_engine, made[0]))  # of the others nothing has arrived

    for name, version in (("Ada L.", 3), ("Ada K.", 2), ("Ada L.", 3)):
        await names.correct_customer(customer_renamed(customer.customer_id, name, version))

    for order in made:
        found = await document(orders, order)
        assert (found["customerName"], found["customerVersion"], found["renames"]) == ("Ada L.", 3, 1)
    summary = await orders.read_item(SUMMARY, str(customer.customer_id))
    assert (summary["customerName"], summary["customerVersion"]) == ("Ada L.", 3)
    assert summary["orders"]["Created"] == 3


@pytest.mark.parametrize("name_first", [False, True])
async def test_a_customers_summary_is_made_once_by_whichever_event_comes_first(
    name_first: object, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    customer = a_customer("Ada")
    order = saved(shop.ordering_engine, an_order(customer=customer))
    registered = recorded(CustomerRegisteredV1(customer.customer_id, "Ada", "ada@example.org"), customer.customer_id, 1)
    if name_first:
        await names.correct_customer(registered)
    await project(projection, history(shop.ordering_engine, order))
    await names.correct_customer(registered)

    summary = await orders.read_item(SUMMARY, str(customer.customer_id))
    assert (summary["customerName"], summary["orders"]["Created"]) == ("Ada", 1)


async def test_an_order_and_its_customers_first_event_that_come_at_the_same_time_make_one_summary(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], names: NameCorrections
) -> None:
    customer = a_customer("Ada")
    made = [saved(shop.ordering_engine, an_order(customer=customer)) for _ in range(6)]
    registered = recorded(CustomerRegisteredV1(customer.customer_id, "Ada", "ada@example.org"), customer.customer_id, 1)
    await asyncio.gather(
        *(project(projection, history(shop.ordering_engine, order)) for order in made),
        names.correct_customer(registered),
        names.correct_customer(customer_renamed(customer.customer_id, "Ada L.", 2)),
    )
    summary = await orders.read_item(SUMMARY, str(customer.customer_id))
    assert (summary["customerName"], summary["orders"]["Created"]) == ("Ada L.", 6)
    assert {(await document(orders, order))["customerName"] for order in made} == {"Ada L."}
