"""What operators are told of the stock turns when it does, and turns back."""

from shared.catalog.event_handlers.follow_orders import follow_order
from shared.catalog.metrics import OLDEST, RESERVED, WAITING
from shared.catalog.tables import INBOX
from shared.ordering.tables import LOG
from tests.support.jobs import do
from tests.support.reserving import kept, receive, submitted
from tests.support.shop import Shop
from tests.support.telemetry import observing


async def told(shop: Shop) -> tuple[float, float, float]:
    """Pieces reserved, pieces waited for, and the age of the oldest submission that waits."""
    with observing() as observed:
        await do(shop.wired()["catalog"], "catalog figures")
        points = [observed.points(figure.name) for figure in (RESERVED, WAITING, OLDEST)]
    [reserved], [waiting], [oldest] = points
    assert reserved.attributes == {"tandem.context": "catalog"}
    return reserved.value, waiting.value, oldest.value  # type: ignore[union-attr]  # they are gauges


async def test_what_is_reserved_and_waited_for_is_told_and_how_long_the_oldest_has_waited(shop: Shop) -> None:
    assert await told(shop) == (0, 0, 0)
    product_id, other_id = kept(shop, 2), kept(shop, 5)
    order_id = submitted(shop, product_id, other_id, quantity=3)
    with shop.ordering_engine.connect() as connection:
        for recorded in LOG.history(connection, order_id):
            shop.catalog.follow(INBOX, follow_order, recorded)
    reserved, waiting, oldest = await told(shop)
    assert (reserved, waiting) == (5, 1)
    assert oldest > 0
    receive(shop, product_id, 1)
    assert await told(shop) == (6, 0, 0)
