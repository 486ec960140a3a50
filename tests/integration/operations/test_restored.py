"""A view that shows events which a restored log has no more is told, until it is made anew."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics.export import NumberDataPoint

from shared.frame.operations import lag
from shared.frame.operations.errors import GenerationIncomplete
from shared.frame.operations.lag import measure, move_mark
from shared.frame.operations.read_model_routes import watch
from shared.frame.operations.read_models import status
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.read_side.view_state import CONTROL
from tests.integration.operations.conftest import LiveShop
from tests.integration.operations.test_rebuilding import FOREVER, rebuilt
from tests.support.database import needs_sqlite
from tests.support.restoring import backed_up
from tests.support.telemetry import observing

pytestmark = needs_sqlite("a copy of its file is the backup")

Restore = Callable[[], Awaitable[int]]


@pytest.fixture(autouse=True)
def young_events_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log's order be final at once."""
    monkeypatch.setattr(lag, "SETTLED", timedelta(0))


@pytest.fixture
async def restore(live: LiveShop, tmp_path: Path) -> Restore:
    """Loses an order, which the view goes on to show, and tells how far the mark of what is lost was."""
    await live.open(customers=1, products=2, orders=5)
    (tmp_path / "backup").mkdir()
    put_back = backed_up(live.shop, tmp_path / "backup")

    async def restore() -> int:
        await live.project(live.shop.order(*live.products, customer_id=live.customers[0]))
        mark = await move_mark(live.orders_view, live.read_models, 1, FOREVER)
        assert (mark.position, mark.unapplied) == (mark.newest, 0)
        put_back()
        return mark.position

    return restore


async def told(live: LiveShop) -> float:
    """What the timer tells the alarm."""
    with observing() as observed:
        await watch(live.orders_view, live.read_models, FOREVER)
    [point] = observed.points("tandem.view.wrong")
    assert isinstance(point, NumberDataPoint)
    return point.value


async def test_a_view_that_shows_more_than_the_log_has_is_told(live: LiveShop, restore: Restore) -> None:
    assert await told(live) == 0
    position = await restore()
    [wrong] = (await status(live.orders_view, live.read_models)).wrong
    assert "orders: generation 1, which serves, shows events that the event log has no more" in wrong
    assert "python3 dev.py rebuild orders" in wrong
    assert await told(live) == 1
    found = await measure(live.orders_view, live.read_models, generation=1)
    assert found.position == 0
    assert found.unexamined == found.newest < position, "nothing is known of any event"


async def test_it_is_told_also_when_the_log_has_come_by_that_place_again_and_until_the_view_is_made_anew(
    live: LiveShop, restore: Restore
) -> None:
    position = await restore()
    for _ in range(3):
        await live.project(live.shop.order(*live.products, customer_id=live.customers[0]))
    assert await live.orders_view.source.newest() > position
    assert await told(live) == await told(live) == 1

    await rebuilt(live)
    assert (await status(live.orders_view, live.read_models)).wrong == []
    assert await told(live) == 0
    with pytest.raises(GenerationIncomplete, match=r"Generation 1 of orders shows events that the event log has no"):
        await Rebuilding(live.read_models, live.orders_view).roll_back()


async def test_a_mark_of_before_that_names_no_event_tells_a_log_that_ends_before_it(
    live: LiveShop, restore: Restore
) -> None:
    await restore()
    control = live.read_models.container(CONTROL)
    mark = await control.read_item("mark-orders", "orders")
    del mark["event"]
    await control.replace_item("mark-orders", mark)
    assert await told(live) == 1
