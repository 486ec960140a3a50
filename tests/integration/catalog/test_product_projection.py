"""A product's events reach its document once each, whatever way they come."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.events import CatalogEvent
from shared.catalog.tables import LOG
from shared.catalog.views import product_projection
from shared.catalog.views.product_details import ProductDetails, ReadProduct, read_product
from shared.frame.context import Context
from shared.frame.read_side import projection as projection_of_the_frame
from shared.frame.read_side.document_update import Create, Patch, gated
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT
from tests.kit.deliveries import shown_whatever_happens
from tests.support.containers import only
from tests.support.products import a_history
from tests.support.shop import Shop


@pytest.fixture
def projection(shop: Shop, catalog: ContainerProxy) -> Projection[CatalogEvent]:
    return Projection(only(catalog), shop.catalog_engine, LOG, product_projection.project)


async def shown(catalog: ContainerProxy, product_id: UUID) -> ProductDetails:
    return (await read_product(Served(catalog, 1), ReadProduct(product_id=product_id), wait=NO_WAIT))[0]


@pytest.mark.parametrize("places", [(0, 1, 2, 3, 4), (0, 0, 1, 2, 2, 1, 3, 4), (4, 3, 2, 1, 0), (4,), (2, 0, 4, 1)])
async def test_a_product_is_shown_as_its_events_say_in_whatever_order_they_come(
    places: tuple[int, ...], shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    events = a_history(shop)
    for place in places:
        await projection.project(events[place])
    product_id = events[0].envelope.aggregate_id
    assert await shown(catalog, product_id) == ProductDetails(
        product_id=product_id,
        name="Sencha",
        description="",
        unit_price="3.00",
        currency="EUR",
        category="Things",
        is_out_of_stock=False,
        available=None,
        user_rating=None,
        rating_count=0,
        version=5,
    )


@pytest.mark.parametrize("seed", range(4))
async def test_events_that_overtake_one_another_all_the_time_need_no_second_delivery(
    seed: int, shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    # an event that finds its predecessor missing may look again when that has just arrived
    events = a_history(shop)
    deliveries = random.Random(seed).sample(events, 5) + random.Random(seed + 1).sample(events, 5)
    await asyncio.gather(*(projection.project(recorded) for recorded in deliveries))
    assert (await shown(catalog, events[0].envelope.aggregate_id)).version == 5


async def test_a_product_that_nobody_added_is_not_found(catalog: ContainerProxy) -> None:
    with pytest.raises(ProductNotFound):
        await shown(catalog, uuid4())


def products_with_changes(shop: Shop, containers: Callable[[str], ContainerProxy]) -> Context[Any]:
    """The catalogue, with three products that were repriced and renamed."""
    for _ in range(3):
        a_history(shop)
    return shop.wired({"catalog": containers("catalog")})["catalog"]


async def test_products_are_shown_as_their_events_say_whatever_happens(
    shop: Shop, containers: Callable[[str], ContainerProxy]
) -> None:
    context = products_with_changes(shop, containers)
    await shown_whatever_happens(context, "products", containers("catalog"), random.Random(7))


async def test_the_kit_finds_a_projection_that_repeats_spoil_though_healing_would_mend_it(
    shop: Shop, containers: Callable[[str], ContainerProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ungated(gate: Create | Patch, version: int, at: datetime) -> Create | Patch:
        step = gated(gate, version, at)
        return step if isinstance(step, Create) else replace(step, condition=None)

    monkeypatch.setattr(projection_of_the_frame, "gated", ungated)
    context = products_with_changes(shop, containers)
    with pytest.raises(AssertionError, match="more is wrong than that ProductRenamedV1"):
        await shown_whatever_happens(context, "products", containers("catalog"), random.Random(7))
