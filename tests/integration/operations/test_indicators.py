"""Each indicator of a view turns when what it measures is broken, and turns back when that is mended."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy
from opentelemetry.sdk.metrics.export import NumberDataPoint

from shared.frame.operations import drift, lag, read_models
from shared.frame.operations.drift import check, heal
from shared.frame.operations.errors import GenerationIncomplete
from shared.frame.operations.lag import measure, move_mark
from shared.frame.operations.read_model_routes import watch
from shared.frame.operations.read_models import ViewStatus
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.read_side import presence
from shared.frame.read_side.generations import Generations
from shared.frame.read_side.presence import wrong_with
from shared.frame.read_side.read_model import View
from shared.frame.read_side.read_your_writes import point_read
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.read_side.view_state import CONTROL
from shared.ordering.views.order_details import SHAPES
from tests.integration.operations.conftest import LiveShop
from tests.integration.operations.test_rebuilding import FOREVER, carried_on, rebuilt, rolled_back
from tests.support.telemetry import observing


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log's order be final at once, and look twice without a long pause."""
    monkeypatch.setattr(lag, "SETTLED", timedelta(0))
    monkeypatch.setattr(drift, "SECOND_LOOK", 0.01)
    monkeypatch.setattr(presence, "SECOND_LOOK", 0.01)


async def status(live: LiveShop, view: View | None = None) -> ViewStatus:
    return await read_models.status(view or live.orders_view, live.read_models)


async def delete_all(container: ContainerProxy) -> None:
    key = (await container.read())["partitionKey"]["paths"][0].removeprefix("/")
    async for document in container.query_items_change_feed(start_time="Beginning"):
        await container.delete_item(document["id"], document[key])


async def make_again(live: LiveShop, container: ContainerProxy) -> None:
    """Delete a container, and make an empty one of its name."""
    path = (await container.read())["partitionKey"]["paths"][0]
    database = live.read_models._database
    await database.delete_container(container.id)
    await database.create_container(container.id, PartitionKey(path))


@pytest.fixture
def slow_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log's order be final after a minute, as it is."""
    monkeypatch.setattr(lag, "SETTLED", timedelta(minutes=1))


def unprojected(live: LiveShop, count: int) -> list[UUID]:
    return [live.shop.order(live.products[0], customer_id=live.customers[0]) for _ in range(count)]


@pytest.mark.parametrize("young", [True, False])
async def test_events_behind_many_that_are_applied_are_counted(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, *, young: bool
) -> None:
    monkeypatch.setattr(lag, "MOST", 4)
    await live.open(customers=1, products=2, orders=20)
    late = unprojected(live, 3)

    found = await measure(live.orders_view, live.read_models, generation=1, young=young)
    assert (found.unapplied, found.unexamined) == (3, 0)
    assert found.oldest is not None
    shown = (await status(live)).lag
    assert shown is not None
    assert shown.unapplied == 3

    for order_id in late:
        await live.project(order_id)
    found = await measure(live.orders_view, live.read_models, generation=1, young=young)
    assert (found.unapplied, found.unexamined, found.oldest) == (0, 0, None)


async def test_what_there_was_no_time_to_look_for_is_told_to_be_unknown(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "MOST", 4)
    await live.open(customers=1, products=2, orders=20)
    unprojected(live, 3)
    monkeypatch.setattr(lag, "LOOKS_FOR", 0.0)
    hurried = await measure(live.orders_view, live.read_models, generation=1, within=0.0)
    assert (hurried.examined, hurried.unapplied) == (4, 0)
    assert hurried.unexamined == hurried.newest - 4 > 3

    await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    caught_up = await measure(live.orders_view, live.read_models, generation=1, within=0.0)
    assert (caught_up.unapplied, caught_up.unexamined) == (3, 0)


@pytest.mark.parametrize("hurt", [delete_all, make_again])
async def test_an_empty_generation_is_told_wherever_it_is_and_until_it_is_made_anew(
    live: LiveShop, hurt: Callable[..., Any]
) -> None:
    await live.open(customers=1, products=2, orders=5)
    await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert (await status(live)).wrong == []
    orders = live.orders.container(1)

    await (delete_all(orders) if hurt is delete_all else make_again(live, orders))

    [wrong] = (await status(live)).wrong
    assert "orders: generation 1, which serves, is empty" in wrong
    assert "python3 dev.py rebuild orders" in wrong
    if hurt is make_again:  # the mark is of the container that was
        found = await measure(live.orders_view, live.read_models, generation=1)
        assert found.unapplied == found.newest > 0

    await rebuilt(live)
    after = await status(live)
    assert after.wrong == []
    assert after.lag is not None
    assert (after.lag.unapplied, after.lag.unexamined) == (0, 0)
    assert (await check(live.orders_view, live.read_models, await live.orders_view.source.sample(5))) == []

    process = Rebuilding(live.read_models, live.orders_view)
    with pytest.raises(GenerationIncomplete, match="Generation 1 of orders is empty"):
        await process.roll_back()
    await live.project(live.shop.order(live.products[0], customer_id=live.customers[0]))  # and so it is empty no more
    if hurt is make_again:
        with pytest.raises(GenerationIncomplete, match=r"Generation 1 of orders lacks \d+ events"):
            await process.roll_back()
    assert (await live.orders.read()).switch_at is None
    await rolled_back(live, even_if_incomplete=True)
    assert (await live.orders.read()).switch_at is not None


async def test_a_view_of_nothing_is_empty_and_nothing_is_wrong(live: LiveShop) -> None:
    for view in (live.orders_view, live.products_view):
        assert await wrong_with(view) == []


async def test_an_empty_catalogue_is_told_too(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=0)
    await delete_all(live.catalog.container(1))
    [wrong] = await wrong_with(live.products_view)
    assert "python3 dev.py rebuild products" in wrong
    assert await wrong_with(live.orders_view) != [], "customers have a summary, which was not projected here"
    process = Rebuilding(live.read_models, live.products_view)
    await process.start()
    await carried_on(process)
    assert await wrong_with(live.products_view) == []


async def test_a_container_that_is_missing_is_told_and_is_no_document_that_is_missing(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=3)
    path = (await live.orders.container(1).read())["partitionKey"]["paths"][0]
    await live.read_models._database.delete_container("orders")

    told = await status(live)
    assert told.lag is None
    assert "the container that serves is missing" in told.wrong[0]

    await live.read_models._database.create_container("orders", PartitionKey(path))
    await rebuilt(live)
    assert (await status(live)).wrong == []


@pytest.mark.usefixtures("slow_to_settle")
async def test_a_generation_that_lost_events_is_not_rolled_back_to_until_it_has_them(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    await rebuilt(live)
    [lost] = unprojected(live, 1)
    only_the_second = Generations(live.read_models, "elsewhere", container="orders-2")
    live.projection._containers, both = only_the_second.containers_to_write, live.projection._containers
    await live.project(lost)
    live.projection._containers = both
    process = Rebuilding(live.read_models, live.orders_view)

    with pytest.raises(GenerationIncomplete, match="lacks 1 events, and generation 2, which serves, 0"):
        await process.roll_back()

    document = str(lost), str(live.customers[0])
    await live.projection.catch_up(live.orders.container(1), lost, *document, 1)
    await rolled_back(live)
    assert (await live.orders.read()).switch_at is not None


async def test_a_rebuild_counts_no_more_documents_than_there_are(live: LiveShop) -> None:
    await live.open(customers=2, products=2, orders=10)
    source, fill = live.orders_view.source, live.orders_view.source.fill
    seen: list[str | None] = []

    async def and_orders_come_meanwhile(container: ContainerProxy, position: str | None) -> Any:
        if not seen:
            for order_id in unprojected(live, 5):
                await live.project(order_id)
        seen.append(position)
        return await fill(container, position)

    source.fill = and_orders_come_meanwhile  # type: ignore[method-assign]
    latest = await rebuilt(live)
    assert latest.seen == latest.total == len(live.made) + 5 + 2


async def test_differences_are_of_the_generation_that_serves(live: LiveShop) -> None:
    await live.open(customers=2, products=2, orders=20)
    assert (await status(live)).drift is None
    await damage(live, live.made)
    found = await check(live.orders_view, live.read_models, await live.orders_view.source.sample(5))
    told = (await status(live)).drift
    assert told is not None
    assert told.found == len(found) >= len(live.made)

    await rebuilt(live)
    assert (await status(live)).drift is None, "what serves now has not been checked"
    assert await check(live.orders_view, live.read_models, ()) == []
    told = (await status(live)).drift
    assert told is not None
    assert (told.found, told.partitions) == (0, 2)


async def test_all_differences_are_counted_and_healed_however_few_are_listed(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "REPORTED", 1)
    await live.open(customers=3, products=2, orders=20)
    await damage(live, live.made)
    found = await check(live.orders_view, live.read_models, await live.orders_view.source.sample(5))
    told = (await status(live)).drift
    assert told is not None
    assert (told.found, len(told.differences)) == (len(found), 1)

    assert await heal(live.orders_view, live.read_models) == []
    told = (await status(live)).drift
    assert told is not None
    assert (told.found, told.differences) == (0, [])
    assert await check(live.orders_view, live.read_models, await live.orders_view.source.sample(5)) == []


async def damage(live: LiveShop, orders: Sequence[UUID]) -> None:
    container = live.orders.container(1)
    for order_id in orders:
        wrong = [{"op": "set", "path": "/total", "value": -1}]
        await container.patch_item(str(order_id), str(live.owners[order_id]), wrong)


LATER_SHAPE = {"shape": 99}
DAMAGED = {"step": "no such step", "serving": None, "sequence": "x", "differences": 7}


@pytest.mark.parametrize("hurt", [LATER_SHAPE, DAMAGED], ids=["later", "damaged"])
@pytest.mark.parametrize("name", ["rebuild", "drift", "mark-orders", "mark-orders-2"])
async def test_a_control_document_that_cannot_be_read_is_told_and_mended_by_a_rebuild(
    live: LiveShop, name: str, hurt: dict[str, Any]
) -> None:
    await live.open(customers=1, products=2, orders=5)
    await rebuilt(live)
    for generation in (1, 2):
        await move_mark(live.orders_view, live.read_models, generation, FOREVER)
    await check(live.orders_view, live.read_models, await live.orders_view.source.sample(5))
    control = live.read_models.container(CONTROL)
    document = await control.read_item(name, "orders")
    await control.replace_item(name, {**document, **hurt})

    told = await status(live)
    assert told.lag is not None
    assert told.lag.unapplied == 0
    if name == "rebuild":
        assert told.rebuild is None
        assert "python3 dev.py rebuild orders" in told.wrong[0]
        with pytest.raises(UnreadableShape):
            await Rebuilding(live.read_models, live.orders_view).roll_back()
    else:
        assert told.wrong == []

    latest = await rebuilt(live)
    assert latest.generation == 3
    await check(live.orders_view, live.read_models, ())
    await move_mark(live.orders_view, live.read_models, 3, FOREVER)
    after = await status(live)
    assert (after.wrong, after.serving) == ([], 3)
    assert after.rebuild is not None
    assert after.drift is not None


async def test_generations_of_another_release_are_told_and_nothing_else_is_served(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=3)
    await rebuilt(live)
    control = live.read_models.container(CONTROL)
    document = await control.read_item("generations", "orders")
    await control.replace_item("generations", {**document, "shape": 3})
    live.orders._read_at = 0.0
    [wrong] = await wrong_with(live.orders_view)
    assert "Deploy the release that wrote it again" in wrong
    assert "python3 dev.py rebuild orders" in wrong
    assert (await status(live)).serving is None
    with pytest.raises(UnreadableShape):
        await live.orders.served()

    assert (await rebuilt(live)).generation == 3
    assert await wrong_with(live.orders_view) == []
    assert (await status(live)).serving == 3


async def test_documents_of_a_later_release_are_told_refused_and_healed(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=3)
    orders, order_id, customer_id = live.orders.container(1), str(live.made[0]), str(live.customers[0])
    later = SHAPES.today + 1
    await orders.patch_item(order_id, customer_id, [{"op": "set", "path": "/shape", "value": later}])

    [wrong] = await wrong_with(live.orders_view)
    readable = " and ".join(map(str, range(1, later)))
    assert f"An order's document is in shape {later}, and this release reads {readable}." in wrong
    found = await check(live.orders_view, live.read_models, [customer_id])
    assert (order_id, "shape") in {(each.document_id, each.what) for each in found}
    assert await heal(live.orders_view, live.read_models) == []

    assert await wrong_with(live.orders_view) == []
    healed = await point_read(orders, order_id, customer_id)
    assert healed is not None
    assert healed["shape"] == SHAPES.today


async def test_a_rebuild_under_way_leaves_nothing_unapplied(live: LiveShop) -> None:
    """An alarm goes by it."""
    await live.open(customers=1, products=2, orders=5)
    process = Rebuilding(live.read_models, live.orders_view)
    await process.start()
    assert await unapplied(live) == 0
    await carried_on(process)
    assert await unapplied(live) == 0, "the generation that took its place has no mark yet"
    unprojected(live, 1)
    assert await unapplied(live) == 1


async def unapplied(live: LiveShop) -> float:
    """What the watch tells telemetry of the orders."""
    with observing() as observed:
        await watch(live.orders_view, live.read_models, FOREVER)
    [point] = [point for point in observed.points("tandem.view.unapplied") if isinstance(point, NumberDataPoint)]
    return point.value


async def test_the_metrics_of_a_view_turn_and_turn_back(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    orders, customer_id = live.orders.container(1), str(live.customers[0])

    async def told() -> dict[str, float]:
        with observing() as observed:
            await watch(live.orders_view, live.read_models, FOREVER)
        names = ("tandem.view.wrong", "tandem.view.unapplied", "tandem.view.differences")
        return {
            name: point.value
            for name in names
            for point in observed.points(name)
            if isinstance(point, NumberDataPoint) and (point.attributes or {})["tandem.view"] == "orders"
        }

    fine = {"tandem.view.wrong": 0, "tandem.view.unapplied": 0, "tandem.view.differences": 0}
    assert await told() == fine
    [late] = unprojected(live, 1)
    assert await told() == {**fine, "tandem.view.unapplied": 1, "tandem.view.differences": 1}
    await live.projection.catch_up(orders, late, str(late), customer_id, 1)
    assert await told() == fine
    await damage(live, live.made[:2])
    assert await told() == {**fine, "tandem.view.differences": 2}
    await heal(live.orders_view, live.read_models)
    assert await told() == fine
    await delete_all(orders)
    assert (await told())["tandem.view.wrong"] == 1
    await rebuilt(live)
    assert await told() == fine
