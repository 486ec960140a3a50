"""A view of a rare event type: what it does not show is looked through once, and by a stretch of the log at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.catalog.tables import LOG
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations import lag
from shared.frame.operations.lag import measure, move_mark
from shared.frame.operations.read_model_routes import watch
from shared.frame.read_side import log_source
from shared.frame.read_side.presence import wrong_with
from shared.frame.read_side.read_model import View
from shared.frame.write_side import aggregate_streams
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from tests.integration.operations.conftest import LiveShop

FOREVER = 2.0**40

type Asked = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log's order be final at once, and a stretch be a few events."""
    monkeypatch.setattr(lag, "SETTLED", timedelta(0))
    monkeypatch.setattr(aggregate_streams, "STRETCH", 4)


@pytest.fixture
def related(live: LiveShop) -> View:
    """What was bought together: of one event type, of which the log has none yet."""
    return live.related_view


@contextmanager
def asking_the_log() -> Iterator[Asked]:
    """Note the questions that event logs are asked."""
    asked: Asked = []

    def note(_connection: object, _cursor: object, statement: str, _values: object, made: Any, _many: object) -> None:
        if "event_log" in statement:
            asked.append((statement, made.compiled_parameters[0]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def bought(live: LiveShop, *product_ids: UUID) -> None:
    """Let products be bought together, without projecting that."""
    order_id = live.shop.order(*product_ids)
    live.shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    live.shop.follow_order(order_id)


async def test_what_a_view_does_not_show_is_looked_through_once(live: LiveShop, related: View) -> None:
    await live.open(customers=1, products=30, orders=0)
    newest = await related.source.newest()
    assert newest >= 30
    assert (await move_mark(related, live.read_models, 1, FOREVER)).position == newest

    await watch(related, live.read_models, FOREVER)
    with asking_the_log() as asked:
        await move_mark(related, live.read_models, 1, FOREVER)
    assert [values["after"] for _, values in asked if "after" in values] == [newest], "and only what is new"

    await live.open(customers=1, products=1, orders=0)
    found = await measure(related, live.read_models, generation=1)
    assert (found.position, found.examined, found.unapplied) == (newest, 0, 0)


async def test_the_mark_of_what_is_rare_is_held_up_by_what_is_not_applied(live: LiveShop, related: View) -> None:
    await live.open(customers=1, products=10, orders=0)
    before = await related.source.newest()
    await bought(live, *live.products[:2])
    await live.open(customers=1, products=10, orders=0)

    found = await move_mark(related, live.read_models, 1, FOREVER)
    [first, _] = await related.source.changed(0, await related.source.newest(), 10)
    assert before - aggregate_streams.STRETCH <= found.position < first.sequence
    assert (await measure(related, live.read_models, generation=1)).unapplied == 2

    await related.source.fill(related.generations.container(1), None)
    found = await move_mark(related, live.read_models, 1, FOREVER)
    assert (found.position, found.unapplied) == (found.newest, 0)


async def test_a_page_of_filling_looks_at_some_aggregates_whether_or_not_the_view_shows_them(
    live: LiveShop, related: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that went on until it had a page of what is rare would read the whole log, again at each try."""
    monkeypatch.setattr(log_source, "PAGE", 1)
    await live.open(customers=1, products=40, orders=0)
    await bought(live, *live.products[:2])
    pages, position = [], None
    while True:
        filled = await related.source.fill(related.generations.container(1), position)
        if filled.position is None:
            break
        pages.append(filled)
        position = filled.position
    assert len({each.position for each in pages}) == len(pages) >= 40 / aggregate_streams.LOOKED_AT
    assert sum(each.seen for each in pages) == 2
    assert max(each.seen for each in pages) == 1
    assert any(each.seen == 0 for each in pages)


async def test_what_is_young_holds_the_mark_up_although_the_view_does_not_show_it(
    live: LiveShop, related: View
) -> None:
    """Before it in the log's order there may be what is not visible yet, also of the view's own."""
    await live.open(customers=1, products=20, orders=0)
    young = 11
    with live.shop.catalog_engine.begin() as connection:
        later = {"occurred_at": datetime.now(UTC) + timedelta(hours=1)}
        connection.execute(sa.update(LOG.table).where(LOG.table.c.sequence == young).values(later))
    assert (await move_mark(related, live.read_models, 1, FOREVER)).position == young - 1


async def test_a_gap_in_the_logs_sequences_is_passed(live: LiveShop, related: View) -> None:
    await live.open(customers=1, products=20, orders=0)
    with live.shop.catalog_engine.begin() as connection:
        connection.execute(sa.delete(LOG.table).where(LOG.table.c.sequence.between(3, 17)))
    found = await move_mark(related, live.read_models, 1, FOREVER)
    assert found.position == found.newest


async def test_health_looks_at_a_stretch_of_the_log_for_an_empty_view(live: LiveShop, related: View) -> None:
    await live.open(customers=1, products=30, orders=0)
    with asking_the_log() as asked:
        assert await wrong_with(related) == []
    [(statement, _)] = asked
    assert "JOIN (SELECT" in statement, "the aggregates that are looked at, whichever they are"
