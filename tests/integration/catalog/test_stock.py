"""Stock is stored as its events say, beside its product, and nothing gets below zero."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.domain.errors import ProductNotFound, StockNotKept, StockTooLarge
from shared.catalog.domain.stock import Stock, stock_of
from shared.catalog.events import StockEvent, StockLevel
from shared.catalog.repository import Stocks
from shared.catalog.tables import LOG, STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import StaleVersion
from tests.support.shop import Shop, rows


def receive(shop: Shop, product_id: UUID, quantity: int, metadata: Metadata | None = None) -> Accepted:
    command = ReceiveStock(product_id=product_id, quantity=quantity, reference="D 1")
    return shop.catalog.run(receive_stock, command, metadata or Metadata())


def recount(shop: Shop, product_id: UUID, counted: int) -> Accepted:
    return shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=counted, reason="r"), Metadata())


def level(shop: Shop, product_id: UUID) -> StockLevel:
    """What the tables say, which is what the log says."""
    stored = Stocks(UnitOfWork(shop.catalog_engine), Metadata()).load(product_id)
    with shop.catalog_engine.connect() as connection:
        events: list[StockEvent] = [
            recorded.event  # type: ignore[misc]  # of its stream
            for recorded in LOG.history(connection, stock_of(product_id))
        ]
    folded = Stock.fold(events)
    assert (stored.version, stored.level) == (folded.version, folded.level)
    return stored.level


def test_stock_begins_with_what_is_received_and_has_versions_of_its_own(shop: Shop) -> None:
    product_id = shop.product()
    with pytest.raises(StockNotKept):
        recount(shop, product_id, 3)
    assert receive(shop, product_id, 5) == Accepted(stock_of(product_id), 1)
    assert receive(shop, product_id, 2, Metadata(expected_versions={1})).version == 2
    assert recount(shop, product_id, 4).version == 3
    assert level(shop, product_id) == StockLevel(4, 0, 0)
    rename = RenameProduct(product_id=product_id, name="Mate")
    assert shop.catalog.run(rename_product, rename, Metadata()) == Accepted(product_id, 2)


def test_a_product_may_come_with_its_stock_in_one_transaction(shop: Shop) -> None:
    command = AddProduct(
        product_id=uuid4(), name="T", unit_price=Decimal(1), currency="EUR", category="c", initial_stock=0
    )
    keyed = Metadata(command_id="k", fingerprint=b"f".ljust(32))
    assert shop.catalog.run(add_product, command, keyed) == Accepted(command.product_id, 1)
    assert shop.catalog.run(add_product, command, keyed) == Accepted(command.product_id, 1, replayed=True)
    assert level(shop, command.product_id) == StockLevel(0, 0, 0)


def test_what_is_refused_changes_nothing(shop: Shop) -> None:
    with pytest.raises(ProductNotFound):
        receive(shop, uuid4(), 1)
    with pytest.raises(ProductNotFound):
        recount(shop, uuid4(), 1)
    product_id = shop.product()
    with pytest.raises(StaleVersion):
        receive(shop, product_id, 1, Metadata(expected_versions={1}))
    assert rows(shop.catalog_engine, STOCK) == []
    receive(shop, product_id, 1_000_000)
    with pytest.raises(StockTooLarge):
        receive(shop, product_id, 1)
    with pytest.raises(StaleVersion):
        receive(shop, product_id, 1, Metadata(expected_versions={7}))
    assert level(shop, product_id) == StockLevel(1_000_000, 0, 0)


def test_receipts_at_once_all_count_the_first_ones_too(shop: Shop) -> None:
    product_id = shop.product()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: receive(shop, product_id, 1), range(8)))
    assert sorted(answer.version for answer in answers) == list(range(1, 9))
    assert level(shop, product_id) == StockLevel(8, 0, 0)


@pytest.mark.parametrize("wrong", [{"reserved": 6}, {"reserved": -1}, {"on_hand": -1}, {"waiting": -1}], ids=str)
def test_the_database_refuses_what_no_rule_lets_happen(shop: Shop, wrong: dict[str, int]) -> None:
    product_id = shop.product()
    receive(shop, product_id, 5)
    with pytest.raises(sa.exc.IntegrityError), shop.catalog_engine.begin() as connection:
        connection.execute(sa.update(STOCK).values(**wrong))
