"""What is ordered is reserved, in whatever order the news comes; what an order needs no more is for others."""

from itertools import count, permutations
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import pytest
import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.commands.follow_orders import follow_order
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.serve_waiting_orders import SERVABLE, WORKS_FOR
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.domain.errors import NotReserved, OrderNotConfirmed, OrderNotFound, TooManyWaitAgain
from shared.catalog.domain.stock import Stock, stock_of
from shared.catalog.purchases import Purchases
from shared.catalog.repository import Orders as HeardOrders
from shared.catalog.repository import Stocks
from shared.catalog.tables import INBOX, ORDERED_STOCK, ORDERS, STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderNotShipped
from shared.ordering.events import OrderStatus, OrderSubmittedV1, OrderSubmittedV2
from shared.ordering.repository import Orders
from shared.ordering.tables import CODEC, LOG, ORDER_LINES
from tests.support.database import needs_sqlite
from tests.support.shop import Shop, rows


def kept(shop: Shop, quantity: int) -> UUID:
    product_id = shop.product()
    receive(shop, product_id, quantity)
    return product_id


def sold_out(shop: Shop) -> UUID:
    product_id = kept(shop, 1)
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="r"), Metadata())
    return product_id


def receive(shop: Shop, product_id: UUID, quantity: int) -> None:
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=quantity), Metadata())


def submitted(shop: Shop, *product_ids: UUID, quantity: int = 1) -> UUID:
    order_id = shop.order(*product_ids, quantity=quantity)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    return order_id


def confirmed(shop: Shop, *product_ids: UUID, quantity: int = 1) -> UUID:
    order_id = submitted(shop, *product_ids, quantity=quantity)
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    return order_id


def ship(shop: Shop, order_id: UUID, product_id: UUID, quantity: int, key: str | None = None) -> Accepted:
    command = ShipItems(order_id=order_id, items=[ShippedItem(product_id=product_id, quantity=quantity)])
    metadata = Metadata(command_id=key, fingerprint=b"f".ljust(32)) if key else Metadata()
    return shop.catalog.run(ship_items, command, metadata)


def pieces(shop: Shop, order_id: UUID) -> list[tuple[object, object, object]]:
    """What the catalogue has for the order, by product."""
    found = [row for row in rows(shop.catalog_engine, ORDERED_STOCK) if row["order_id"] == order_id]
    return [(row["reserved"], row["waiting"], row["shipped"]) for row in found]


def status(shop: Shop, order_id: UUID) -> OrderStatus:
    return Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id).status


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
    shop.wired()["catalog"].sweeps["waiting orders"]()


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


def test_products_take_turns_when_there_is_no_time_for_all(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.catalog.repository.SERVED_AT_ONCE", 1)
    products = [sold_out(shop) for _ in range(2)]
    for _ in range(3):
        shop.follow_order(submitted(shop, *products))
    for product_id in products:
        receive(shop, product_id, 3)
    clock = SimpleNamespace(monotonic=count(step=WORKS_FOR * 0.6).__next__)
    monkeypatch.setattr("shared.catalog.commands.serve_waiting_orders.time", clock)
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


def test_what_a_cancelled_order_had_goes_to_those_who_wait(shop: Shop) -> None:
    product_id = kept(shop, 1)
    first, second = submitted(shop, product_id), submitted(shop, product_id)
    for each in (first, second):
        shop.follow_order(each)
    assert (pieces(shop, first), pieces(shop, second)) == ([(1, 0, 0)], [(0, 1, 0)])
    shop.ordering.run(cancel_order, CancelOrder(order_id=first, reason="r"), Metadata())
    shop.follow_order(first)
    assert (pieces(shop, first), pieces(shop, second)) == ([(0, 0, 0)], [(1, 0, 0)])


def test_an_order_whose_items_are_all_shipped_is_completed_and_not_before(shop: Shop) -> None:
    product_id = kept(shop, 2)
    order_id = confirmed(shop, product_id, quantity=2)
    shop.follow_order(order_id)
    shop.follow_stock(product_id)
    with pytest.raises(OrderNotShipped, match="1 items"):
        shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata())
    first, again = ship(shop, order_id, product_id, 1, "k"), ship(shop, order_id, product_id, 1, "k")
    assert (first.version, again.version, again.replayed) == (3, 3, True)
    shop.follow_stock(product_id)
    assert status(shop, order_id) is OrderStatus.CONFIRMED
    ship(shop, order_id, product_id, 1)
    shop.follow_stock(product_id)
    assert status(shop, order_id) is OrderStatus.COMPLETED
    with pytest.raises(NotReserved, match="0 pieces"):
        ship(shop, order_id, product_id, 1)


def test_what_cannot_be_shipped_is_refused_and_changes_nothing(shop: Shop) -> None:
    product_id, other = kept(shop, 2), kept(shop, 2)
    order_id = submitted(shop, product_id)
    with pytest.raises(OrderNotFound):
        ship(shop, order_id, product_id, 1)
    shop.follow_order(order_id)
    with pytest.raises(OrderNotConfirmed, match="Submitted"):
        ship(shop, order_id, product_id, 1)
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    for wrong, quantity in ((product_id, 2), (other, 1), (shop.product(), 1)):
        with pytest.raises(NotReserved):
            ship(shop, order_id, wrong, quantity)
    assert pieces(shop, order_id) == [(1, 0, 0)]


def test_a_shipment_of_several_items_leaves_whole_or_not_at_all(shop: Shop) -> None:
    tea, cup = kept(shop, 4), kept(shop, 2)
    order_id = confirmed(shop, tea, cup, quantity=2)
    shop.follow_order(order_id)

    def shipped(*items: tuple[UUID, int]) -> Accepted:
        some = [ShippedItem(product_id=product_id, quantity=quantity) for product_id, quantity in items]
        return shop.catalog.run(ship_items, ShipItems(order_id=order_id, items=some), Metadata())

    for too_many in ([(tea, 1), (cup, 3)], [(cup, 3), (tea, 1)], [(tea, 1), (cup, 1), (tea, 2)]):
        with pytest.raises(NotReserved):
            shipped(*too_many)
    assert pieces(shop, order_id) == [(2, 0, 0), (2, 0, 0)]
    assert shipped((tea, 1), (cup, 2), (tea, 1)) == Accepted(stock_of(tea), 3), "an item may be listed twice"
    assert pieces(shop, order_id) == [(0, 0, 2), (0, 0, 2)]
    stocks = {row["product_id"]: (row["on_hand"], row["reserved"]) for row in rows(shop.catalog_engine, STOCK)}
    assert stocks == {tea: (2, 0), cup: (0, 0)}


def test_an_order_that_is_completed_by_hand_before_its_news_came_has_nothing_reserved(shop: Shop) -> None:
    product_id = kept(shop, 1)
    order_id = confirmed(shop, product_id, quantity=2)
    shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    assert pieces(shop, order_id) == [(0, 0, 1)]


def test_pieces_that_come_while_their_order_is_completed_without_them_go_to_others(shop: Shop) -> None:
    product_id = kept(shop, 2)
    order_id = confirmed(shop, product_id, quantity=5)
    shop.follow_order(order_id)
    ship(shop, order_id, product_id, 2)
    shop.follow_stock(product_id)
    receive(shop, product_id, 3)  # they are reserved for it, and ordering has yet to hear of that
    shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    assert pieces(shop, order_id) == [(0, 0, 2)]
    [stock] = rows(shop.catalog_engine, STOCK)
    assert (stock["on_hand"], stock["reserved"], stock["waiting"]) == (3, 0, 0)


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


def settled(shop: Shop, order_id: UUID) -> list[int]:
    """How many pieces the catalogue has said that were shipped of a cancelled order, each time that it did."""
    with shop.catalog_engine.connect() as connection:
        events: list[Any] = [each.event for each in catalog.LOG.history(connection, uuid5(order_id, "settled"))]
    assert {event.order_id for event in events} <= {order_id}
    return [event.shipped for event in events]


@pytest.mark.parametrize("what", ["kept", "waited for", "not kept", "kept, and shipped in part"])
def test_the_catalogue_says_once_of_a_cancelled_order_what_was_shipped(shop: Shop, what: str) -> None:
    in_part = what.endswith("in part")
    tea = sold_out(shop) if what == "waited for" else shop.product() if what == "not kept" else kept(shop, 9)
    order_id = confirmed(shop, tea, kept(shop, 9), quantity=3)
    shop.follow_order(order_id)
    if in_part:
        ship(shop, order_id, tea, 1)
        ship(shop, order_id, tea, 1)
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
    assert settled(shop, order_id) == []
    for _ in range(3):
        shop.follow_order(order_id)
    assert settled(shop, order_id) == [2 if in_part else 0]
    with pytest.raises(OrderNotConfirmed, match="Cancelled"):
        ship(shop, order_id, tea, 1)


@pytest.mark.parametrize("news", list(permutations(range(4))), ids=str)
def test_that_nothing_was_shipped_is_said_whatever_news_of_the_order_comes_first(
    news: tuple[int, ...], shop: Shop
) -> None:
    order_id = confirmed(shop, kept(shop, 3))
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
    with shop.ordering_engine.connect() as connection:
        history = LOG.history(connection, order_id)
    for place in news:
        shop.catalog.follow(INBOX, follow_order, history[place])
    assert settled(shop, order_id) == [0]


def test_nothing_is_said_of_a_draft_that_is_cancelled(shop: Shop) -> None:
    order_id = shop.order(kept(shop, 1))
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
    shop.follow_order(order_id)
    assert settled(shop, order_id) == []


@pytest.mark.parametrize("first", ["the shipment", "the cancellation"])
def test_a_shipment_and_the_news_of_a_cancellation_do_not_overlook_each_other(shop: Shop, first: str) -> None:
    """Else pieces would leave of an order of which the catalogue has said that none did."""
    product_id = kept(shop, 1)
    order_id = confirmed(shop, product_id)
    shop.follow_order(order_id)
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="r"), Metadata())
    with shop.ordering_engine.connect() as connection:
        cancelled = LOG.history(connection, order_id)[-1]
    command = ShipItems(order_id=order_id, items=[ShippedItem(product_id=product_id, quantity=1)])
    shipping, hearing = UnitOfWork(shop.catalog_engine), UnitOfWork(shop.catalog_engine)
    ship_items(command, Stocks(shipping, Metadata()), HeardOrders(shipping, Metadata()))
    stocks, heard = Stocks(hearing, Metadata()), HeardOrders(hearing, Metadata())
    follow_order(cancelled, stocks, heard, Purchases(hearing, Metadata()))
    before, after = (shipping, hearing) if first == "the shipment" else (hearing, shipping)
    before.commit()
    with pytest.raises(LostRace):
        after.commit()
    if first == "the shipment":
        shop.follow_order(order_id)  # the cancellation is decided on again
    shipped = 1 if first == "the shipment" else 0
    assert (pieces(shop, order_id), settled(shop, order_id)) == ([(0, 0, shipped)], [shipped])


def test_news_of_an_order_that_comes_while_other_news_of_it_is_taken_in_is_not_overlooked(shop: Shop) -> None:
    """Else a cancellation would find nothing reserved, and the submission that it overtook would reserve after it."""
    order_id = submitted(shop, kept(shop, 1))
    for known in (False, True):
        late, early = UnitOfWork(shop.catalog_engine), UnitOfWork(shop.catalog_engine)
        heard = HeardOrders(late, Metadata()).hear(order_id, OrderStatus.SUBMITTED)
        HeardOrders(early, Metadata()).hear(order_id, OrderStatus.CANCELLED)
        early.commit()
        assert heard is (OrderStatus.CANCELLED if known else OrderStatus.CREATED)
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
