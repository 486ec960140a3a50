"""What an order was, from snapshots: the same as from its whole log, at a cost that does not grow with its age."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side import past
from shared.frame.read_side.past import EVERY, PAGE, StillFolding
from shared.frame.sql.engines import sql_engine
from shared.frame.write_side import aggregate_streams
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.domain.order import LINES_PER_EVENT
from shared.ordering.events import OrderCreatedV1, OrderEvent, OrderItemRemovedV1, OrderItemsAddedV1
from shared.ordering.tables import LOG, ORDERS, SNAPSHOTS
from shared.ordering.views import order_history
from shared.ordering.views.order_details import ReadOrder, rendered
from shared.ordering.views.order_documents import CustomerPartitions, document_of
from shared.ordering.views.order_history import PAST, ReadHistory, read_entries, read_order_of_the_past
from tests.support.database import needs_sqlite
from tests.support.shop import Shop, rows

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Old:
    """An order that has been changed again and again, once a minute."""

    def __init__(self, shop: Shop, versions: int, lines: int = 1) -> None:
        self.engine = shop.ordering_engine
        self.customer_id = shop.customer()
        self.id = shop.order(*(shop.product() for _ in range(lines)), customer_id=self.customer_id)
        with self.engine.begin() as connection:
            created = LOG.history(connection, self.id)[0].event
            connection.execute(sa.update(LOG.table).values(occurred_at=BEGIN))
        assert isinstance(created, OrderCreatedV1)
        currency, line = created.currency, created.lines[0]
        assert currency is not None
        removed = OrderItemRemovedV1(self.id, self.customer_id, currency, line.product_id, created.total)
        added = OrderItemsAddedV1(self.id, self.customer_id, currency, (line,), created.total)
        self._steps: list[OrderEvent] = [added, removed]
        self.version = (lines + LINES_PER_EVENT - 1) // LINES_PER_EVENT
        while self.version < versions:
            self.change(BEGIN + timedelta(minutes=self.version))

    def change(self, at: datetime, times: int = 1) -> None:
        """Remove its first line, or add it again."""
        with UnitOfWork(self.engine) as work:
            for _ in range(times):
                LOG.append(work, self.id, self.version, [self._steps[self.version % 2]], Metadata(at=at))
                self.version += 1
            work.commit()

    def was(self, version: int | None = None, at: datetime | None = None) -> Any:
        """What is answered."""
        query = ReadOrder(order_id=self.id, customer_id=self.customer_id, as_of_version=version, as_of=at)
        return read_order_of_the_past(self.engine, self.engine, query)

    def folded(self, version: int) -> Any:
        """What the whole log says."""
        with self.engine.connect() as connection:
            return rendered(document_of(LOG.history(connection, self.id, until=version)))

    def snapshots(self) -> Sequence[dict[str, Any]]:
        """Those that are kept."""
        return rows(self.engine, SNAPSHOTS)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Note how many events are read at once."""
    read: list[int] = []
    real = EventLog.entries

    def entries(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        read.append(len(found))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "entries", entries)
        yield read


def test_every_version_is_what_the_whole_log_makes_it_with_and_without_snapshots(shop: Shop) -> None:
    order = Old(shop, 2 * EVERY + 10)
    versions = [1, 2, EVERY - 1, EVERY, EVERY + 1, 2 * EVERY, 2 * EVERY + 9, 2 * EVERY + 10]
    for version in versions:
        assert order.was(version) == order.folded(version)
    kept = order.snapshots()
    assert [row["aggregate_version"] for row in kept] == [EVERY, 2 * EVERY]
    for version in reversed(versions):
        assert order.was(version) == order.folded(version)
    assert order.snapshots() == kept


def test_the_cost_of_a_read_does_not_grow_with_the_order(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Old(shop, 3 * PAGE)
    order.was(3 * PAGE)
    for version in (3 * PAGE, 2 * PAGE + 99, 77):
        with counted(monkeypatch) as read:
            order.was(version)
        assert sum(read) <= 1 + EVERY


def test_a_time_is_found_from_a_snapshot_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Old(shop, 3 * EVERY)
    order.was(3 * EVERY)
    for version in (3, EVERY, EVERY + 1, 2 * EVERY + 50, 3 * EVERY):
        at = BEGIN + timedelta(minutes=version - 0.5)
        with counted(monkeypatch) as read:
            assert order.was(at=at).version == version
        assert sum(read) <= 1 + 3 * EVERY
        assert order.was(2, at).version == 2
        assert order.was(3 * EVERY, at).version == version


def test_an_event_that_is_later_ends_it_wherever_the_snapshots_are(shop: Shop) -> None:
    order = Old(shop, 2 * EVERY)
    late = BEGIN + timedelta(days=1)
    order.change(late)
    order.change(BEGIN, times=2 * EVERY - 1)
    assert order.was(4 * EVERY).version == 4 * EVERY
    assert [row["aggregate_version"] for row in order.snapshots()] == [100, 200, 300, 400]
    assert order.was(at=late - timedelta(minutes=1)).version == 2 * EVERY
    assert order.was(at=late).version == 4 * EVERY


def test_a_snapshot_of_another_shape_is_not_read(shop: Shop) -> None:
    order = Old(shop, 2 * EVERY)
    order.was(2 * EVERY)
    with order.engine.begin() as connection:
        connection.execute(sa.update(SNAPSHOTS).values(shape=PAST._shape - 1, document="{}"))
    assert order.was(2 * EVERY) == order.folded(2 * EVERY)
    assert len(order.snapshots()) == 4


def test_snapshots_may_be_deleted_at_any_time(shop: Shop) -> None:
    order = Old(shop, 2 * EVERY)
    order.was(2 * EVERY)
    with order.engine.begin() as connection:
        connection.execute(sa.delete(SNAPSHOTS))
    assert order.was(EVERY + 1) == order.folded(EVERY + 1)


def test_all_snapshots_together_are_no_longer_than_the_log(shop: Shop) -> None:
    order = Old(shop, 6 * EVERY, lines=200)
    order.was(6 * EVERY)
    with order.engine.connect() as connection:
        log = sum(len(recorded.envelope.payload) for recorded in LOG.history(connection, order.id))
    kept = order.snapshots()
    assert kept
    assert sum(len(row["document"]) for row in kept) <= log
    assert order.was(6 * EVERY - 1) == order.folded(6 * EVERY - 1)


@needs_sqlite("on a server the rights of the identity say so, which infra/sql/access.py grants in Azure")
def test_a_read_that_may_not_write_answers_all_the_same(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    order = Old(shop, 2 * EVERY)
    reader = sql_engine(shop.url, "ordering", writes=False)
    query = ReadOrder(order_id=order.id, customer_id=order.customer_id, as_of_version=2 * EVERY)
    try:
        assert read_order_of_the_past(reader, reader, query) == order.folded(2 * EVERY)
    finally:
        reader.dispose()
    assert "were not kept" in caplog.text
    assert not order.snapshots()


def test_what_cannot_be_folded_in_time_is_begun_and_the_next_read_gets_further(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Old(shop, 3 * PAGE)
    monkeypatch.setattr(order_history, "FOLDING", 1_000.0)
    begin, pages = time.monotonic(), 0

    class Clock:
        @staticmethod
        def monotonic() -> float:
            nonlocal pages
            pages += 1
            return begin + 600 * pages  # a page takes ten minutes

    monkeypatch.setattr(past, "time", Clock)
    reads = 0
    while True:
        reads, pages = reads + 1, 0
        try:
            assert order.was(3 * PAGE) == order.folded(3 * PAGE)
        except StillFolding:
            continue
        break
    assert reads == 3


def test_who_asks_for_another_customers_order_or_a_version_to_come_has_nothing_folded(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Old(shop, 2 * EVERY)
    others = ReadOrder(order_id=order.id, customer_id=UUID(int=1), as_of_version=2 * EVERY)
    with counted(monkeypatch) as read:
        with pytest.raises(Exception, match="has no order"):
            read_order_of_the_past(order.engine, order.engine, others)
        with pytest.raises(Exception, match=f"is at version {2 * EVERY}"):
            order.was(10**9)
    assert read == [1, 1]


def test_filling_folds_no_more_at_once_than_so_many_events(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    customer_id, product_id = shop.customer(), shop.product()
    ids = {shop.order(product_id, customer_id=customer_id) for _ in range(5)}
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ORDERS).values(version=9))
    monkeypatch.setattr(aggregate_streams, "EVENTS", 20)
    seen: list[UUID] = []
    pages = []
    position: str | None = f"{customer_id}/{UUID(int=0)}"
    while True:
        with shop.ordering_engine.connect() as connection:
            found, position = CustomerPartitions().next(connection, position, 100)
        if not found:
            break
        [customer] = found
        pages.append(len(customer.histories))
        seen += [history[0].envelope.aggregate_id for history in customer.histories]
    assert pages == [2, 2, 1]
    assert set(seen) == ids
    monkeypatch.setattr(aggregate_streams, "EVENTS", 1)
    with shop.ordering_engine.connect() as connection:
        [one], _ = CustomerPartitions().next(connection, f"{customer_id}/{UUID(int=0)}", 100)
    assert len(one.histories) == 1, "or it would never get on"


def test_a_page_of_history_reads_what_is_on_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Old(shop, PAGE)
    with counted(monkeypatch) as read:
        customer_id, page, version = read_entries(
            order.engine, ReadHistory(order_id=order.id, after_version=PAGE - 5, take=1)
        )
    assert (customer_id, version) == (order.customer_id, PAGE)
    assert [entry.recorded.envelope.version for entry in page] == [PAGE - 4]
    assert read == [1, 1]
    beyond = read_entries(order.engine, ReadHistory(order_id=order.id, after_version=2**52, take=1_000))
    assert beyond == (order.customer_id, [], PAGE)
