"""What is reserved is shipped; of a cancelled order the catalogue says what was, and ships nothing more."""

from itertools import permutations
from typing import Any
from uuid import UUID, uuid5

import pytest

from shared.catalog import tables as catalog
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.domain.errors import NotReserved, OrderNotConfirmed, OrderNotFound
from shared.catalog.domain.stock import stock_of
from shared.catalog.event_handlers.follow_orders import follow_order
from shared.catalog.order_statuses import OrderStatuses
from shared.catalog.purchases import Purchases
from shared.catalog.repository import Stocks
from shared.catalog.tables import INBOX, STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.kernel.refusals import StaleVersion
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.domain.errors import OrderNotShipped
from shared.ordering.events import OrderStatus
from shared.ordering.tables import LOG
from tests.support.reserving import confirmed, kept, pieces, receive, ship, sold_out, status, submitted
from tests.support.shop import Shop, rows


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


def test_a_shipment_acts_on_the_version_of_its_first_item_s_stock(shop: Shop) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    receive(shop, cup, 1)
    order_id = confirmed(shop, tea, cup)
    shop.follow_order(order_id)
    items = [ShippedItem(product_id=product_id, quantity=1) for product_id in (tea, cup)]
    command = ShipItems(order_id=order_id, items=items)
    with pytest.raises(StaleVersion):
        shop.catalog.run(ship_items, command, Metadata(expected_versions={3}))  # the cup's
    assert shop.catalog.run(ship_items, command, Metadata(expected_versions={2})).version == 3


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
    ship_items(command, Stocks(shipping, Metadata()), OrderStatuses(shipping, Metadata()))
    stocks, statuses = Stocks(hearing, Metadata()), OrderStatuses(hearing, Metadata())
    follow_order(cancelled, stocks, statuses, Purchases(hearing, Metadata()))
    before, after = (shipping, hearing) if first == "the shipment" else (hearing, shipping)
    before.commit()
    with pytest.raises(LostRace):
        after.commit()
    if first == "the shipment":
        shop.follow_order(order_id)  # the cancellation is decided on again
    shipped = 1 if first == "the shipment" else 0
    assert (pieces(shop, order_id), settled(shop, order_id)) == ([(0, 0, shipped)], [shipped])
