"""A view is rebuilt while it serves: nobody notices, nothing is missing, and there is a way back."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import stamina
from azure.core.exceptions import ResourceNotFoundError
from azure.cosmos.aio import ContainerProxy

from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.domain.stock import stock_of
from shared.catalog.views.product_details import partition_key_of
from shared.catalog.views.product_lists import LISTS, ProductListEntries
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations import rebuilding
from shared.frame.operations.errors import NoOtherGeneration, NoRebuildUnderWay, RebuildUnderWay, SwitchUnderWay
from shared.frame.operations.rebuilding import Rebuild, Rebuilding, Step
from shared.frame.read_side import filling, generations, log_source
from shared.frame.read_side.generations import Generations, State
from shared.frame.read_side.read_your_writes import point_read
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.views.customer_summary import SUMMARY
from tests.integration.operations.conftest import LiveShop
from tests.support.agreement import assert_everything_agrees

FOREVER = 2.0**40


async def documents(container: ContainerProxy) -> dict[str, dict[str, Any]]:
    """Everything in a container, by partition and id."""
    found = container.query_items_change_feed(start_time="Beginning")
    return {f"{each.get('customerId', each.get('view'))}/{each['id']}": each async for each in found}


class Reader:
    """Somebody who reads orders through a process of his own, and never wants to see an order go back or vanish.

    All readers share what they have seen: who reads next must see at least as much.
    """

    def __init__(self, live: LiveShop, seen: dict[str, int], wrong: list[str]) -> None:
        self.orders = Generations(live.read_models, "orders", container="orders")
        self.live, self.seen, self.wrong, self.reads = live, seen, wrong, 0
        self.generations: set[int] = set()

    async def read(self) -> None:
        """Look at an order."""
        order_id, customer_id = self.live.chance.choice(list(self.live.owners.items()))
        at_least = self.seen.get(str(order_id), 0)
        container, generation = await self.orders.served()
        document = await point_read(container, str(order_id), str(customer_id))
        version = document["version"] if document else 0
        if version < at_least:
            self.wrong.append(f"{order_id}: {at_least}, then {version} in generation {generation}")
        self.seen[str(order_id)] = max(version, self.seen.get(str(order_id), 0))
        self.reads += 1
        self.generations.add(generation)


async def until_done(work: Awaitable[object], *beside: Callable[[], Awaitable[None]]) -> None:
    """Do other things again and again while something is done."""
    done = asyncio.Event()

    async def repeat(act: Callable[[], Awaitable[None]]) -> None:
        while not done.is_set():
            await act()

    async with asyncio.TaskGroup() as group:
        for act in beside:
            group.create_task(repeat(act))
        try:
            await work
        finally:
            done.set()


async def carried_on(process: Rebuilding) -> None:
    """Carry a rebuild on to its end; again, as the timer does, if the store was too slow to schedule the switch."""
    async for attempt in stamina.retry_context(on=TimeoutError, attempts=10, wait_initial=0.05):
        with attempt:
            await process.advance(FOREVER)


async def rolled_back(live: LiveShop, *, even_if_incomplete: bool = False) -> float:
    """Roll the orders back, and tell when; a store that was too slow may have scheduled it all the same."""
    process = Rebuilding(live.read_models, live.orders_view)
    try:
        return await process.roll_back(even_if_incomplete=even_if_incomplete)
    except TimeoutError:
        scheduled = (await live.orders.read()).switch_at
        return scheduled or await rolled_back(live, even_if_incomplete=even_if_incomplete)


async def rebuilt(live: LiveShop) -> Rebuild:
    """Rebuild the orders, and tell of it."""
    process = Rebuilding(live.read_models, live.orders_view)
    await process.start()
    await carried_on(process)
    latest = await process.latest()
    assert latest is not None
    assert latest.step is Step.DONE
    return latest


@pytest.mark.parametrize("written", [False, True])
async def test_a_store_that_is_slow_for_a_moment_fails_no_test_of_these(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    await live.open(customers=1, products=2, orders=5)
    replaced, slow = ContainerProxy.replace_item, [True]

    async def late(self: ContainerProxy, item: str, body: dict[str, Any], **options: Any) -> Any:
        is_late = body.get("switchAt") and slow
        if is_late and written:
            await replaced(self, item, body, **options)
        if is_late:
            slow.pop()
            await asyncio.sleep(generations.AGREED_WITHIN + 0.1)
        return await replaced(self, item, body, **options)

    monkeypatch.setattr(ContainerProxy, "replace_item", late)
    await rebuilt(live)
    assert slow == []
    slow.append(True)
    await asyncio.sleep(await rolled_back(live) - time.time() + 0.2)
    assert slow == []
    assert (await live.orders.served()).generation == 1


async def test_live_events_and_readers_go_on_while_orders_are_rebuilt_and_rolled_back(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("TRUST", "QUIET_BEFORE"):
        monkeypatch.setattr(generations, patience, 1.0)  # readers that a busy machine keeps waiting fail after that
    await live.open(customers=5, products=6, orders=60)
    seen: dict[str, int] = {}
    wrong: list[str] = []
    readers = [Reader(live, seen, wrong) for _ in range(3)]

    async def there_and_back() -> None:
        await rebuilt(live)
        at = await rolled_back(live)
        await asyncio.sleep(at - time.time() + 0.5)

    await until_done(there_and_back(), live.act, *(reader.read for reader in readers))

    assert wrong == []
    assert all(reader.generations == {1, 2} and reader.reads > 50 for reader in readers)
    assert await live.orders.read() == State(1, 2, None, (await live.orders.read()).etag)
    products = (await live.catalog.served()).container
    for generation in (1, 2):
        await assert_everything_agrees(live.shop, live.orders.container(generation), products)


async def test_each_document_is_written_once_and_is_what_it_was(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_source, "PAGE", 7)  # customers' orders are spread over several pages
    await live.open(customers=4, products=6, orders=60)
    requests: list[str] = []
    batch = ContainerProxy.execute_item_batch

    async def noting(self: ContainerProxy, operations: list[Any], partition_key: str, **options: Any) -> Any:
        requests.extend(f"{verb} {partition_key}/{_id(values)}" for verb, values, _ in operations)
        return await batch(self, operations, partition_key, **options)

    monkeypatch.setattr(ContainerProxy, "execute_item_batch", noting)
    latest = await rebuilt(live)
    monkeypatch.setattr(ContainerProxy, "execute_item_batch", batch)

    before, after = [await documents(live.orders.container(generation)) for generation in (1, 2)]
    assert len(before) == latest.total == latest.seen == latest.written
    creates = [request for request in requests if request.startswith("create")]
    assert len(creates) == len(set(creates)) == len(before)
    own = {"projected", "renames", "_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"}
    for name, document in before.items():
        assert {key: value for key, value in after[name].items() if key not in own} == {
            key: value for key, value in document.items() if key not in own
        }
        assert len(after[name].get("projected", ())) == len(document.get("projected", ()))


@contextmanager
def counting_takes_too_long() -> Iterator[None]:
    """Let the database give up each count, as Azure SQL does after STATEMENT_TIMEOUT."""

    def give_up(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count("):
            raise sa.exc.OperationalError(statement, {}, Exception("HYT00", "[HYT00] Query timeout expired (0)"))

    sa.event.listen(sa.Engine, "before_cursor_execute", give_up)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", give_up)


@pytest.mark.parametrize("view", ["orders", "products", "related"])
async def test_documents_that_take_too_long_to_count_are_filled_all_the_same(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    monkeypatch.setattr(log_source, "PAGE", 1)
    await live.open(customers=2, products=2, orders=0)
    order_id = live.shop.order(*live.products)
    live.shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    live.shop.follow_order(order_id)
    chosen = {"orders": live.orders_view, "products": live.products_view, "related": live.related_view}[view]
    process, told = Rebuilding(live.read_models, chosen), list[tuple[Step, int, int]]()
    write = process._write

    async def noting(rebuild: Rebuild) -> Rebuild:
        told.append((rebuild.step, rebuild.seen, rebuild.total))
        return await write(rebuild)

    monkeypatch.setattr(process, "_write", noting)
    await process.start()
    with counting_takes_too_long():
        await carried_on(process)
    filling = [(seen, total) for step, seen, total in told if step is Step.FILLING]
    assert [total for _, total in filling] == [0] * len(filling), "nobody knows how many there will be"
    all_of_them, _ = filling[-1]
    assert all_of_them >= 2
    assert told[-1] == (Step.DONE, all_of_them, all_of_them)


def _id(values: tuple[Any, ...]) -> str:
    return str(values[0] if isinstance(values[0], str) else values[0]["id"])


async def test_products_are_rebuilt_too(live: LiveShop) -> None:
    await live.open(customers=1, products=20, orders=5)
    process = Rebuilding(live.read_models, live.products_view)
    await process.start()
    await carried_on(process)
    latest = await process.latest()
    assert latest is not None
    assert (latest.step, latest.written, latest.total) == (Step.DONE, 20, 20)
    await assert_everything_agrees(live.shop, live.orders.container(1), live.catalog.container(2))


@pytest.mark.parametrize("view", ["orders", "products"])
async def test_what_an_idle_process_wrote_to_the_old_generation_alone_is_in_the_new_one_too(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    """The other process heard of the new generation first, and wrote the event before: so the document is there."""
    await live.open(customers=1, products=2, orders=3)
    order_id, product_id = live.made[0], live.products[0]
    heard_last = time.time()
    idle = LiveShop(live.shop, live.read_models, random.Random(7), clock=lambda: heard_last)
    for each in (idle.orders, idle.catalog):
        await each.containers_to_write()
    process = Rebuilding(live.read_models, live.orders_view if view == "orders" else live.products_view)
    wait = process._wait

    async def waiting(until: float) -> None:
        await wait(until)
        latest = await process.latest()
        if latest is not None and latest.step is Step.JOINING:
            for number, writer in enumerate((live, idle)):
                more = AddItem(order_id=order_id, product_id=product_id, quantity=1)
                live.shop.ordering.run(add_item, more, Metadata())
                await writer.project(order_id)
                rename = RenameProduct(product_id=product_id, name=f"renamed {number}")
                live.shop.catalog.run(rename_product, rename, Metadata())
                await writer.project_product(product_id)

    monkeypatch.setattr(process, "_wait", waiting)
    await process.start()
    await carried_on(process)

    orders, products = (await live.orders.served()).container, (await live.catalog.served()).container
    assert (orders.id, products.id).count("orders-2" if view == "orders" else "catalog-2") == 1
    await assert_everything_agrees(live.shop, orders, products)


async def test_what_is_sold_before_filling_has_come_to_a_product_is_shown_and_listed_in_both_generations(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.open(customers=0, products=1, orders=0)
    [product_id] = live.products
    process = Rebuilding(live.read_models, live.products_view)
    wait, shown = process._wait, list[tuple[str, ...]]()

    async def receiving(until: float) -> None:
        await wait(until)
        latest = await process.latest()
        if latest is not None and latest.step is Step.JOINING:
            live.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=3), Metadata())
            await live.project_product(stock_of(product_id))
            shown.extend([await ids_of(live.catalog.container(generation), product_id) for generation in (1, 2)])

    monkeypatch.setattr(process, "_wait", receiving)
    await process.start()
    await carried_on(process)

    product, stock = str(product_id), str(stock_of(product_id))
    assert shown == [(product, stock), (stock,)]
    for generation in (1, 2):
        container = live.catalog.container(generation)
        assert await ids_of(container, product_id) == (product, stock)
        assert (await container.read_item(product, LISTS))["item"]["stock"]["onHand"] == 3


async def ids_of(products: ContainerProxy, product_id: UUID) -> tuple[str, ...]:
    """Of the product, then of its stock."""
    ids = (str(product_id), str(stock_of(product_id)))
    return tuple([id_ for id_ in ids if await point_read(products, id_, partition_key_of(product_id))])


async def test_a_container_that_is_not_there_is_not_filled_for_ever(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=1)
    async with asyncio.timeout(20):
        with pytest.raises(ResourceNotFoundError):
            await live.orders_view.source.fill(live.read_models.container("nowhere"), None)


async def test_a_container_that_is_not_there_is_not_taken_for_a_product_that_is_not_there(live: LiveShop) -> None:
    with pytest.raises(ResourceNotFoundError):
        await ProductListEntries().write(live.read_models.container("nowhere"), partition_key_of(uuid4()))


@pytest.mark.parametrize("step", [Step.CLEARING, Step.JOINING, Step.FILLING, Step.SWITCHING])
async def test_a_rebuild_goes_on_where_its_process_died(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    monkeypatch.setattr(log_source, "PAGE", 10)
    await live.open(customers=3, products=3, orders=50)
    await live.orders.container(2).create_item({"id": "left", "customerId": "over"})  # of a generation long ago
    process = Rebuilding(live.read_models, live.orders_view)
    record, about_to = process._write, asyncio.Event()

    async def die_before_it_is_recorded(rebuild: Rebuild) -> Rebuild:
        """What the step does has been done: at least a page of the filling, or all of another step."""
        before = await process.latest()
        assert before is not None
        done = before.seen if step is Step.FILLING else rebuild.step != step
        if before.step is step and done:
            about_to.set()
            await asyncio.Event().wait()
        return await record(rebuild)

    await process.start()
    monkeypatch.setattr(process, "_write", die_before_it_is_recorded)
    dying = asyncio.create_task(process.advance(FOREVER))
    async with asyncio.timeout(60):
        while not (about_to.is_set() or dying.done()):
            await live.act()
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying

    left = await process.latest()
    assert left is not None
    assert left.step is step
    lease = left.leased_until
    too_early = Rebuilding(live.read_models, live.orders_view, clock=lambda: lease - 0.1)
    await carried_on(too_early)
    assert await too_early.latest() == left

    another = Rebuilding(live.read_models, live.orders_view)
    while time.time() < lease:
        await live.act()
    await carried_on(another)

    latest = await another.latest()
    assert latest is not None
    assert latest.step is Step.DONE
    assert await point_read(live.orders.container(2), "left", "over") is None
    await live.act()
    await assert_everything_agrees(live.shop, live.orders.container(2), (await live.catalog.served()).container)


async def test_who_fills_again_what_is_there_changes_nothing(live: LiveShop) -> None:
    await live.open(customers=3, products=3, orders=40)
    await rebuilt(live)
    before = await documents(live.orders.container(2))
    position = None
    for _ in range(10):
        filled = await live.orders_view.source.fill(live.orders.container(2), position)
        assert (filled.written, filled.events) == (0, 0)
        position = filled.position
    assert position is None
    assert await documents(live.orders.container(2)) == before


async def test_two_who_carry_a_rebuild_on_at_once_get_to_one_end(live: LiveShop) -> None:
    # measured on the real host: runs by hand overlap each other and the scheduled one
    await live.open(customers=3, products=3, orders=30)
    one, other = (Rebuilding(live.read_models, live.orders_view) for _ in range(2))
    await one.start()
    await asyncio.gather(carried_on(one), carried_on(other))
    latest = await one.latest()
    assert latest is not None
    assert latest.step is Step.DONE
    await assert_everything_agrees(live.shop, live.orders.container(2), (await live.catalog.served()).container)


async def test_a_customer_with_more_orders_than_a_batch_holds_is_filled_in_several(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_DOCUMENTS", 4)
    monkeypatch.setattr(log_source, "PAGE", 11)
    await live.open(customers=1, products=3, orders=60)
    latest = await rebuilt(live)
    assert latest.written == latest.total == len(live.made) + 1
    await assert_everything_agrees(live.shop, live.orders.container(2), (await live.catalog.served()).container)


async def test_rebuilding_again_after_a_roll_back_takes_a_number_that_no_etag_has_had(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    assert (await rebuilt(live)).generation == 2
    await asyncio.sleep(await rolled_back(live) - time.time() + 0.2)
    assert (await live.orders.read()).serving == 1
    assert (await rebuilt(live)).generation == 4
    assert (await rebuilt(live)).generation == 5
    assert (await live.orders.served()).container.id == "orders"


async def test_what_is_not_possible_is_refused(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=3)
    process = Rebuilding(live.read_models, live.orders_view)
    impossible: Callable[[], Awaitable[object]]
    for impossible in (process.roll_back, process.retire):
        with pytest.raises(NoOtherGeneration):
            await impossible()
    with pytest.raises(NoRebuildUnderWay):
        await process.cancel()

    await process.start()
    for impossible in (process.start, process.roll_back, process.retire):
        with pytest.raises(RebuildUnderWay):
            await impossible()
    await process.cancel()
    assert (await live.orders.read()).standby is None

    await rebuilt(live)
    await rolled_back(live)
    for impossible in (process.start, process.roll_back, process.retire):
        with pytest.raises(SwitchUnderWay):
            await impossible()


async def test_a_generation_that_was_retired_is_left_as_it_is_and_emptied_by_the_next_rebuild(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=5)
    await rebuilt(live)
    process = Rebuilding(live.read_models, live.orders_view)
    await process.retire()
    await asyncio.sleep(rebuilding.PROPAGATION_DELAY)
    before = await documents(live.orders.container(1))
    order_id = live.shop.order(live.products[0], customer_id=live.customers[0])
    await live.project(order_id)
    assert await documents(live.orders.container(1)) == before
    assert await point_read(live.orders.container(2), str(order_id), str(live.customers[0]))

    assert (await rebuilt(live)).generation == 3
    after = await documents(live.orders.container(1))
    assert f"{live.customers[0]}/{order_id}" in after
    assert f"{live.customers[0]}/{SUMMARY}" in after
