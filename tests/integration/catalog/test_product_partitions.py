"""Filling reads what a product's log has once, however many ratings there are of it."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.events import CatalogEvent
from shared.catalog.views.product_partitions import ProductPartitions
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.write_side import aggregate_streams
from shared.frame.write_side.event_log import EventLog
from tests.support.reserving import receive
from tests.support.shop import Shop

STOCK, RATINGS, PAGE = 60, 20, 6


def test_the_pages_of_a_products_ratings_do_not_read_its_stock_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    product_id = shop.product()
    for _ in range(STOCK):
        receive(shop, product_id, 1)
    for _ in range(RATINGS):
        command = RateProduct(product_id=product_id, customer_id=uuid4(), rating=4)
        shop.catalog.run(rate_product, command, Metadata())
    monkeypatch.setattr(aggregate_streams, "EVENTS", 1 + STOCK + PAGE)
    read: list[int] = []
    histories = EventLog.histories

    def counted(
        log: EventLog[CatalogEvent], connection: sa.Connection, ids: Sequence[UUID]
    ) -> dict[UUID, list[Recorded[CatalogEvent]]]:
        found = histories(log, connection, ids)
        read.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(EventLog, "histories", counted)
    pages, position, begun = ProductPartitions(), None, list[bool]()
    shown: list[UUID] = []
    with shop.catalog_engine.connect() as connection:
        while (page := pages.next(connection, position, PAGE))[1] is not None:
            [fold], position = page
            begun.append(fold.begins)
            shown += [history[0].envelope.aggregate_id for history in fold.histories]

    assert begun == [True, False, False, False], "a page has as many ratings as it may"
    assert read == [1 + STOCK + PAGE, 1 + PAGE, 1 + PAGE, 1 + RATINGS - 3 * PAGE]
    assert len(shown) == len(set(shown)) == 2 + RATINGS, "the product, its stock, and each rating once"
