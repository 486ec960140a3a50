"""A handler names what it decides on: repositories, or the unit of work. Events that it follows lead to events."""

import asyncio
import time
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import override
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.commands.rename_product import RenameProduct
from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.repository import Products
from shared.catalog.tables import LOG as CATALOG
from shared.customers.events import CustomerEvent, CustomerRegisteredV1
from shared.customers.tables import LOG as CUSTOMERS
from shared.frame.messaging.envelope import Accepted, Metadata, Recorded
from shared.frame.messaging.retries import with_retries
from shared.frame.write_side.aggregate_queues import AggregateQueues, Turn
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.unit_of_work import CONNECTING, LONGEST_IN_LINE, LostRace, UnitOfWork
from shared.ordering.repository import Orders
from shared.ordering.tables import INBOX, ORDERS
from shared.ordering.tables import LOG as ORDERING
from tests.support.commands import keyed
from tests.support.shop import Shop, rows


def swapping(one: UUID, other: UUID) -> RenameProduct:
    return RenameProduct(product_id=one, name=str(other))


def swap(command: RenameProduct, products: Products, others: Products) -> Accepted:
    """Name two products after each other."""
    one, other = products.load(command.product_id), others.load(UUID(command.name))
    one.rename(str(other.product_id))
    other.rename(str(one.product_id))
    accepted = products.save(one)
    others.save(other)
    return accepted


def test_a_command_may_change_several_aggregates_and_answers_for_the_first(shop: Shop) -> None:
    one, other = shop.product(), shop.product()
    command = swapping(one, other)
    assert shop.catalog.run(swap, command, keyed("k")) == Accepted(one, 2)
    assert shop.catalog.run(swap, command, keyed("k")) == Accepted(one, 2, replayed=True)
    with shop.catalog_engine.connect() as connection:
        assert [CATALOG.version(connection, each) for each in (one, other)] == [2, 2]


def test_all_of_it_is_refused_or_none(shop: Shop) -> None:
    one = shop.product()
    with pytest.raises(ProductNotFound):
        shop.catalog.run(swap, swapping(one, uuid4()), Metadata())
    with shop.catalog_engine.connect() as connection:
        assert CATALOG.version(connection, one) == 1


def test_several_aggregates_of_one_kind_are_written_by_the_same_batch_as_one(shop: Shop) -> None:
    products = [shop.product() for _ in range(3)]
    plans = []
    for some in (products[:1], products):
        with UnitOfWork(shop.catalog_engine) as work:
            repository = Products(work, Metadata())
            for product_id in some:
                product = repository.load(product_id)
                product.rename("Sencha")
                repository.save(product)
            plans.append(work.plan)
            work.commit()
    assert plans[0] == plans[1]


def test_a_unit_of_work_stands_in_line_once_so_that_no_two_wait_for_each_other() -> None:
    queues, one, other = AggregateQueues(), uuid4(), uuid4()
    engine = sa.create_engine("sqlite://")  # nothing is read
    with UnitOfWork(engine, queues=queues) as first:
        first.stand_in_line(other, one)
        first.stand_in_line(uuid4())
        assert queues.stand(one, 0) is None
        assert queues.stand(other, 0) is None
    assert queues.stand(one, 0)
    assert queues.stand(other, 0)


class NotedQueues(AggregateQueues):
    """Queues that note who stood where."""

    def __init__(self) -> None:
        super().__init__()
        self.stood: list[Hashable] = []

    @override
    def stand(self, key: Hashable, seconds: float) -> Turn | None:
        self.stood.append(key)
        return super().stand(key, seconds)


def test_all_stand_in_line_for_several_things_in_the_same_order() -> None:
    """Two that want the same two would else each hold the place that the other waits for."""
    low, high = sorted((uuid4(), uuid4()))
    engine = sa.create_engine("sqlite://")  # nothing is read
    for wanted in ((low, high), (high, low, high)):
        queues = NotedQueues()
        with UnitOfWork(engine, queues=queues) as work:
            work.stand_in_line(*wanted)
        assert queues.stood == [low, high]


def test_who_stands_in_line_leaves_time_to_write_and_without_a_deadline_waits_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queues, wanted = AggregateQueues(), uuid4()
    engine = sa.create_engine("sqlite://")  # nothing is read
    served = queues.stand(wanted, 0)
    assert served is not None
    hurried = time.monotonic() + CONNECTING + 0.05
    with UnitOfWork(engine, hurried, queues=queues) as work, pytest.raises(LostRace):
        work.stand_in_line(wanted)
    assert time.monotonic() < hurried

    def wait() -> None:
        with UnitOfWork(engine, queues=queues) as work:
            work.stand_in_line(wanted)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        served.leave()
        waiting.result(10)

    assert LONGEST_IN_LINE == 60
    monkeypatch.setattr("shared.frame.write_side.unit_of_work.LONGEST_IN_LINE", 0.05)
    assert queues.stand(wanted, 0) is not None
    with ThreadPoolExecutor(1) as pool, pytest.raises(TimeoutError, match="others have worked"):
        pool.submit(wait).result(10)


def cancel_all(recorded: Recorded[CustomerEvent], orders: Orders, work: UnitOfWork) -> None:
    """Cancel a customer's orders, as if registering did that."""
    for row in work.read(ORDERS.select(), {}):
        if row.customer_id == recorded.event.customer_id:
            order = orders.load(row.order_id)
            order.cancel("followed")
            orders.save(order)


def registered(shop: Shop, customer_id: UUID) -> Recorded[CustomerEvent]:
    with shop.customers_engine.connect() as connection:
        [recorded] = CUSTOMERS.history(connection, customer_id)
    assert isinstance(recorded.event, CustomerRegisteredV1)
    return recorded


def forget(shop: Shop) -> None:
    """Let the inbox know of no event, as before the first delivery."""
    with shop.ordering_engine.begin() as connection:
        connection.execute(INBOX.table.delete())


def test_what_an_event_leads_to_names_it_as_its_cause_and_happens_once(shop: Shop) -> None:
    customer_id = shop.customer()
    order_id = shop.order(shop.product(), customer_id=customer_id)
    forget(shop)
    recorded = registered(shop, customer_id)
    before = shop.commits.count
    for _ in range(2):
        shop.ordering.follow(INBOX, cancel_all, recorded)
    with shop.ordering_engine.connect() as connection:
        _, cancelled = ORDERING.history(connection, order_id)
    assert cancelled.envelope.causation_id == str(recorded.envelope.event_id)
    assert cancelled.envelope.correlation_id == recorded.envelope.correlation_id
    assert shop.commits.count > before
    assert len(rows(shop.ordering_engine, INBOX.table)) == 1


def test_a_follower_that_lost_a_race_decides_again(shop: Shop) -> None:
    customer_id = shop.customer()
    order_id = shop.order(shop.product(), customer_id=customer_id)
    forget(shop)
    tries = 0

    def overtaken_once(recorded: Recorded[CustomerEvent], orders: Orders, work: UnitOfWork) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LostRace
        cancel_all(recorded, orders, work)

    shop.ordering.follow(INBOX, overtaken_once, registered(shop, customer_id))
    with shop.ordering_engine.connect() as connection:
        assert ORDERING.version(connection, order_id) == 2


async def test_a_delivery_that_never_got_its_turn_waits_for_it_and_is_no_failed_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in front wait for a silent database; ten deliveries of a minute each would make a dead letter."""
    customer_id = shop.customer()
    order_id = shop.order(shop.product(), customer_id=customer_id)
    forget(shop)
    recorded, queues = registered(shop, customer_id), NotedQueues()
    ordering = WriteSide(shop.ordering_engine, ORDERING, committed=lambda: None, queues=queues)
    monkeypatch.setattr("shared.frame.write_side.unit_of_work.LONGEST_IN_LINE", 0.01)
    monkeypatch.setattr("shared.frame.write_side.commands.DEADLINE", 0.005)
    served = queues.stand(order_id, 0)
    assert served is not None

    async def consume() -> None:
        if len(queues.stood) == 2:
            served.leave()
        await asyncio.to_thread(ordering.follow, INBOX, cancel_all, recorded)

    await with_retries(consume)
    assert queues.stood == [order_id] * 3
    with shop.ordering_engine.connect() as connection:
        assert ORDERING.version(connection, order_id) == 2
