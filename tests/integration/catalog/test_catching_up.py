"""A document that lacks very many events, as during a rebuild, gets them with a few requests."""

import asyncio
from collections.abc import Sequence
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog.domain.stock import stock_of
from shared.catalog.events import CatalogEvent, ProductRenamedV1, StockLevel, StockReceivedV1
from shared.catalog.tables import LOG
from shared.catalog.views import product_projection
from shared.catalog.views.product_details import partition_key_of
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.read_side import projection as projection_of_the_frame
from shared.frame.read_side.container import replaced
from shared.frame.read_side.projection import LONG, TRIES, GapInLog, Projection
from shared.frame.write_side.unit_of_work import UnitOfWork
from tests.integration.ordering.test_round_trips import counted
from tests.support.containers import only
from tests.support.shop import Shop

EVENTS, PAGE, AT_ONCE = 300, 100, 16


@pytest.fixture
def projection(shop: Shop, catalog: ContainerProxy, monkeypatch: pytest.MonkeyPatch) -> Projection[CatalogEvent]:
    monkeypatch.setattr(projection_of_the_frame, "PAGE", PAGE)
    return Projection(only(catalog), shop.catalog_engine, LOG, product_projection.project)


def added(shop: Shop, id_: UUID, after: int, events: Sequence[CatalogEvent]) -> Sequence[Recorded[CatalogEvent]]:
    work = UnitOfWork(shop.catalog_engine)
    LOG.append(work, id_, after, events, Metadata())
    work.commit()
    with shop.catalog_engine.connect() as connection:
        return LOG.history(connection, id_)


def a_long_stock(shop: Shop) -> tuple[str, Sequence[Recorded[CatalogEvent]]]:
    product_id = shop.product()
    events = [StockReceivedV1(product_id, 1, None, StockLevel(pieces, 0, 0)) for pieces in range(1, EVENTS + 1)]
    return partition_key_of(product_id), added(shop, stock_of(product_id), 0, events)


async def stored(catalog: ContainerProxy, recorded: Recorded[CatalogEvent], partition_key: str) -> dict[str, Any]:
    return dict(await catalog.read_item(str(recorded.envelope.aggregate_id), partition_key))


async def test_the_first_event_of_a_long_stock_that_reaches_an_empty_generation_costs_a_request_or_two_a_page(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    view, events = a_long_stock(shop)
    with counted() as sent:
        await projection.project(events[-1])
    document = await stored(catalog, events[-1], view)
    assert (document["version"], document["onHand"]) == (EVENTS, EVENTS)
    assert len(sent) <= 4 + 2 * EVENTS / PAGE


async def test_many_events_of_a_long_stock_that_come_at_once_do_not_walk_its_whole_past(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    view, events = a_long_stock(shop)
    with counted() as sent:
        await asyncio.gather(*(projection.project(each) for each in events[-AT_ONCE:]))
    document = await stored(catalog, events[-1], view)
    assert (document["version"], document["onHand"]) == (EVENTS, EVENTS)
    assert len(sent) / AT_ONCE < EVENTS / 5


async def test_a_document_that_has_some_of_its_events_gets_each_of_the_others_once(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    product_id = shop.product()
    names = [ProductRenamedV1(product_id, f"Tea {number}") for number in range(2, EVENTS + 1)]
    events = added(shop, product_id, 1, names)
    for each in events[:3]:
        await projection.project(each)
    three = await stored(catalog, events[0], partition_key_of(product_id))
    with counted() as sent:
        await projection.project(events[-1])
    document = await stored(catalog, events[0], partition_key_of(product_id))
    assert (document["version"], document["changes"], document["name"]) == (EVENTS, EVENTS, f"Tea {EVENTS}")
    assert (len(document["projected"]), document["projected"][:3]) == (EVENTS, three["projected"])
    assert len(sent) <= 4 + 2 * EVENTS / PAGE


async def test_a_change_that_comes_between_is_kept_and_the_events_are_folded_on_it(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    product_id = shop.product()
    events = added(shop, product_id, 1, [ProductRenamedV1(product_id, f"Tea {n}") for n in range(2, EVENTS + 1)])
    await projection.project(events[0])
    ratings = [{"op": "incr", "path": "/ratingCount", "value": 1}] * 2

    async def replaced_too_late(container: ContainerProxy, document: dict[str, Any], before: Any) -> bool:
        if ratings:
            await catalog.patch_item(str(product_id), partition_key_of(product_id), [ratings.pop()])
        return await replaced(container, document, before)

    monkeypatch.setattr(projection_of_the_frame, "replaced", replaced_too_late)
    await projection.project(events[-1])
    document = await stored(catalog, events[0], partition_key_of(product_id))
    assert (document["version"], document["changes"], document["ratingCount"]) == (EVENTS, EVENTS, 2)


async def test_a_hole_in_the_log_is_told_and_nothing_behind_it_applied(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    view, events = a_long_stock(shop)
    missing = events[PAGE + PAGE // 2].envelope
    with shop.catalog_engine.begin() as connection:
        connection.execute(sa.delete(LOG.table).where(LOG.table.c.event_id == missing.event_id))
    with pytest.raises(GapInLog, match=f"is at {PAGE}; the log has {PAGE - 1} of the events up to {2 * PAGE}"):
        await projection.project(events[-1])
    assert (await stored(catalog, events[-1], view))["version"] == PAGE


async def test_who_loses_every_race_to_write_many_events_at_once_applies_them_one_by_one(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    product_id = shop.product()
    events = added(shop, product_id, 1, [ProductRenamedV1(product_id, f"Tea {n}") for n in range(2, 2 * LONG)])
    await projection.project(events[0])
    losing = mock.AsyncMock(return_value=False)
    monkeypatch.setattr(projection_of_the_frame, "replaced", losing)
    async with asyncio.timeout(60):
        await projection.project(events[-1])
    assert losing.await_count == TRIES
    assert (await stored(catalog, events[0], partition_key_of(product_id)))["version"] == len(events)
