"""Ratings: one for each customer and product, summed up exactly whoever rates at the same time."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy
from pydantic import ValidationError

from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.domain.rating import Rating, rating_id
from shared.catalog.events import CatalogEvent, ProductRatedV1
from shared.catalog.ratings import Ratings
from shared.catalog.tables import LOG, RATINGS
from shared.catalog.views import product_projection
from shared.catalog.views.product_details import ProductDetails, ReadProduct, read_product
from shared.catalog.views.product_lists import ListProducts, ProductListEntries, list_products
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.platform.input import After
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT, wait_for
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.kernel.refusals import Invalid, Refusal, StaleVersion, Unavailable
from tests.integration.ordering.test_round_trips import counted
from tests.support.containers import only
from tests.support.shop import Shop, rows
from tests.support.tags import tag_of


def rate(shop: Shop, product_id: UUID, customer_id: UUID, rating: int, metadata: Metadata | None = None) -> int:
    command = RateProduct(product_id=product_id, customer_id=customer_id, rating=rating)
    return shop.catalog.run(rate_product, command, metadata or Metadata()).version


def history(shop: Shop, aggregate_id: UUID) -> list[Recorded[CatalogEvent]]:
    with shop.catalog_engine.connect() as connection:
        return list(LOG.history(connection, aggregate_id))


@pytest.fixture
def projection(shop: Shop, catalog: ContainerProxy) -> Projection[CatalogEvent]:
    return Projection(
        only(catalog), shop.catalog_engine, LOG, product_projection.project, derive=ProductListEntries().write
    )


async def shown(catalog: ContainerProxy, product_id: UUID) -> ProductDetails:
    return (await read_product(Served(catalog, 1), ReadProduct(product_id=product_id), NO_WAIT))[0]


def test_a_rating_is_stored_as_its_events_say(shop: Shop) -> None:
    product_id, customer_id = shop.product(), uuid4()
    assert [rate(shop, product_id, customer_id, rating) for rating in (4, 2, 2)] == [1, 2, 3]
    stored = Ratings(UnitOfWork(shop.catalog_engine), Metadata()).of(product_id, customer_id)
    events = [each.event for each in history(shop, rating_id(product_id, customer_id))]
    folded = Rating.fold(event for event in events if isinstance(event, ProductRatedV1))
    assert stored is not None
    assert vars(stored) == vars(folded)
    assert stored.rating == 2


def test_a_rating_is_refused_where_it_should_be_and_nothing_changes(shop: Shop) -> None:
    product_id, customer_id, other = shop.product(), uuid4(), uuid4()
    rate(shop, product_id, customer_id, 3)
    before = rows(shop.catalog_engine, RATINGS), rows(shop.catalog_engine, LOG.table)
    refused: list[tuple[UUID, UUID, Metadata, type[Refusal]]] = [
        (uuid4(), customer_id, Metadata(), ProductNotFound),
        (product_id, customer_id, Metadata(owner_id=other), Invalid),
        (uuid4(), customer_id, Metadata(owner_id=other), Invalid),
        (product_id, customer_id, Metadata(expected_versions={2}), StaleVersion),
        (product_id, other, Metadata(expected_versions={1}), StaleVersion),
    ]
    for product, customer, metadata, refusal in refused:
        with pytest.raises(refusal) as caught:
            rate(shop, product, customer, 5, metadata)
        assert type(caught.value) is refusal
    assert (rows(shop.catalog_engine, RATINGS), rows(shop.catalog_engine, LOG.table)) == before
    assert rate(shop, product_id, customer_id, 5, Metadata(owner_id=customer_id, expected_versions={1})) == 2


@pytest.mark.parametrize(
    "rating", ["0", "6", "-1", "4.5", "1e400", "true", '"4"', "null", "[4]", "1000000000000000000"]
)
def test_only_whole_numbers_from_1_to_5_are_ratings(rating: str) -> None:
    text = f'{{"productId": "{uuid4()}", "customerId": "{uuid4()}", "rating": {rating}}}'
    with pytest.raises(ValidationError) as caught:
        RateProduct.model_validate_json(text)
    assert [error["loc"] for error in caught.value.errors()] == [("rating",)]


@pytest.mark.parametrize("before", [0, 1])
def test_of_two_processes_that_take_a_rating_at_once_the_second_decides_again(shop: Shop, before: int) -> None:
    """Within one process they stand in line."""
    product_id, customer_id = shop.product(), uuid4()
    for _ in range(before):
        rate(shop, product_id, customer_id, 3)
    works = [UnitOfWork(shop.catalog_engine) for _ in range(2)]
    for work, rating in zip(works, (1, 5), strict=True):
        ratings = Ratings(work, Metadata())
        known = ratings.of(product_id, customer_id)
        if known is None:
            known = Rating.give(product_id, customer_id, rating)
        else:
            known.change(rating)
        ratings.save(known)
    works[0].commit()
    with pytest.raises(LostRace):
        works[1].commit()
    [row] = rows(shop.catalog_engine, RATINGS)
    assert (row["rating"], row["version"]) == (1, before + 1)


def test_a_customer_who_rates_twice_at_once_has_one_rating(shop: Shop) -> None:
    product_id, customer_id = shop.product(), uuid4()
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda rating: rate(shop, product_id, customer_id, rating), (1, 2, 3, 4, 5, 1, 2, 3)))
    assert sorted(versions) == list(range(1, 9))
    events = [each.event for each in history(shop, rating_id(product_id, customer_id))]
    said = [(event.before, event.rating) for event in events if isinstance(event, ProductRatedV1)]
    assert [before for before, _ in said] == [None, *(rating for _, rating in said[:-1])]


async def test_average_and_count_are_exact_when_all_rate_at_the_same_time(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    product_id, customers = shop.product(), [uuid4() for _ in range(20)]
    chance = random.Random(4)
    for customer_id in customers:
        for _ in range(chance.choice((1, 1, 2, 3))):
            rate(shop, product_id, customer_id, chance.randint(1, 5))
    events = [each for customer in customers for each in history(shop, rating_id(product_id, customer))]
    deliveries = [*events, *chance.sample(events, 10)]
    chance.shuffle(deliveries)
    # no event of the product has been projected: its document is brought from the log
    await asyncio.gather(*(projection.project(recorded) for recorded in deliveries))
    await projection.project(history(shop, product_id)[0])
    ratings = [row["rating"] for row in rows(shop.catalog_engine, RATINGS) if row["product_id"] == product_id]
    assert len(ratings) == 20
    product = await shown(catalog, product_id)
    exact = sum(rating for rating in ratings if isinstance(rating, int)) / 20
    assert (product.user_rating, product.rating_count, product.version) == (round(exact, 2), 20, 1)
    entry = await catalog.read_item(str(product_id), "products")
    assert (entry["item"]["ratingSum"], entry["item"]["ratingCount"]) == (round(exact * 20), 20)


@pytest.mark.parametrize(("ratings", "average"), [([], None), ([4], 4.0), ([5, 4, 4], 4.33), ([1, 1, 3], 1.67)])
async def test_the_average_has_two_digits(
    ratings: list[int], average: float | None, shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    product_id = shop.product()
    await projection.project(history(shop, product_id)[0])
    for rating in ratings:
        customer_id = uuid4()
        rate(shop, product_id, customer_id, rating)
        await projection.project(history(shop, rating_id(product_id, customer_id))[0])
    product = await shown(catalog, product_id)
    assert (product.user_rating, product.rating_count) == (average, len(ratings))


def test_a_version_of_a_rating_without_whose_is_refused_and_not_passed_over() -> None:
    with pytest.raises(ValidationError, match="give customerId too"):
        ReadProduct(product_id=uuid4(), min_rating_version=7)


async def test_a_product_has_another_etag_when_it_was_rated_and_waits_for_ones_own_rating(
    shop: Shop, catalog: ContainerProxy, projection: Projection[CatalogEvent]
) -> None:
    product_id, customer_id = shop.product(), uuid4()
    await projection.project(history(shop, product_id)[0])
    served, query = Served(catalog, 1), ReadProduct(product_id=product_id)
    before = tag_of(*await read_product(served, query, NO_WAIT))
    version = rate(shop, product_id, customer_id, 5)
    own = ReadProduct(product_id=product_id, customer_id=customer_id, min_rating_version=version)
    with pytest.raises(Unavailable, match="version 1 has not arrived yet"):
        await read_product(served, own, wait_for(0.05))
    with counted() as sent:
        await projection.project(history(shop, rating_id(product_id, customer_id))[0])
    assert [request.split()[0] for request in sent] == ["POST", "GET", "GET", "PATCH"], (
        "a batch, both documents, the entry"
    )
    product, shown = await read_product(served, own, NO_WAIT)
    assert (product.user_rating, shown) == (5.0, 1)
    assert tag_of(product, shown) != before
    listed = await list_products(served, ListProducts(after=After(product_id, 1), take=100), NO_WAIT)
    assert [item.user_rating for item in listed.items if item.product_id == product_id] == [5.0]
