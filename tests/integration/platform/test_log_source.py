"""The source of read models covers one document an aggregate, several aggregates a partition, and many documents."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.events import CatalogEvent, ProductAddedV1, ProductRenamedV1
from shared.catalog.tables import LOG
from shared.catalog.views import product_projection
from shared.catalog.views.product_details import SHAPES, partition_key_of
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.read_side import comparing
from shared.frame.read_side.comparing import Difference
from shared.frame.read_side.container import Container, replaced
from shared.frame.read_side.document_update import Create, DocumentUpdate
from shared.frame.read_side.log_source import LogSource
from shared.frame.read_side.partitions import AsProjected, History, OfAggregates, Own
from shared.frame.read_side.projection import Projection
from tests.support.containers import only
from tests.support.shop import Shop

type Project = Callable[[Recorded[CatalogEvent]], DocumentUpdate]


def on(shelf: str) -> Project:
    """Show all products in one partition."""

    def project(recorded: Recorded[CatalogEvent]) -> DocumentUpdate:
        change = product_projection.project(recorded)
        if isinstance(change.gate, Create):
            return DocumentUpdate(shelf, Create({**change.gate.document, "view": shelf}))
        return DocumentUpdate(shelf, change.gate)

    return project


@pytest.fixture
def shelf() -> str:
    """A partition of the test's own."""
    return f"shelf of {uuid4()}"


def with_names(recorded: Recorded[CatalogEvent]) -> DocumentUpdate:
    """Show a product, and each name that it ever had in a document of its own beside it."""
    change, event = product_projection.project(recorded), recorded.event
    assert isinstance(event, ProductAddedV1 | ProductRenamedV1)
    name = {"id": f"name {recorded.envelope.version}", "view": change.partition_key, "shape": SHAPES.today}
    return DocumentUpdate(change.partition_key, change.gate, [Create({**name, "name": event.name})])


def source_of(shop: Shop, container: Container, partitions: OfAggregates[CatalogEvent], project: Any) -> LogSource[Any]:
    projection = Projection(only(container), shop.catalog_engine, LOG, project)
    return LogSource(shop.catalog_engine, projection, partitions, project)


async def filled(source: LogSource[Any], container: Container) -> tuple[int, int]:
    position, seen, written = None, 0, 0
    while (page := await source.fill(container, position)).position is not None:
        position, seen, written = page.position, seen + page.seen, written + page.written
    return seen, written


async def stored(container: ContainerProxy, partition_key: str) -> Mapping[str, Any]:
    rows = container.query_items("SELECT * FROM c", partition_key=partition_key)
    return {row["id"]: row async for row in rows}


async def test_a_partition_of_several_aggregates_is_filled_compared_and_healed(
    shop: Shop, catalog: ContainerProxy, shelf: str
) -> None:
    ids = [shop.product(name=f"product {number}") for number in range(3)]
    partitions = OfAggregates(LOG, on(shelf), SHAPES, aggregates_in=lambda _connection, _key, most: ids[:most])
    source = source_of(shop, catalog, partitions, on(shelf))

    assert await filled(source, catalog) == (3, 3)
    assert await filled(source, catalog) == (3, 0)
    assert await source.sample(5) == [shelf]
    assert await source.partition_of(ids[0]) == shelf
    assert await source.partition_of(uuid4()) is None
    changed = await source.changed(0, await source.newest(), 10)
    assert {(each.document_id, each.partition_key) for each in changed} == {(str(id_), shelf) for id_ in ids}
    assert await source.differences(catalog, shelf) == []

    await catalog.delete_item(str(ids[0]), shelf)
    await catalog.patch_item(str(ids[1]), shelf, [{"op": "set", "path": "/name", "value": "damaged"}])
    shop.catalog.run(rename_product, RenameProduct(product_id=ids[2], name="new"), Metadata())
    found = {(each.document_id, each.what) for each in await source.differences(catalog, shelf)}
    assert found == {(str(ids[0]), "missing"), (str(ids[1]), "name"), (str(ids[2]), "behind")}
    await source.heal(catalog, shelf)
    assert await source.differences(catalog, shelf) == []
    assert [row["name"] for row in (await stored(catalog, shelf)).values()].count("new") == 1


async def test_a_document_that_no_event_accounts_for_is_told_and_deleted(
    shop: Shop, catalog: ContainerProxy, shelf: str
) -> None:
    ids = [shop.product(name=f"product {number}") for number in range(2)]
    partitions = OfAggregates(LOG, on(shelf), SHAPES, aggregates_in=lambda _connection, _key, most: ids[:most])
    source = source_of(shop, catalog, partitions, on(shelf))
    await filled(source, catalog)
    [some, other] = (await stored(catalog, shelf)).values()
    unaccounted = str(uuid4())
    await catalog.create_item({**some, "id": unaccounted})
    assert [(each.document_id, each.what) for each in await source.differences(catalog, shelf)] == [
        (unaccounted, "left over")
    ]
    await source.heal(catalog, shelf)
    assert await source.differences(catalog, shelf) == []
    assert await stored(catalog, shelf) == {some["id"]: some, other["id"]: other}


async def test_an_aggregate_that_comes_while_a_partition_is_read_is_not_left_over(
    shop: Shop, catalog: ContainerProxy, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [shop.product(name="first")]
    partitions = OfAggregates(LOG, on(shelf), SHAPES, aggregates_in=lambda _connection, _key, most: ids[:most])
    source = source_of(shop, catalog, partitions, on(shelf))
    await filled(source, catalog)
    read = comparing._partition

    async def read_after_another_came(container: Container, partition_key: str) -> Any:
        ids.append(shop.product(name="another"))
        await filled(source, catalog)
        return await read(container, partition_key)

    monkeypatch.setattr(comparing, "_partition", read_after_another_came)
    assert await source.differences(catalog, shelf) == []
    await source.heal(catalog, shelf)
    assert (await stored(catalog, shelf)).keys() == {str(id_) for id_ in ids}
    assert len(ids) > 2


async def test_healing_looks_again_when_a_document_changed_after_it_was_read(
    shop: Shop, catalog: ContainerProxy, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    product_id = shop.product(name="tea")
    partitions = OfAggregates(LOG, on(shelf), SHAPES, aggregates_in=lambda _connection, _key, _most: [product_id])
    source = source_of(shop, catalog, partitions, on(shelf))
    await filled(source, catalog)
    await catalog.patch_item(str(product_id), shelf, [{"op": "set", "path": "/name", "value": "damaged"}])
    writes = [{"op": "set", "path": "/category", "value": f"damaged {time}"} for time in range(5)]

    async def replaced_too_late(container: Container, document: Any, before: Any) -> bool:
        if writes:
            await catalog.patch_item(str(product_id), shelf, [writes.pop()])
        return await replaced(container, document, before)

    monkeypatch.setattr("shared.frame.read_side.comparing.replaced", replaced_too_late)
    await source.heal(catalog, shelf)
    assert writes == []
    assert await source.differences(catalog, shelf) == []


async def test_an_aggregate_that_has_several_documents_is_filled_compared_and_healed(
    shop: Shop, catalog: ContainerProxy
) -> None:
    product_id = shop.product(name="green tea")
    home = partition_key_of(product_id)
    source = source_of(shop, catalog, OfAggregates(LOG, with_names, SHAPES), with_names)

    assert await filled(source, catalog) == (2, 2)
    assert await filled(source, catalog) == (2, 0)
    assert await source.differences(catalog, home) == []
    begun = (await stored(catalog, home))[str(product_id)]

    shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="black tea"), Metadata())
    await catalog.patch_item("name 1", home, [{"op": "set", "path": "/shape", "value": 0}])
    assert set(await source.differences(catalog, home)) == {
        Difference(str(product_id), home, "behind"),
        Difference("name 1", home, "shape"),
        Difference("name 2", home, "missing"),
    }
    await source.heal(catalog, home)
    assert await source.differences(catalog, home) == []
    assert (await stored(catalog, home))["name 2"]["name"] == "black tea"

    await catalog.upsert_item(begun)
    assert Difference("name 2", home, "left over") in await source.differences(catalog, home)
    await source.heal(catalog, home)
    assert await source.differences(catalog, home) == []
    documents = await stored(catalog, home)
    assert documents.keys() == {str(product_id), "name 1", "name 2"}
    assert documents[str(product_id)]["name"] == documents["name 2"]["name"] == "black tea"


async def test_a_document_that_has_lost_its_times_is_told_and_gets_as_many_as_it_has_versions(
    shop: Shop, catalog: ContainerProxy
) -> None:
    product_id = shop.product(name="tea")
    home = partition_key_of(product_id)
    source = source_of(shop, catalog, OfAggregates(LOG, product_projection.project, SHAPES), product_projection.project)
    shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="mate"), Metadata())
    await filled(source, catalog)
    before = (await stored(catalog, home))[str(product_id)]
    lost = {name: value for name, value in before.items() if name != "projected"}
    for damage, what in (({}, "projected"), ({"name": "damaged"}, "name")):
        await catalog.replace_item(str(product_id), lost | damage)
        assert [each.what for each in await source.differences(catalog, home)] == [what]
        await source.heal(catalog, home)
        healed = (await stored(catalog, home))[str(product_id)]
        assert (healed["name"], healed["projected"]) == ("mate", [None, None])
        assert await source.differences(catalog, home) == []


class Noting(AsProjected[CatalogEvent]):
    """Notes on which threads it folds."""

    threads: ClassVar[set[threading.Thread]] = set()

    def own(self, history: History[CatalogEvent]) -> Own:
        """Make them."""
        self.threads.add(threading.current_thread())
        return super().own(history)

    def shared(self, histories: Sequence[History[CatalogEvent]], before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make nothing."""
        self.threads.add(threading.current_thread())
        return super().shared(histories, before)


class NotingProducts(OfAggregates[CatalogEvent]):
    """Products, folded with notes."""

    def _fold(self, histories: Sequence[History[CatalogEvent]]) -> Noting:
        return Noting(partition_key_of(histories[0][0].envelope.aggregate_id), histories, product_projection.project)


async def test_nothing_is_folded_where_requests_are_answered(shop: Shop, catalog: ContainerProxy) -> None:
    product_id = shop.product(name="tea")
    home = partition_key_of(product_id)
    source = source_of(shop, catalog, OfAggregates(LOG, product_projection.project, SHAPES), product_projection.project)
    await filled(source, catalog)
    shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="mate"), Metadata())
    noting = source_of(
        shop, catalog, NotingProducts(LOG, product_projection.project, SHAPES), product_projection.project
    )
    Noting.threads.clear()
    assert await noting.differences(catalog, home)
    await noting.heal(catalog, home)
    assert Noting.threads
    assert threading.main_thread() not in Noting.threads


async def test_healing_that_never_finds_a_partition_at_rest_says_so(
    shop: Shop, catalog: ContainerProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    product_id = shop.product(name="tea")
    home = partition_key_of(product_id)
    source = source_of(shop, catalog, OfAggregates(LOG, product_projection.project, SHAPES), product_projection.project)
    await filled(source, catalog)
    await catalog.patch_item(str(product_id), home, [{"op": "set", "path": "/name", "value": "damaged"}])

    async def never(*_: object) -> bool:
        return False

    monkeypatch.setattr("shared.frame.read_side.comparing.replaced", never)
    await source.heal(catalog, home)
    assert f"{home} changed during each of" in caplog.text
