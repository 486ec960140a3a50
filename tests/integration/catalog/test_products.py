"""Products are loaded as they were saved, and refused where they should be."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.domain.errors import ProductAlreadyExists, ProductNotFound
from shared.catalog.domain.product import Product
from shared.catalog.events import ProductAddedV1, ProductPriceChangedV1, ProductRenamedV1
from shared.catalog.repository import Products
from shared.catalog.tables import LOG, PRODUCTS
from shared.frame.context import Context
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.kernel.refusals import Invalid, Refusal, StaleVersion
from tests.kit.commands import Given, Handler
from tests.support.shop import Shop, about_product, rows


def adding(product_id: UUID, price: str = "12.5000") -> AddProduct:
    return AddProduct(
        product_id=product_id, name="Tee ☕", unit_price=Decimal(price), currency="EUR", category="Drinks"
    )


def repricing(product_id: UUID, price: str = "0.01") -> ChangePrice:
    return ChangePrice(product_id=product_id, unit_price=Decimal(price))


def renaming(product_id: UUID) -> RenameProduct:
    return RenameProduct(product_id=product_id, name="Sencha")


def only_at(*versions: int) -> Metadata:
    return Metadata(expected_versions=set(versions))


@pytest.fixture
def catalogue(shop: Shop) -> Context[Any]:
    return shop.wired()["catalog"]


def test_a_product_is_stored_as_the_events_say(shop: Shop, catalogue: Context[Any]) -> None:
    id_, given = uuid4(), Given(catalogue)
    given.when(add_product, adding(id_)).then(
        ProductAddedV1(id_, "Tee ☕", "", Decimal("12.5000"), "EUR", "Drinks"),
    )
    given.when(change_price, repricing(id_), only_at(1)).then(ProductPriceChangedV1(id_, Decimal("0.01"), "EUR"))
    renamed = given.when(rename_product, renaming(id_), only_at(2))
    renamed.then(ProductRenamedV1(id_, "Sencha"))
    assert renamed.accepted() == Accepted(id_, 3)
    with shop.catalog_engine.connect() as connection:
        stored = Products(UnitOfWork(shop.catalog_engine), Metadata()).load(id_)
        folded = Product.fold(about_product(LOG.history(connection, id_)))
    assert vars(stored) == vars(folded)
    assert (stored.name, str(stored.price)) == ("Sencha", "0.01")


REFUSED: list[tuple[Handler, Callable[[UUID], Any], Metadata, type[Refusal]]] = [
    (add_product, adding, Metadata(), ProductAlreadyExists),
    (add_product, lambda _: adding(uuid4(), "0.001"), Metadata(), Invalid),
    (add_product, lambda _: adding(uuid4()), only_at(1), StaleVersion),
    (change_price, lambda _: repricing(uuid4()), Metadata(), ProductNotFound),
    (change_price, lambda known: repricing(known, "0.001"), Metadata(), Invalid),
    (change_price, repricing, only_at(2), StaleVersion),
    (rename_product, lambda _: renaming(uuid4()), Metadata(), ProductNotFound),
]


@pytest.mark.parametrize(("handler", "command", "metadata", "refusal"), REFUSED)
def test_a_refused_command_changes_nothing(
    handler: Handler,
    command: Callable[[UUID], Any],
    metadata: Metadata,
    refusal: type[Refusal],
    catalogue: Context[Any],
) -> None:
    known = uuid4()
    Given(catalogue, (add_product, adding(known))).when(handler, command(known), metadata).refused(refusal)


def test_a_product_that_is_saved_from_an_older_version_loses_the_race(shop: Shop) -> None:
    product_id = shop.catalog.run(add_product, adding(uuid4()), Metadata()).aggregate_id
    stale = Products(UnitOfWork(shop.catalog_engine), Metadata()).load(product_id)
    shop.catalog.run(rename_product, renaming(product_id), Metadata())
    stale.rename("Late")
    work = UnitOfWork(shop.catalog_engine)
    Products(work, Metadata()).save(stale)
    with pytest.raises(LostRace):
        work.commit()
    assert rows(shop.catalog_engine, PRODUCTS)[0]["name"] == "Sencha"
