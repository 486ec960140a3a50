"""What is stored of a fulfilment: no more than it needs, read by the releases before and after, and no write lost."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
import sqlalchemy as sa

from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.move_deadline import MoveDeadline, move_deadline
from shared.ordering.events import OrderStatus
from shared.ordering.fulfilment import repository
from shared.ordering.fulfilment.repository import Fulfilments
from tests.support.on_its_way import CARD, Way, declined, held, kept, requested, submitted, taken
from tests.support.shop import Shop, rows


def test_the_token_of_an_order_that_is_cancelled_before_it_is_used_is_forgotten(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 0))
    before = way.process.token
    way.cancel()
    assert (before, way.process.token) == (CARD, None)
    assert way.asked == []
    with shop.ordering_engine.connect() as connection:
        [facts] = connection.execute(sa.select(ordering.FULFILMENTS.c.facts)).scalars().all()
    assert CARD not in facts


def facts_of(way: Way) -> dict[str, Any]:
    with way.shop.ordering_engine.connect() as connection:
        table = ordering.FULFILMENTS
        facts: dict[str, Any] = json.loads(
            connection.execute(sa.select(table.c.facts).where(table.c.order_id == way.order_id)).scalar_one()
        )
        return facts


def test_only_what_the_release_before_knows_is_written_in_its_shape(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Before(StrEnum):
        STOCK = "stock"
        PAYMENT = "payment"

    ways = {
        "confirmation": submitted(shop, paid=False),
        "payment": submitted(shop),
        "stock": submitted(shop, kept(shop, 0)),
    }
    due = ways["stock"].process.due_at
    assert due is not None
    ways["stock"].timer(due)  # and so the others', which are due before
    for deadline, way in ways.items():
        assert ["Cancel", deadline] in facts_of(way)["asks"]
    waiting = submitted(shop, paid=False)
    monkeypatch.setattr(repository, "Deadline", Before)
    monkeypatch.setattr(repository, "SHAPES", replace(repository.SHAPES, today=1, upcasts={}))
    for way in (ways["payment"], ways["stock"], waiting):
        assert way.process.order_id == way.order_id
    with pytest.raises(UnreadableShape, match="is in shape 2, and this release reads 1"):
        _ = ways["confirmation"].process


def test_only_a_cancelled_order_of_which_something_was_shipped_is_unreadable_for_the_release_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {name: submitted(shop, kept(shop, 1), kept(shop, 1)) for name in ("shipped", "voided", "waiting")}
    for name, way in ways.items():
        way.pay(held(way))
        if name == "shipped":
            items = [ShippedItem(product_id=next(iter(way.order.lines)), quantity=1)]
            shop.catalog.run(ship_items, ShipItems(order_id=way.order_id, items=items), Metadata())
        if name == "waiting":
            shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
            shop.fulfil(way.order_id)
        else:
            way.cancel()
    assert {name: facts_of(way)["anyShipped"] for name, way in ways.items()} == {
        "shipped": True,
        "voided": False,
        "waiting": None,
    }
    monkeypatch.setattr(repository, "SHAPES", replace(repository.SHAPES, today=2, upcasts={1: dict}))
    for name in ("voided", "waiting"):
        assert ways[name].process.order_id == ways[name].order_id
    with pytest.raises(UnreadableShape, match="is in shape 3, and this release reads 1 and 2"):
        _ = ways["shipped"].process


def test_the_release_before_reads_with_which_token_a_payment_was_asked_for_and_is_read_when_it_noted_later_ones(
    shop: Shop,
) -> None:
    way = submitted(shop)
    way.pay(declined(way), requested(way, 2))
    facts = facts_of(way)
    assert facts["asks"] == [["Authorise", 1]]
    facts["asks"].append(["Authorise", 2])  # as that release does
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ordering.FULFILMENTS).values(facts=json.dumps(facts)))
    way.pay(held(way, 2))
    assert facts_of(way)["asks"] == [["Authorise", 1], ["Confirm"]]
    assert (way.asked, way.waits_for) == (["AuthorisationAskedV1"], "the shipment")


def test_a_payment_that_the_release_before_has_voided_is_neither_voided_again_nor_waits_for_the_catalogue(
    shop: Shop,
) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.cancel()
    facts = facts_of(way)
    del facts["anyShipped"]  # which that release does not know
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ordering.FULFILMENTS).values(facts=json.dumps(facts)))
    assert (way.waits_for, way.process.facts.deadline) == ("the void", None)
    way.pay(taken(way))
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1", "RefundAskedV1"]


def test_a_cancelled_order_whose_payment_the_release_before_had_not_begun_has_ended(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 0))
    way.cancel()
    facts = facts_of(way)
    del facts["anyShipped"]  # which that release does not know
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ordering.FULFILMENTS).values(facts=json.dumps(facts)))
    assert (way.waits_for, way.process.facts.deadline) == ("nothing", None)


def test_a_deadline_that_the_release_before_does_not_know_and_left_behind_is_over_when_it_comes(shop: Shop) -> None:
    way = submitted(shop)
    way.pay(held(way))
    way.cancel()
    due = datetime.now(UTC)
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(ordering.FULFILMENTS).values(due_at=due))
    way.timer(due)
    assert (way.process.due_at, way.waits_for) == (None, "the void")
    assert way.asked == ["AuthorisationAskedV1", "VoidAskedV1"]


def test_an_order_that_was_submitted_before_there_was_a_process_is_left_to_the_shop(shop: Shop) -> None:
    way = submitted(shop, kept(shop, 0), paid=False)
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.delete(ordering.FULFILMENTS))
    way.confirm()
    way.timer(datetime.now(UTC) + timedelta(days=99))
    assert way.order.status is OrderStatus.CONFIRMED
    assert rows(shop.ordering_engine, ordering.FULFILMENTS) == []


def test_of_two_who_go_on_with_one_fulfilment_at_once_one_decides_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = submitted(shop, kept(shop, 0))
    first, second = way.process, way.process
    for process, fails in ((first, False), (second, True)):
        work = UnitOfWork(shop.ordering_engine)
        moved = MoveDeadline(order_id=process.order_id, at=datetime.now(UTC))
        fulfilments = Fulfilments(work, Metadata())
        monkeypatch.setattr(fulfilments, "find", lambda _id, found=process: found)  # both have read before
        move_deadline(moved, fulfilments)
        if fails:
            with pytest.raises(LostRace):
                work.commit()
        else:
            work.commit()
