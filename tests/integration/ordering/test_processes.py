"""Fulfilments as operators read them: one by one, in pages, and those that are due."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.frame.read_side.cursors import cursor_at
from shared.frame.read_side.read_your_writes import Wait
from shared.kernel.refusals import Invalid
from shared.ordering.domain.errors import ProcessNotFound
from shared.ordering.events import OrderStatus
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.views.processes import ListProcesses, OrderProcess, Processes, ReadProcess
from shared.payments.events import PaymentVoidedV1
from tests.support.on_its_way import held, kept, submitted
from tests.support.shop import Shop


async def listed(shop: Shop, **query: Any) -> tuple[list[OrderProcess], str | None]:
    page = await Processes(shop.ordering_engine).read_page(ListProcesses(**query), Wait(0))
    return page.items, page.next


async def all_listed(shop: Shop, **query: Any) -> list[UUID]:
    """What is listed, page by page."""
    found, cursor = await listed(shop, take=2, **query)
    while cursor:
        more, cursor = await listed(shop, take=2, cursor=cursor, **query)
        found += more
        assert len({each.order_id for each in found}) == len(found), "nothing comes twice"
    return [each.order_id for each in found]


async def test_fulfilments_are_listed_with_what_they_wait_for_and_what_comes_next(shop: Shop) -> None:
    waiting, paid, ended = submitted(shop, kept(shop, 0)), submitted(shop), submitted(shop)
    paid.pay(held(paid))
    ended.cancel()
    ended.pay(PaymentVoidedV1(ended.order_id))
    first, second = (await listed(shop))[0]
    assert (first.order_id, first.state, first.waits_for) == (waiting.order_id, "submitted", "stock")
    assert first.next == ["the authorisation", "the confirmation", "the shipment", "the capture"]
    assert first.deadline is not None
    assert first.deadline.waits_for is Deadline.STOCK
    assert (second.order_id, second.next, second.deadline) == (paid.order_id, ["the capture"], None)
    assert [each.order_id for each in (await listed(shop, state="confirmed"))[0]] == [paid.order_id]
    assert (await listed(shop, due=datetime.now(UTC)))[0] == []
    soon = datetime.now(UTC) + timedelta(days=15)
    assert [each.order_id for each in (await listed(shop, due=soon))[0]] == [waiting.order_id]


async def test_a_fulfilment_is_read_by_its_order_also_after_its_end(shop: Shop) -> None:
    way = submitted(shop)
    processes = Processes(shop.ordering_engine)
    [under_way] = (await listed(shop))[0]
    assert await processes.read_one(ReadProcess(order_id=way.order_id), Wait(0)) == under_way
    assert under_way.ended_at is None
    way.cancel()
    way.pay(PaymentVoidedV1(way.order_id))
    ended = await processes.read_one(ReadProcess(order_id=way.order_id), Wait(0))
    assert (ended.state, ended.waits_for, ended.next, ended.deadline) == ("cancelled", "nothing", [], None)
    assert ended.ended_at is not None
    assert [step.what for step in ended.steps][-2:] == ["asked for the void", "payment: voided"]
    with pytest.raises(ProcessNotFound):
        await processes.read_one(ReadProcess(order_id=uuid4()), Wait(0))


async def test_a_list_of_fulfilments_is_read_page_by_page(shop: Shop) -> None:
    ways = [submitted(shop, kept(shop, 0)) for _ in range(5)]
    assert await all_listed(shop) == [way.order_id for way in ways]


async def test_those_that_are_due_are_read_page_by_page_the_earliest_deadline_first(shop: Shop) -> None:
    ways = [submitted(shop, kept(shop, 0)) for _ in range(6)]
    now = datetime.now(UTC)
    for way, hours in zip(ways, (5, 3, 3, 3, 1, -1), strict=True):
        way.move(now - timedelta(hours=hours))
    at_once = sorted((way.order_id for way in ways[1:4]), key=str)
    assert await all_listed(shop, due=now) == [ways[0].order_id, *at_once, ways[4].order_id]
    assert await all_listed(shop, due=now, state="confirmed") == []
    _, cursor = await listed(shop, take=2)
    for of_no_such_list in (cursor, ""):
        with pytest.raises(Invalid):
            await listed(shop, take=2, cursor=of_no_such_list, state="confirmed")


async def test_a_deadline_that_moves_before_the_cursor_is_found_from_the_beginning(
    shop: Shop,
) -> None:
    ways = [submitted(shop, kept(shop, 0)) for _ in range(4)]
    now = datetime.now(UTC)
    for way, hours in zip(ways, (4, 3, 2, 1), strict=True):
        way.move(now - timedelta(hours=hours))
    _, cursor = await listed(shop, take=2, due=now)
    ways[3].move(now - timedelta(hours=5))
    rest, _ = await listed(shop, take=2, due=now, cursor=cursor)
    assert [each.order_id for each in rest] == [ways[2].order_id]
    assert await all_listed(shop, due=now) == [way.order_id for way in (ways[3], *ways[:3])]
    assert "comes to lie before the cursor is on none" in str(ListProcesses.model_fields["due"].description)


@pytest.mark.parametrize(
    "place",
    [
        "7",
        "a b",
        f"2026-11-30T12:00:00+00:00 {UUID(int=1)} x",
        f"2026-11-30T12:00:00 {UUID(int=1)}",
        f"0001-01-01T00:00:00+14:00 {UUID(int=1)}",
        "2026-11-30T12:00:00+00:00 7",
        "2026-11-30T12:00:00+00:00 ",
    ],
)
async def test_a_cursor_that_somebody_made_up_is_refused(shop: Shop, place: str) -> None:
    """The check in a cursor is no secret."""
    with pytest.raises(Invalid) as refused:
        await listed(shop, cursor=cursor_at(place, "processes None", 0))
    assert [error.pointer for error in refused.value.errors] == ["/cursor"]


async def test_a_deadline_that_was_moved_to_long_ago_is_listed_and_acts_at_once(shop: Shop) -> None:
    way = submitted(shop)
    way.move(datetime(1, 1, 1, tzinfo=UTC))
    assert await all_listed(shop, due=datetime.now(UTC)) == [way.order_id]
    way.timer(datetime.now(UTC))
    assert way.order.status == OrderStatus.CANCELLED
