"""An event type is all its versions: a log has earlier ones, which are read as the one of today."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables
from shared.catalog.events import ON_TOPIC, UPCASTS, BoughtTogetherV1, ProductAddedV1
from shared.catalog.views.product_details import partition_key_of
from shared.catalog.views.related_products import SHAPES
from shared.frame.context import Context
from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope, Metadata, Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.frame.read_side.document_update import Create, DocumentUpdate
from shared.frame.read_side.partitions import OfAggregates
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from tests.support.shop import Shop, rows


@dataclass(frozen=True, slots=True)
class BoughtTogetherV2:
    """A new version of the event, which names the products in another way."""

    product_id: UUID
    order_id: UUID
    together_with: tuple[UUID, ...]


def bought(event: BoughtTogetherV1) -> BoughtTogetherV2:
    """Read an earlier version."""
    return BoughtTogetherV2(event.product_id, event.order_id, event.others)


TYPES = [each for each in ON_TOPIC if each is not BoughtTogetherV1]
CODEC = EventCodec[Any]((*TYPES, BoughtTogetherV2), UPCASTS | {BoughtTogetherV1: bought})
LOG = EventLog[Any](tables.LOG.table, CODEC)
ONLY, ALL_BUT = EventTypes.only(BoughtTogetherV2), EventTypes.all_but(BoughtTogetherV2)


def project(recorded: Recorded[BoughtTogetherV2]) -> DocumentUpdate:
    """Show a purchase."""
    event, view = recorded.event, partition_key_of(recorded.event.product_id)
    document = {"id": str(recorded.envelope.aggregate_id), "view": view, "shape": SHAPES.today, "version": 1}
    others = [str(other) for other in event.together_with]
    return DocumentUpdate(view, Create({**document, "others": others}, notes_times=False))


@pytest.fixture
def products(shop: Shop) -> Sequence[UUID]:
    """Two products that were bought together, as the previous release wrote it down."""
    ids = [shop.product(), shop.product()]
    order_id = shop.order(*ids)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    return ids


@pytest.fixture
async def related(containers: Callable[[str], ContainerProxy]) -> ContainerProxy:
    return containers("related")


@pytest.fixture
def context(shop: Shop, related: ContainerProxy) -> Context[Any]:
    """The catalogue of a release with the new version, with nothing declared yet."""
    wired = shop.wired({"related": related})["catalog"]
    return Context(wired.app, wired.name, LOG, wired.topic, tables.EVERY_TABLE, tables.INBOX)


def stored(shop: Shop, *types: type[Any]) -> Sequence[Envelope]:
    """The events of some types, as they are in the log."""
    with shop.catalog_engine.connect() as connection:
        ids = [row["aggregate_id"] for row in rows(shop.catalog_engine, LOG.table)]
        found = [each.envelope for id_ in dict.fromkeys(ids) for each in LOG.history(connection, id_)]  # type: ignore[arg-type]  # ids
    return [each for each in found if each.type in {type_.__name__ for type_ in types}]


async def others_in(container: ContainerProxy, product_id: UUID) -> list[list[str]]:
    found = container.query_items("SELECT * FROM c", partition_key=partition_key_of(product_id))
    return [document["others"] async for document in found]


def declared(context: Context[Any], event_types: EventTypes, project: Callable[[Recorded[Any]], DocumentUpdate]) -> Any:
    """The view of purchases, of some event types."""
    purchases = OfAggregates(LOG, project, SHAPES, lambda _connection, _key, _most: [], event_types)
    return context.read_model(
        "related",
        container="related",
        subscription="product-views",
        trigger="project_purchases",
        project=project,
        documents=purchases,
        event_types=event_types,
    )


async def test_a_view_of_a_kind_is_made_of_its_earlier_versions_too(
    context: Context[Any], related: ContainerProxy, products: Sequence[UUID]
) -> None:
    source = declared(context, ONLY, project).view.source
    assert await source.total() == 2
    assert await source.newest() > 0
    await source.fill(related, None)
    one, other = products
    assert await others_in(related, one) == [[str(other)]]
    assert await others_in(related, other) == [[str(one)]]


async def test_a_view_of_a_kind_takes_its_earlier_versions_in(
    shop: Shop, context: Context[Any], related: ContainerProxy, products: Sequence[UUID]
) -> None:
    declared(context, ONLY, project)
    [consumer] = context.consumers
    assert consumer.takes("BoughtTogetherV1")
    assert not consumer.takes("ProductAddedV1")
    for envelope in stored(shop, BoughtTogetherV1, ProductAddedV1):
        await consumer.consume(envelope)
    one, other = products
    assert await others_in(related, one) == [[str(other)]]


async def test_a_view_of_all_but_a_kind_is_without_its_earlier_versions(
    shop: Shop, context: Context[Any], products: Sequence[UUID]
) -> None:
    def refuse(recorded: Recorded[Any]) -> DocumentUpdate:
        raise AssertionError(recorded.envelope.type)

    source = declared(context, ALL_BUT, refuse).view.source
    aggregates = {row["aggregate_id"] for row in rows(shop.catalog_engine, LOG.table)}
    assert await source.total() == len(aggregates) - len(products)
    [consumer] = context.consumers
    assert not consumer.takes("BoughtTogetherV1")
    assert consumer.takes("ProductAddedV1")
    events = stored(shop, BoughtTogetherV1)
    assert len(events) == len(products)
    for envelope in events:
        await consumer.consume(envelope)


@pytest.mark.parametrize(("event_types", "times"), [(ONLY, 1), (ALL_BUT, 0)], ids=["only", "all but"])
async def test_who_follows_a_kind_or_all_but_it_means_its_earlier_versions_too(
    shop: Shop, context: Context[Any], products: Sequence[UUID], event_types: EventTypes, times: int
) -> None:
    followed: list[object] = []

    def follow(recorded: Recorded[Any], _work: UnitOfWork) -> None:
        followed.append(recorded.event)

    context.follows("follow", "product-events", "somebody", CODEC, follow, event_types=event_types)
    [consumer] = context.consumers
    assert consumer.takes("BoughtTogetherV1") is bool(times)
    for envelope in stored(shop, BoughtTogetherV1):
        await consumer.consume(envelope)
    assert len(followed) == times * len(products)
    assert all(isinstance(event, BoughtTogetherV2) for event in followed)


@pytest.mark.parametrize("choose", [EventTypes.only, EventTypes.all_but])
def test_a_kind_that_is_not_written_any_more_is_refused_where_it_is_declared(
    context: Context[Any], choose: Callable[..., EventTypes]
) -> None:
    """A view of only this one would never show another event."""
    told = "BoughtTogetherV1 is not written any more: name BoughtTogetherV2 in its place"
    with pytest.raises(ValueError, match=told):
        declared(context, choose(BoughtTogetherV1), project)
    with pytest.raises(ValueError, match=told):
        context.follows("follow", "product-events", "s", CODEC, lambda _: None, event_types=choose(BoughtTogetherV1))


def test_an_upcast_that_does_not_say_what_it_makes_is_refused() -> None:
    with pytest.raises(TypeError, match="does not say by its annotation which event it makes"):
        EventCodec[Any]((BoughtTogetherV2,), {BoughtTogetherV1: lambda event: bought(event)})  # noqa: PLW0108  # without annotations
