"""Products are loaded as they were saved, and refused where they should be."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.domain.errors import ProductAlreadyExists, ProductNotFound
from shared.catalog.domain.product import Product
from shared.catalog.repository import Products
from shared.catalog.tables import LOG, PRODUCTS
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.kernel.refusals import Invalid, Refusal, StaleVersion
from tests.support.shop import Shop, about_product, rows


def add(shop: Shop, product_id: UUID, metadata: Metadata, price: str = "12.5000") -> Accepted:
    command = AddProduct(
        product_id=product_id, name="Tee ☕", unit_price=Decimal(price), currency="EUR", category="Drinks"
    )
    return shop.catalog.run(add_product, command, metadata)


def reprice(shop: Shop, product_id: UUID, metadata: Metadata, price: str = "0.01") -> Accepted:
    return shop.catalog.run(change_price, ChangePrice(product_id=product_id, unit_price=Decimal(price)), metadata)


def rename(shop: Shop, product_id: UUID, metadata: Metadata) -> Accepted:
    return shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Sencha"), metadata)


def test_a_product_is_stored_as_the_events_say(shop: Shop) -> None:
    product_id = uuid4()
    assert add(shop, product_id, Metadata()) == Accepted(product_id, 1)
    assert reprice(shop, product_id, Metadata(expected_versions={1})) == Accepted(product_id, 2)
    assert rename(shop, product_id, Metadata(expected_versions={2})) == Accepted(product_id, 3)
    with shop.catalog_engine.connect() as connection:
        stored = Products(UnitOfWork(shop.catalog_engine), Metadata()).load(product_id)
        folded = Product.fold(about_product(LOG.history(connection, product_id)))
    assert vars(stored) == vars(folded)
    assert (stored.name, str(stored.price)) == ("Sencha", "0.01")


REFUSED: list[tuple[Callable[[Shop, UUID], object], type[Refusal]]] = [
    (lambda shop, known: add(shop, known, Metadata()), ProductAlreadyExists),
    (lambda shop, _: add(shop, uuid4(), Metadata(), "0.001"), Invalid),
    (lambda shop, _: add(shop, uuid4(), Metadata(expected_versions={1})), StaleVersion),
    (lambda shop, _: reprice(shop, uuid4(), Metadata()), ProductNotFound),
    (lambda shop, known: reprice(shop, known, Metadata(), "0.001"), Invalid),
    (lambda shop, known: reprice(shop, known, Metadata(expected_versions={2})), StaleVersion),
    (lambda shop, _: rename(shop, uuid4(), Metadata()), ProductNotFound),
]


@pytest.mark.parametrize(("command", "refusal"), REFUSED)
def test_a_refused_command_changes_nothing(
    command: Callable[[Shop, UUID], object], refusal: type[Refusal], shop: Shop
) -> None:
    known = add(shop, uuid4(), Metadata()).aggregate_id
    before = rows(shop.catalog_engine, PRODUCTS), rows(shop.catalog_engine, LOG.table)
    with pytest.raises(refusal) as caught:
        command(shop, known)
    assert type(caught.value) is refusal
    assert (rows(shop.catalog_engine, PRODUCTS), rows(shop.catalog_engine, LOG.table)) == before


def test_a_product_that_is_saved_from_an_older_version_loses_the_race(shop: Shop) -> None:
    product_id = add(shop, uuid4(), Metadata()).aggregate_id
    stale = Products(UnitOfWork(shop.catalog_engine), Metadata()).load(product_id)
    rename(shop, product_id, Metadata())
    stale.rename("Late")
    work = UnitOfWork(shop.catalog_engine)
    Products(work, Metadata()).save(stale)
    with pytest.raises(LostRace):
        work.commit()
    assert rows(shop.catalog_engine, PRODUCTS)[0]["name"] == "Sencha"
