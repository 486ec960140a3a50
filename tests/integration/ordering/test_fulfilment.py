"""The fulfilment of an order, from its submission to its end, with news in any order."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.event_handlers.follow_orders import follow_order
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.write_side.log_table import envelope_of
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from shared.ordering.domain.actions import Action, allowed
from shared.ordering.domain.errors import OrderNotInStatus
from shared.ordering.domain.order import LineStock
from shared.ordering.events import OrderStatus, fulfilment_of
from shared.ordering.fulfilment.repository import FulfilmentProcess, Fulfilments
from shared.ordering.views.order_details import rendered
from shared.ordering.views.order_documents import document_of
from shared.payments.events import (
    DeclineReason,
    PaymentActionRequiredV1,
    PaymentCaptureRequestedV1,
    PaymentDeclinedV1,
    PaymentOpenedV1,
    PaymentVoidedV1,
)
from tests.support.on_its_way import CARD, FULFIL, Way, declined, held, kept, receive, requested, submitted, taken
from tests.support.shop import Shop


def book(way: Way, product_id: UUID, quantity: int = 1) -> None:
    """Ship pieces of it; the news of that is on its way."""
    items = [ShippedItem(product_id=product_id, quantity=quantity)]
    way.shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())


def told_of(shop: Shop, *types: str) -> list[Recorded[Any]]:
    """What the catalogue has told, of these types."""
    log = catalog.LOG.table
    with shop.catalog_engine.connect() as connection:
        found = connection.execute(sa.select(log).where(log.c.type.in_(types)).order_by(log.c.sequence)).all()
    return [catalog.CODEC.open(envelope_of(row)) for row in found]


def cancelled(way: Way) -> Recorded[Any]:
    """Cancel it, and give the news of that, which nobody has heard yet."""
    way.shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    with way.shop.ordering_engine.connect() as connection:
        return ordering.LOG.history(connection, way.order_id)[-1]


def shown(way: Way) -> str:
    """What its customer reads that it waits for."""
    with way.shop.ordering_engine.connect() as connection:
        return rendered(document_of(ordering.LOG.history(connection, way.order_id))).waits_for


UNSETTLED = ("the void, unless anything was shipped", "the catalogue: whether anything was shipped")
"""What a cancelled order shows and what its fulfilment waits for, as long as both know of no shipment."""


def ship(way: Way, product_id: UUID, quantity: int = 1) -> None:
    """Ship pieces of it, and deliver the news of that."""
    book(way, product_id, quantity)
    way.news.deliver()


def test_an_order_on_account_is_confirmed_by_the_shop(shop: Shop) -> None:
    way = submitted(shop, paid=False)
    assert (way.waits_for, way.order.status) == ("the confirmation", OrderStatus.SUBMITTED)
    way.confirm()
    assert (way.waits_for, way.process.due_at) == ("the shipment", None)
    way.complete()
    assert (way.waits_for, way.asked) == ("nothing", [])


def test_a_paid_order_goes_by_itself_from_submitted_to_captured(shop: Shop) -> None:
    way = submitted(shop)
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")
    way.pay(requested(way), PaymentOpenedV1(way.order_id, "pi"), PaymentActionRequiredV1(way.order_id, 1))
    assert way.waits_for == "the customer"
    way.pay(held(way))
    assert (way.order.status, way.waits_for) == (OrderStatus.CONFIRMED, "the shipment")
    way.complete()
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", "CaptureAskedV1"], "the capture")
    way.pay(PaymentCaptureRequestedV1(way.order_id), taken(way))
    assert way.waits_for == "nothing"
    with shop.ordering_engine.connect() as connection:
        [asked, _] = ordering.LOG.history(connection, fulfilment_of(way.order_id))
    assert getattr(asked.event, "token", None) == CARD
    assert way.process.token is None
    assert [step.what for step in way.process.steps] == [
        "submitted, to be paid",
        "all is reserved",
        "asked for the authorisation",
        "payment: actionRequired",
        "payment: authorised",
        "confirmed",
        "completed",
        "asked for the capture",
        "payment: captured",
    ]


def test_operators_read_each_token_and_what_came_of_it_also_of_one_that_was_declined_between_two_looks(
    shop: Shop,
) -> None:
    way = submitted(shop)
    way.pay(requested(way), PaymentActionRequiredV1(way.order_id, 1))
    way.pay(declined(way), requested(way, 2))
    way.pay(PaymentDeclinedV1(way.order_id, 2, DeclineReason.DECLINED))
    way.pay(PaymentActionRequiredV1(way.order_id, 2))
    assert [step.what for step in way.process.steps][2:] == [
        "asked for the authorisation",
        "payment: actionRequired",
        "payment: asked, token 2",
        "payment: declined, token 2",
        "payment: actionRequired, token 2",
    ]
    assert (way.process.facts.attempt, way.asked) == (2, ["AuthorisationAskedV1"])


def test_shipping_all_items_has_the_payment_captured(shop: Shop) -> None:
    product_id = kept(shop, 2)
    way = submitted(shop, product_id, quantity=2)
    way.pay(held(way))
    ship(way, product_id, 2)
    assert (way.order.status, way.asked[-1]) == (OrderStatus.COMPLETED, "CaptureAskedV1")


def test_an_order_of_which_a_line_is_shipped_is_not_cancelled_and_is_paid(shop: Shop) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    ship(way, tea)
    with pytest.raises(OrderNotInStatus):
        way.cancel()
    assert (way.order.status, way.asked) == (OrderStatus.CONFIRMED, ["AuthorisationAskedV1"])
    ship(way, cup)
    assert (way.order.status, way.asked[-1]) == (OrderStatus.COMPLETED, "CaptureAskedV1")


@pytest.mark.parametrize("shipped", [True, False], ids=["shipped", "not shipped"])
@pytest.mark.parametrize("news", list(permutations(range(4))), ids=str)
def test_an_order_that_is_cancelled_before_the_news_of_a_shipment_came_is_paid_and_any_other_is_not(
    shop: Shop, news: tuple[int, ...], *, shipped: bool
) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    if shipped:
        book(way, tea)
    news_of_it = cancelled(way)
    for _ in range(2):
        shop.catalog.follow(catalog.INBOX, follow_order, news_of_it)
    told = told_of(shop, "ItemShippedV1", "StockReleasedV1", "OrderSettledV1")
    assert len(told) == 3
    for place in (each for each in news for _ in range(2)):
        if place < len(told):
            shop.ordering.follow(ordering.INBOX, FULFIL.follow_product, told[place])
        else:
            shop.ordering.follow(ordering.INBOX, FULFIL.follow_order, news_of_it)
    outcome = ("CaptureAskedV1", "the capture") if shipped else ("VoidAskedV1", "the void")
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1", outcome[0]], outcome[1])
    way.pay(taken(way) if shipped else PaymentVoidedV1(way.order_id))
    assert (way.waits_for, allowed(way.order.standing)) == ("nothing", [Action.REFUND] if shipped else [])


@pytest.mark.parametrize("shipped", [True, False], ids=["shipped", "not shipped"])
@pytest.mark.parametrize("news", list(permutations(range(3))), ids=str)
def test_a_cancelled_order_never_shows_that_it_waits_for_what_may_not_come(
    shop: Shop, news: tuple[int, ...], *, shipped: bool
) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    if shipped:
        book(way, tea)
    shop.catalog.follow(catalog.INBOX, follow_order, cancelled(way))
    told = told_of(shop, "ItemShippedV1", "StockReleasedV1", "OrderSettledV1")
    shop.fulfil(way.order_id)
    assert (shown(way), way.waits_for) == UNSETTLED
    for place in news:
        shop.ordering.follow(ordering.INBOX, FULFIL.follow_product, told[place])
        shop.fulfil(way.order_id)
        assert shown(way) in (way.waits_for, UNSETTLED[0])
    assert way.waits_for == ("the capture" if shipped else "the void")
    assert shown(way) == ("the capture" if shipped else UNSETTLED[0])


def test_an_order_whose_last_pieces_are_lost_is_completed_and_paid_without_them(shop: Shop) -> None:
    tea, cup = kept(shop, 1), kept(shop, 1)
    way = submitted(shop, tea, cup)
    way.pay(held(way))
    ship(way, tea)
    shop.catalog.run(recount_stock, RecountStock(product_id=cup, counted=0, reason="broken"), Metadata())
    way.news.deliver()
    way.complete()
    assert (way.order.status, way.asked[-1]) == (OrderStatus.COMPLETED, "CaptureAskedV1")
    assert way.order.stock[cup] == LineStock(5, 0, 0, 0)


def test_what_waits_for_stock_is_not_authorised_before_it_is_there(shop: Shop) -> None:
    tea, cup = kept(shop, 1), shop.product()
    way = submitted(shop, tea, cup, quantity=2)
    assert (way.asked, way.waits_for) == ([], "stock")
    assert way.process.due_at is not None
    receive(shop, tea, 1)
    way.news.deliver()
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")


def test_stock_that_is_lost_while_it_is_authorised_is_waited_for_again(shop: Shop) -> None:
    product_id = kept(shop, 1)
    way = submitted(shop, product_id)
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="lost"), Metadata())
    way.news.deliver()
    way.pay(held(way))
    assert (way.order.status, way.waits_for) == (OrderStatus.SUBMITTED, "stock")
    receive(shop, product_id, 1)
    way.news.deliver()
    assert (way.order.status, way.asked) == (OrderStatus.CONFIRMED, ["AuthorisationAskedV1"])


def test_the_catalogue_tells_once_of_how_many_lines_it_keeps_no_stock(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 5), shop.product(), shop.product(), chance=random.Random(1))
    [event] = [each.event for each in told_of(shop, "StockNotKeptV1")]
    assert (getattr(event, "order_id", None), getattr(event, "lines", None)) == (way.order_id, 2)


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Let another instance act once, when the next look has read the order, and not yet its fulfilment."""
    real, acts = Fulfilments.find, [act]

    def find(self: Fulfilments, order_id: UUID) -> FulfilmentProcess | None:
        if acts:
            acts.pop()()
        return real(self, order_id)

    with mock.patch.object(Fulfilments, "find", find):
        yield
    assert not acts


def unheard(shop: Shop, *product_ids: UUID) -> tuple[Way, Callable[[Recorded[Any]], None]]:
    """Submit an order of which the catalogue has told, and ordering has not heard; with another instance that hears."""
    order_id = shop.order(*product_ids)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id, payment=Payment(token=CARD)), Metadata())
    shop.follow_order(order_id)
    way, other = Way(shop, order_id), shop.wired()["ordering"].writes

    def hear(told: Recorded[Any]) -> None:
        other.follow(ordering.INBOX, FULFIL.follow_product, told)
        other.follow(ordering.INBOX, FULFIL.follow_order, way.last)

    return way, hear


def test_a_look_that_changes_the_fulfilment_by_what_the_order_was_looks_again(shop: Shop) -> None:
    way, hear = unheard(shop, kept(shop, 1), shop.product(), shop.product())
    [reserved], [not_kept] = told_of(shop, "StockReservedV1"), told_of(shop, "StockNotKeptV1")
    with meanwhile(lambda: hear(reserved)):
        shop.ordering.follow(ordering.INBOX, FULFIL.follow_product, not_kept)
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")


def test_a_look_at_what_the_order_was_takes_nothing_back(shop: Shop) -> None:
    way, hear = unheard(shop, kept(shop, 1), kept(shop, 1))
    tea, cup = told_of(shop, "StockReservedV1")
    shop.ordering.follow(ordering.INBOX, FULFIL.follow_product, tea)
    half = way.last
    with meanwhile(lambda: hear(cup)):
        shop.ordering.follow(ordering.INBOX, FULFIL.follow_order, half)
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the authorisation")


@pytest.mark.parametrize("seed", range(12))
def test_news_that_comes_shuffled_and_twice_leads_to_the_same_end(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    tea, cup = kept(shop, chance.randint(0, 3)), shop.product()
    way = submitted(shop, tea, cup, quantity=2, chance=chance)
    receive(shop, tea, 2)
    way.news.deliver()
    cancels = chance.random() < 0.5
    if cancels:
        way.cancel()
        way.pay(held(way), PaymentVoidedV1(way.order_id))
    else:
        way.pay(held(way))
        ship(way, tea, 2)
        way.complete()
        way.pay(taken(way))
    assert way.waits_for == "nothing"
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1" if cancels else "CaptureAskedV1"]
    log = ordering.LOG.table
    with shop.ordering_engine.connect() as connection:
        kinds = connection.execute(sa.select(log.c.type).where(log.c.aggregate_id == way.order_id)).scalars().all()
    steps = [kind for kind in kinds if kind in {"OrderConfirmedV1", "OrderCompletedV1", "OrderCancelledV1"}]
    assert steps == (["OrderCancelledV1"] if cancels else ["OrderConfirmedV1", "OrderCompletedV1"])
