"""The stock: nobody gets what is not there, nobody is overtaken, and what was promised adds up."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from shared.catalog.domain.errors import NotReserved, StockTooLarge, TooManyWaitAgain
from shared.catalog.domain.stock import MAX_ON_HAND, Stock, stock_of
from shared.catalog.events import (
    StockAwaitedV2,
    StockLevel,
    StockRecountedV1,
    StockReleasedV1,
    StockReservedV1,
)
from shared.kernel.aggregate import MAX_CHANGES

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def a_stock(on_hand: int = 0) -> Stock:
    stock = Stock.of(uuid4())
    stock.receive(on_hand)
    return stock


def ordered(stock: Stock, quantity: int, minute: int = 0) -> UUID:
    order_id = uuid4()
    stock.reserve(order_id, quantity, NOON + timedelta(minutes=minute))
    return order_id


def has(stock: Stock, order_id: UUID) -> tuple[int, int, int]:
    line = stock.lines[order_id]
    return line.reserved, line.waiting, line.shipped


def test_it_has_a_stream_of_its_own_beside_the_products() -> None:
    product_id = uuid4()
    assert Stock.of(product_id).stock_id == stock_of(product_id) != product_id


def test_what_is_there_is_reserved_and_what_is_not_is_waited_for() -> None:
    stock = a_stock(5)
    first, second, third = (ordered(stock, 3, minute) for minute in range(3))
    assert [has(stock, each) for each in (first, second, third)] == [(3, 0, 0), (2, 1, 0), (0, 3, 0)]
    assert stock.level == StockLevel(5, 5, 4)


def test_who_wants_little_does_not_overtake_who_wants_much() -> None:
    stock = a_stock(0)
    much, little = ordered(stock, 10), ordered(stock, 1, minute=1)
    stock.receive(9)
    assert (has(stock, much), has(stock, little)) == ((9, 1, 0), (0, 1, 0))
    stock.receive(2)
    assert (has(stock, much), has(stock, little)) == ((10, 0, 0), (1, 0, 0))


def test_an_order_whose_news_comes_late_waits_where_it_belongs() -> None:
    stock = a_stock(0)
    later = ordered(stock, 1, minute=5)
    earlier = ordered(stock, 1, minute=1)
    stock.receive(1)
    assert (has(stock, earlier), has(stock, later)) == ((1, 0, 0), (0, 1, 0))


def test_what_is_released_goes_to_those_who_wait_in_the_same_change() -> None:
    stock = a_stock(2)
    first, second = ordered(stock, 2), ordered(stock, 2, minute=1)
    stock.pending_events.clear()
    stock.release(first)
    assert (has(stock, first), has(stock, second)) == ((0, 0, 0), (2, 0, 0))
    assert [type(event) for event in stock.pending_events] == [StockReleasedV1, StockReservedV1]
    stock.release(first)
    assert len(stock.pending_events) == 2, "to release what is not held changes nothing"


def test_who_waits_and_is_cancelled_leaves_the_queue() -> None:
    stock = a_stock(0)
    first, second = ordered(stock, 1), ordered(stock, 1, minute=1)
    stock.release(first)
    stock.receive(1)
    assert (has(stock, first), has(stock, second)) == ((0, 0, 0), (1, 0, 0))


def test_what_is_shipped_leaves_the_house() -> None:
    stock = a_stock(5)
    order_id = ordered(stock, 3)
    stock.ship(order_id, 2)
    assert (has(stock, order_id), stock.level) == ((1, 0, 2), StockLevel(3, 1, 0))
    for quantity, wanted in ((2, order_id), (1, uuid4())):
        with pytest.raises(NotReserved, match=f"{wanted} has {int(wanted == order_id)} pieces"):
            stock.ship(wanted, quantity)
    assert stock.level == StockLevel(3, 1, 0)


def test_a_completed_order_has_got_what_was_ready_and_waits_for_nothing_more() -> None:
    stock = a_stock(2)
    order_id = ordered(stock, 3)
    stock.settle(order_id)
    assert (has(stock, order_id), stock.level) == ((0, 0, 2), StockLevel(0, 0, 0))
    stock.settle(uuid4())


def test_a_recount_below_what_is_reserved_lets_the_youngest_wait_again_and_first_of_all() -> None:
    stock = a_stock(6)
    orders = [ordered(stock, 2, minute) for minute in range(4)]
    stock.pending_events.clear()
    stock.recount(3, "broken")
    assert [has(stock, each)[:2] for each in orders] == [(2, 0), (1, 1), (0, 2), (0, 2)]
    assert stock.level == StockLevel(3, 3, 5)
    assert [type(event) for event in stock.pending_events] == [StockAwaitedV2, StockAwaitedV2, StockRecountedV1]
    assert all(event.level.available >= 0 for event in stock.pending_events)
    stock.receive(1)
    assert has(stock, orders[1])[:2] == (2, 0)


def test_a_recount_that_finds_more_serves_those_who_wait() -> None:
    stock = a_stock(0)
    order_id = ordered(stock, 2)
    stock.recount(5, "found")
    assert (has(stock, order_id), stock.level) == ((2, 0, 0), StockLevel(5, 2, 0))


def test_a_recount_whose_orders_are_too_many_to_be_loaded_is_refused_whole() -> None:
    stock = a_stock(6)
    ordered(stock, 6)
    stock.lines.clear()  # as if they were more than are loaded at a time
    version = stock.version
    with pytest.raises(TooManyWaitAgain, match="in steps"):
        stock.recount(5, "r")
    assert (stock.version, stock.level.reserved) == (version, 6)


def test_there_is_a_largest_stock_and_a_refusal_says_what_there_is() -> None:
    stock = a_stock(MAX_ON_HAND - 1)
    with pytest.raises(StockTooLarge, match="999,999 pieces on hand"):
        stock.receive(2)
    stock.receive(1)


def test_a_stock_is_never_closed_for_changes() -> None:
    """A product that sells well reaches any limit, and the shop must still be able to receive and to count it."""
    stock = a_stock(2)
    stock.version = 1_000 * MAX_CHANGES
    stock.pending_events.clear()
    order_id = ordered(stock, 2)
    stock.receive(1)
    assert has(stock, order_id) == (2, 0, 0)
    stock.ship(order_id, 1)
    stock.release(order_id)
    stock.recount(1, "r")
    assert stock.level.on_hand == 1


class AStocksLife(RuleBasedStateMachine):
    """Any deliveries, counts, orders, shipments and cancellations, in any order."""

    orders = Bundle[UUID]("orders")

    @initialize(quantity=st.integers(0, 5))
    def begin(self, quantity: int) -> None:
        """Keep a stock."""
        self.stock = a_stock(quantity)
        self.events = list(self.stock.pending_events)
        self.wanted: dict[UUID, int] = {}
        self.in_house = quantity
        self.now = NOON

    @rule(target=orders, quantity=st.integers(1, 6), late=st.integers(0, 3))
    def order(self, quantity: int, late: int) -> UUID:
        """Order pieces, or hear late of an order."""
        self.now += timedelta(minutes=1)
        order_id = uuid4()
        self.stock.reserve(order_id, quantity, self.now - timedelta(minutes=late, seconds=late))
        self.wanted[order_id] = quantity
        return order_id

    @rule(quantity=st.integers(1, 8))
    def receive(self, quantity: int) -> None:
        """Take pieces in."""
        self.stock.receive(quantity)
        self.in_house += quantity

    @rule(counted=st.integers(0, 12))
    def recount(self, counted: int) -> None:
        """Count."""
        self.stock.recount(counted, "r")
        self.in_house = counted

    @rule(order_id=orders, quantity=st.integers(1, 6))
    def ship(self, order_id: UUID, quantity: int) -> None:
        """Ship, or be refused."""
        ready = self.stock.lines[order_id].reserved
        try:
            self.stock.ship(order_id, quantity)
        except NotReserved:
            assert quantity > ready
        else:
            assert quantity <= ready
            self.in_house -= quantity

    @rule(order_id=consumes(orders))
    def cancel(self, order_id: UUID) -> None:
        """Cancel."""
        self.stock.release(order_id)
        self.wanted[order_id] = self.stock.lines[order_id].shipped

    @rule(order_id=consumes(orders))
    def complete(self, order_id: UUID) -> None:
        """Complete by hand."""
        self.in_house -= self.stock.lines[order_id].reserved
        self.stock.settle(order_id)
        self.wanted[order_id] = self.stock.lines[order_id].shipped

    @invariant()
    def every_piece_is_somewhere(self) -> None:
        """Each piece is on hand, reserved for one order, or shipped; and each event says so."""
        if not hasattr(self, "stock"):
            return
        level, lines = self.stock.level, self.stock.lines
        assert level.on_hand == self.in_house
        assert level.reserved == sum(line.reserved for line in lines.values()) <= level.on_hand
        assert level.waiting == sum(line.waiting for line in lines.values())
        for order_id, line in lines.items():
            assert min(line.reserved, line.waiting, line.shipped) >= 0
            assert line.reserved + line.waiting + line.shipped == self.wanted[order_id]
        assert not (level.waiting and level.available), "nobody waits for what is there"
        assert all(event.level.available >= 0 for event in self.stock.pending_events)

    @invariant()
    def it_is_the_fold_of_its_events(self) -> None:
        """What its events make is the same."""
        if hasattr(self, "stock"):
            folded = Stock.fold(self.stock.pending_events)
            assert (folded.level, folded.lines) == (self.stock.level, self.stock.lines)


TestAStocksLife = AStocksLife.TestCase
