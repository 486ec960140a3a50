"""Each event is looked for in the document that it has to have changed, and none can hide."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.operations import lag
from shared.frame.operations.lag import measure, move_mark
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import LOG
from tests.integration.operations.conftest import LiveShop

FOREVER = 2.0**40


@pytest.fixture(autouse=True)
def young_events_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log's order be final at once."""
    monkeypatch.setattr(lag, "SETTLED", timedelta(0))


async def test_a_view_without_events_is_not_behind(live: LiveShop) -> None:
    found = await measure(live.orders_view, live.read_models, generation=1)
    assert (found.position, found.newest, found.unapplied, found.oldest) == (0, 0, 0, None)


async def test_the_mark_moves_behind_what_is_applied(live: LiveShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "MOST", 4)
    await live.open(customers=2, products=2, orders=30)
    found = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert found.position == found.newest > 20
    assert (found.unapplied, found.examined) == (0, 0)
    products = await move_mark(live.products_view, live.read_models, 1, FOREVER)
    assert products.position == products.newest >= 2


async def test_an_event_that_is_not_applied_holds_the_mark_up_and_is_told_with_its_age(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=1)
    before = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    stuck, fine = (live.shop.order(live.products[0], customer_id=live.customers[0]) for _ in range(2))
    await live.project(fine)

    found = await move_mark(live.orders_view, live.read_models, 1, FOREVER)

    assert (found.position, found.newest) == (before.position, before.newest + 2)
    assert (found.examined, found.unapplied) == (2, 1)
    assert found.oldest is not None
    live.shop.ordering.run(submit_order, SubmitOrder(order_id=stuck), Metadata())
    assert (await measure(live.orders_view, live.read_models, generation=1)).unapplied == 2

    await live.project(stuck)
    found = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert (found.position, found.unapplied, found.oldest) == (before.newest + 3, 0, None)


async def test_the_mark_stays_before_what_may_have_neighbours_that_are_not_visible_yet(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "SETTLED", timedelta(minutes=1))
    await live.open(customers=1, products=2, orders=5)
    found = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert (found.position, found.examined) == (0, 0)
    asked = await measure(live.orders_view, live.read_models, generation=1)
    assert (asked.position, asked.unapplied) == (0, 0)
    assert asked.examined == sum(live.projected.values()) > 0


async def test_what_is_old_behind_what_is_young_waits_for_it(live: LiveShop) -> None:
    """An instance whose clock is late wrote it; the mark must not pass what is before it."""
    await live.open(customers=1, products=2, orders=3)
    source = live.orders_view.source
    events = await source.changed(0, await source.newest(), lag.MOST)
    first, young, late = (event.sequence for event in events[:3])
    an_hour = timedelta(hours=1)
    with live.shop.ordering_engine.begin() as connection:
        for sequence, by in ((first, -an_hour), (young, an_hour), (late, -an_hour)):
            connection.execute(
                sa.update(LOG.table)
                .where(LOG.table.c.sequence == sequence)
                .values(occurred_at=events[0].occurred_at + by)
            )

    assert await source.stretch(0, events[0].occurred_at) == first
    found = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert (found.position, found.examined) == (first, 0)


async def test_the_mark_of_a_generation_says_nothing_of_the_next_one_in_the_same_container(live: LiveShop) -> None:
    """Its container was cleared in between, and may have been filled by halves."""
    await live.open(customers=1, products=2, orders=5)
    marked = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
    assert marked.position == marked.newest
    anew = await measure(live.orders_view, live.read_models, generation=3)
    assert (anew.position, anew.examined) == (0, sum(live.projected.values()))
