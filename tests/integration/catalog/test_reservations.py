"""What is ordered is reserved, in whatever order the news comes; what an order needs no more is for others."""

from dataclasses import replace
from itertools import count, permutations
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.domain.errors import TooManyWaitAgain
from shared.catalog.domain.stock import Stock, stock_of
from shared.catalog.event_handlers.follow_orders import follow_order
from shared.catalog.jobs.serve_waiting_orders import SERVABLE, WORKS_FOR
from shared.catalog.order_statuses import OrderStatuses
from shared.catalog.repository import Stocks
from shared.catalog.tables import INBOX, ORDERS, STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.events import OrderStatus, OrderSubmittedV1, OrderSubmittedV2
from shared.ordering.tables import CODEC, LOG, ORDER_LINES
from tests.support.commands import database_away, told_in_one_line
from tests.support.database import needs_sqlite
from tests.support.jobs import job
from tests.support.reserving import confirmed, kept, pieces, receive, sold_out, submitted
from tests.support.shop import Shop, rows


def test_what_is_kept_is_reserved_once_and_the_rest_waits_until_it_comes(shop: Shop) -> None:
    tea, cup, unkept = kept(shop, 2), kept(shop, 5), shop.product()
    order_id = submitted(shop, tea, cup, unkept, quantity=3)
    for _ in range(2):
        shop.follow_order(order_id)
    assert sorted(map(str, pieces(shop, order_id))) == ["(2, 1, 0)", "(3, 0, 0)"]
    receive(shop, tea, 1)
    assert pieces(shop, order_id) == [(3, 0, 0), (3, 0, 0)]
    shop.follow_stock(tea)
    shop.follow_stock(cup)
    lines = {row["product_id"]: (row["reserved"], row["waiting"]) for row in rows(shop.ordering_engine, ORDER_LINES)}
    assert lines == {tea: (3, 0), cup: (3, 0), unkept: (0, 0)}


@pytest.mark.parametrize("news", list(permutations(range(4))), ids=str)
def test_the_news_of_an_order_may_come_in_any_order_and_a_cancelled_one_holds_nothing(
    news: tuple[int, ...], shop: Shop
) -> None:
    product_id = kept(shop, 3)
    order_id = confirmed(shop, product_id, quantity=2)
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
    with shop.ordering_engine.connect() as connection:
        history = LOG.history(connection, order_id)
    for place in news:
        shop.catalog.follow(INBOX, follow_order, history[place])
    [stock] = rows(shop.catalog_engine, STOCK)
    assert (stock["on_hand"], stock["reserved"], stock["waiting"]) == (3, 0, 0)


@pytest.mark.parametrize("news", list(permutations(range(3))), ids=str)
def test_the_pieces_of_a_completed_order_leave_in_whatever_order_its_news_comes(
    news: tuple[int, ...], shop: Shop
) -> None:
    """They were sold twice where the completion came before the submission."""
    product_id = kept(shop, 3)
    order_id = confirmed(shop, product_id, quantity=2)
    shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata())
    with shop.ordering_engine.connect() as connection:
        history = LOG.history(connection, order_id)[1:]
    for place in news:
        shop.catalog.follow(INBOX, follow_order, history[place])
    [stock] = rows(shop.catalog_engine, STOCK)
    assert (stock["on_hand"], stock["reserved"], stock["waiting"]) == (1, 0, 0)
    assert pieces(shop, order_id) == [(0, 0, 2)]
    shop.follow_stock(product_id)
    [line] = rows(shop.ordering_engine, ORDER_LINES)
    assert (line["reserved"], line["waiting"], line["shipped"]) == (0, 0, 2), "and the order knows"


def test_fewer_counted_than_are_reserved_makes_the_youngest_wait_again(shop: Shop) -> None:
    product_id = kept(shop, 3)
    first, second, third = (submitted(shop, product_id) for _ in range(3))
    for each in (first, second, third):
        shop.follow_order(each)
    recounted = RecountStock(product_id=product_id, counted=1, reason="two are broken")
    shop.catalog.run(recount_stock, recounted, Metadata())
    assert [pieces(shop, each) for each in (first, second, third)] == [[(1, 0, 0)], [(0, 1, 0)], [(0, 1, 0)]]
    receive(shop, product_id, 1)
    assert [pieces(shop, each) for each in (second, third)] == [[(1, 0, 0)], [(0, 1, 0)]]


def test_of_more_who_wait_than_one_change_serves_the_first_come_first_and_nobody_new_gets_in_between(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 2)
    product_id = kept(shop, 1)
    waiting = [submitted(shop, product_id, quantity=2) for _ in range(4)]
    for each in reversed(waiting):
        shop.follow_order(each)
    assert pieces(shop, waiting[3]) == [(1, 1, 0)], "its news was there first"
    receive(shop, product_id, 6)
    assert [pieces(shop, each) for each in waiting] == [[(2, 0, 0)], [(2, 0, 0)], [(0, 2, 0)], [(1, 1, 0)]]
    new = submitted(shop, product_id)
    shop.follow_order(new)
    assert pieces(shop, new) == [(0, 1, 0)]
    receive(shop, product_id, 1)
    assert [pieces(shop, each) for each in waiting[2:]] == [[(2, 0, 0)], [(2, 0, 0)]]
    assert pieces(shop, new) == [(0, 1, 0)]
    receive(shop, product_id, 1)
    assert pieces(shop, new) == [(1, 0, 0)]


def serve_on(shop: Shop) -> None:
    """Do what a timer does."""
    job(shop.wired()["catalog"], "waiting orders")()


def test_whoever_waits_for_available_pieces_is_served_on_without_a_further_receipt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 2)
    products = [sold_out(shop) for _ in range(2)]
    waiting = [submitted(shop, *products) for _ in range(8)]
    for each in waiting:
        shop.follow_order(each)
    for product_id in products:
        receive(shop, product_id, 7)
    new = submitted(shop, *products)
    shop.follow_order(new)
    assert [pieces(shop, each) for each in waiting[:3]] == [[(1, 0, 0)] * 2, [(1, 0, 0)] * 2, [(0, 1, 0)] * 2]
    serve_on(shop)
    assert [pieces(shop, each) for each in waiting[:7]] == [[(1, 0, 0)] * 2] * 7
    assert [pieces(shop, each) for each in (waiting[7], new)] == [[(0, 1, 0)] * 2] * 2, "nothing is left"
    for product_id in products:
        shop.follow_stock(product_id)
    lines = rows(shop.ordering_engine, ORDER_LINES)
    assert sum(line["reserved"] for line in lines) == 2 * 7, "ordering hears of it"  # type: ignore[misc]


def test_a_process_that_dies_between_two_changes_leaves_the_rest_to_the_next_timer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 1)
    product_id = sold_out(shop)
    waiting = [submitted(shop, product_id) for _ in range(4)]
    for each in waiting:
        shop.follow_order(each)
    receive(shop, product_id, 4)
    save, changes = Stocks.save, 0

    def dying(self: Stocks, stock: Stock) -> Accepted:
        nonlocal changes
        changes += 1
        if changes == 2:
            raise KeyboardInterrupt
        return save(self, stock)

    with monkeypatch.context() as patch:
        patch.setattr(Stocks, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            serve_on(shop)
    assert [pieces(shop, each) for each in waiting] == [[(1, 0, 0)]] * 2 + [[(0, 1, 0)]] * 2
    serve_on(shop)
    assert [pieces(shop, each) for each in waiting] == [[(1, 0, 0)]] * 4


def test_a_stock_that_cannot_be_served_on_stops_no_other_and_does_not_keep_the_timer_busy(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 1)
    broken, odd, sound = (sold_out(shop) for _ in range(3))
    orders = [submitted(shop, broken, sound) for _ in range(3)]
    for each in orders:
        shop.follow_order(each)
    receive(shop, broken, 3)
    receive(shop, sound, 3)
    receive(shop, odd, 3)
    with shop.catalog_engine.begin() as connection:
        connection.execute(sa.update(STOCK).where(STOCK.c.product_id == odd).values(waiting=1))
    load, loaded = Stocks.load, list[UUID]()

    def failing(self: Stocks, id_: UUID) -> Stock:
        loaded.append(id_)
        if id_ == broken:
            raise ValueError("what is stored cannot be read")
        return load(self, id_)

    monkeypatch.setattr(Stocks, "load", failing)
    serve_on(shop)
    stocks = {row["product_id"]: (row["reserved"], row["waiting"]) for row in rows(shop.catalog_engine, STOCK)}
    assert stocks == {broken: (1, 2), odd: (0, 1), sound: (3, 0)}
    assert loaded.count(odd) == 3, "once more after each change of another, and then no more"
    assert str(broken) in caplog.text


def test_products_that_are_not_served_for_an_outage_are_told_without_tracebacks(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 1)
    product_id = sold_out(shop)
    for _ in range(2):
        shop.follow_order(submitted(shop, product_id))
    receive(shop, product_id, 2)
    with database_away():
        serve_on(shop)
    assert told_in_one_line(caplog, f"{product_id} were not served")
    serve_on(shop)
    assert [row["reserved"] for row in rows(shop.catalog_engine, STOCK)] == [2]


def test_products_take_turns_when_there_is_no_time_for_all(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 1)
    products = [sold_out(shop) for _ in range(2)]
    for _ in range(3):
        shop.follow_order(submitted(shop, *products))
    for product_id in products:
        receive(shop, product_id, 3)
    clock = SimpleNamespace(monotonic=count(step=WORKS_FOR * 0.6).__next__)
    monkeypatch.setattr("shared.catalog.jobs.serve_waiting_orders.time", clock)
    for reserved in ([1, 2], [2, 2], [2, 3], [3, 3]):
        serve_on(shop)
        assert sorted(row["reserved"] for row in rows(shop.catalog_engine, STOCK)) == reserved  # type: ignore[type-var]


@needs_sqlite("reads the plan that SQLite makes")
def test_the_timer_looks_at_no_product_that_nobody_waits_for(shop: Shop) -> None:
    with shop.catalog_engine.connect() as connection:
        statement = str(SERVABLE.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    assert len(plan) == 1, plan
    assert "USING INDEX ix_stock_waiting" in plan[0], plan


def test_a_recount_is_taken_as_far_as_the_youngest_reservations_that_one_change_reads(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 2)
    product_id = kept(shop, 4)
    orders = [submitted(shop, product_id) for _ in range(4)]
    for each in orders:
        shop.follow_order(each)
    with pytest.raises(TooManyWaitAgain):
        shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=1, reason="r"), Metadata())
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=2, reason="r"), Metadata())
    assert [pieces(shop, each) for each in orders] == [[(1, 0, 0)]] * 2 + [[(0, 1, 0)]] * 2


@pytest.mark.parametrize(("at_once", "released", "left"), [(9, 1, 6), (2, 1, 6), (9, 3, 0)])
def test_a_recount_is_not_refused_for_pieces_that_another_instance_released_while_it_read(
    at_once: int, released: int, left: int, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is final: it rested on a level and on lines of two moments."""
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", at_once)
    product_id = kept(shop, 10)
    orders = [submitted(shop, product_id, quantity=quantity) for quantity in (1, 5, 4)]
    for each in orders:
        shop.follow_order(each)
    for each in orders[-released:]:
        shop.ordering.run(cancel_order, CancelOrder(order_id=each, reason="r"), Metadata())
    load = Stocks.load

    def load_before_the_release(stocks: Stocks, id_: UUID) -> Stock:
        stock = load(stocks, id_)
        monkeypatch.setattr(Stocks, "load", load)
        for each in orders[-released:]:
            replace(shop).follow_order(each)
        return stock

    monkeypatch.setattr(Stocks, "load", load_before_the_release)
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=1, reason="r"), Metadata())
    [stock] = rows(shop.catalog_engine, STOCK)
    assert (stock["on_hand"], stock["reserved"], stock["waiting"]) == (1, min(left, 1), max(left - 1, 0))


def test_what_a_cancelled_order_had_goes_to_those_who_wait(shop: Shop) -> None:
    product_id = kept(shop, 1)
    first, second = submitted(shop, product_id), submitted(shop, product_id)
    for each in (first, second):
        shop.follow_order(each)
    assert (pieces(shop, first), pieces(shop, second)) == ([(1, 0, 0)], [(0, 1, 0)])
    shop.ordering.run(cancel_order, CancelOrder(order_id=first, reason="r"), Metadata())
    shop.follow_order(first)
    assert (pieces(shop, first), pieces(shop, second)) == ([(0, 0, 0)], [(1, 0, 0)])


@pytest.mark.parametrize(("at_once", "products_at_once", "served"), [(3, 9, 3), (9, 1, 2)])
def test_the_end_of_an_order_of_many_products_serves_a_few_of_those_who_wait_and_the_timer_the_others(
    at_once: int, products_at_once: int, served: int, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", at_once)
    monkeypatch.setattr("shared.catalog.repository.AWAITED_PRODUCTS", products_at_once)
    products = [kept(shop, 2) for _ in range(4)]
    ending = submitted(shop, *products, quantity=2)
    waiting = [submitted(shop, *products) for _ in range(2)]
    for each in (ending, *waiting):
        shop.follow_order(each)
    shop.ordering.run(cancel_order, CancelOrder(order_id=ending, reason="r"), Metadata())
    shop.follow_order(ending)
    assert pieces(shop, ending) == [(0, 0, 0)] * 4
    lines = [line for each in waiting for line in pieces(shop, each)]
    assert (lines.count((1, 0, 0)), lines.count((0, 1, 0))) == (served, 8 - served)
    serve_on(shop)
    assert [pieces(shop, each) for each in waiting] == [[(1, 0, 0)] * 4] * 2


def test_the_end_of_an_order_stands_in_line_for_its_products_and_reads_them_then(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lost the races for a product that sells well, and became a dead letter: its pieces were nobody's."""
    tea, cup = kept(shop, 1), kept(shop, 1)
    ending, other = submitted(shop, tea, cup), submitted(shop, tea)
    shop.follow_order(ending)
    shop.ordering.run(cancel_order, CancelOrder(order_id=ending, reason="r"), Metadata())
    stood: list[set[UUID]] = []
    stand = UnitOfWork.stand_in_line

    def standing(work: UnitOfWork, *ids: UUID) -> None:
        stood.append(set(ids))
        if len(stood) == 2:  # after its submission, which changes nothing any more
            shop.follow_order(other)  # was in line before it
        stand(work, *ids)

    monkeypatch.setattr(UnitOfWork, "stand_in_line", standing)
    shop.follow_order(ending)
    assert stood == [{stock_of(tea), stock_of(cup)}] * 2 + [{stock_of(tea)}]
    assert (pieces(shop, ending), pieces(shop, other)) == ([(0, 0, 0)] * 2, [(1, 0, 0)])


def test_an_order_that_was_submitted_before_there_was_stock_is_read_and_not_reserved(shop: Shop) -> None:
    product_id = kept(shop, 1)
    order_id = submitted(shop, product_id)
    with shop.ordering_engine.begin() as connection:
        recorded = LOG.history(connection, order_id)[1]
        assert isinstance(recorded.event, OrderSubmittedV2)
        event = recorded.event
        old = OrderSubmittedV1(event.order_id, event.customer_id, event.currency, event.total)
        payload = CODEC.encode(old).decode()  # type: ignore[arg-type]  # it is not written any more
        connection.execute(
            LOG.table.update()
            .where(LOG.table.c.aggregate_version == 2)
            .values(type="OrderSubmittedV1", payload=payload)
        )
    shop.follow_order(order_id)
    assert pieces(shop, order_id) == []
    assert [row["status"] for row in rows(shop.catalog_engine, ORDERS)] == [OrderStatus.SUBMITTED], "and it is heard of"


def test_news_of_an_order_that_comes_while_other_news_of_it_is_taken_in_is_not_overlooked(shop: Shop) -> None:
    """Else a cancellation would find nothing reserved, and the submission that it overtook would reserve after it."""
    order_id = submitted(shop, kept(shop, 1))
    for known in (False, True):
        late, early = UnitOfWork(shop.catalog_engine), UnitOfWork(shop.catalog_engine)
        before = OrderStatuses(late, Metadata()).record(order_id, OrderStatus.SUBMITTED)
        OrderStatuses(early, Metadata()).record(order_id, OrderStatus.CANCELLED)
        early.commit()
        assert before is (OrderStatus.CANCELLED if known else OrderStatus.CREATED)
        with pytest.raises(LostRace):
            late.commit()


def test_stocks_of_one_order_are_written_in_the_order_of_their_ids_whatever_that_of_its_lines(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two orders of the same products would each hold the row that the other waits for, on Azure SQL."""
    products = [kept(shop, 9) for _ in range(5)]
    saved: list[UUID] = []
    save = Stocks.save

    def noting(self: Stocks, stock: Stock) -> Accepted:
        saved.append(stock.product_id)
        return save(self, stock)

    monkeypatch.setattr(Stocks, "save", noting)
    for ordered in (sorted(products), sorted(products, reverse=True)):
        order_id = submitted(shop, *ordered)
        shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
        saved.clear()
        shop.follow_order(order_id)
        assert saved == sorted(products) * 2, "when it was submitted, and when it was cancelled"
