"""Lists of products: what they find, how they are paged while the catalogue changes, and what they cost."""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy
from pydantic import ValidationError

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.domain.stock import stock_of
from shared.catalog.tables import LOG
from shared.catalog.views import product_lists, product_projection
from shared.catalog.views.inventory import ProductInventory
from shared.catalog.views.out_of_stock import InventoryList, ListOutOfStock, list_out_of_stock
from shared.catalog.views.product_details import ReadProduct, partition_key_of, read_product
from shared.catalog.views.product_lists import ListProducts, ProductInList, ProductList, list_products
from shared.frame.http import etags
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.input import After
from shared.frame.read_side.container import Container
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import NO_WAIT, point_read, wait_for
from shared.kernel.refusals import Invalid, Unavailable
from tests.integration.ordering.test_round_trips import counted
from tests.support.containers import only
from tests.support.shop import Shop
from tests.support.tags import tag_of

if TYPE_CHECKING:
    from shared.catalog.events import CatalogEvent


class Shelf:
    """A category of a test's own, with its projection."""

    def __init__(self, shop: Shop, container: ContainerProxy) -> None:
        self.shop, self.container = shop, container
        self.category = f"Category {uuid4()}"
        self.projection: Projection[CatalogEvent] = Projection(
            only(container),
            shop.catalog_engine,
            LOG,
            product_projection.project,
            derive=product_lists.ProductListEntries().write,
        )

    async def add(self, name: str = "Tea") -> UUID:
        """Add a product to it."""
        command = AddProduct(name=name, unit_price=Decimal(1), currency="EUR", category=self.category)
        self.shop.catalog.run(add_product, command, Metadata())
        await self.project(command.product_id)
        return command.product_id

    async def rename(self, product_id: UUID, name: str) -> None:
        """Rename a product."""
        self.shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name=name), Metadata())
        await self.project(product_id)

    async def stock(self, product_id: UUID, pieces: int) -> None:
        """Have so many pieces of a product."""
        receipt = ReceiveStock(product_id=product_id, quantity=1)
        self.shop.catalog.run(receive_stock, receipt, Metadata())
        await self.project(stock_of(product_id))
        recount = RecountStock(product_id=product_id, counted=pieces, reason="counted")
        self.shop.catalog.run(recount_stock, recount, Metadata())
        await self.project(stock_of(product_id))

    async def project(self, product_id: UUID) -> None:
        """Project what happened to a product last."""
        with self.shop.catalog_engine.connect() as connection:
            last = LOG.history(connection, product_id)[-1]
        await self.projection.project(last)

    async def page(self, name: str | None = None, cursor: str | None = None, take: int = 100) -> ProductList:
        """Read a page of what it has."""
        query = ListProducts(name=name, category=self.category, cursor=cursor, take=take)
        return await list_products(Served(self.container, 1), query, NO_WAIT)

    async def found(self, name: str | None = None) -> set[str]:
        """Read the names of what is found."""
        return {item.name for item in (await self.page(name)).items}


@pytest.fixture
def shelf(shop: Shop, catalog: ContainerProxy) -> Shelf:
    return Shelf(shop, catalog)


NAMES = ("Large Teapot", "Café crème", "Tea", "Grüner Tee", "Vitamin C", "🫖 Crème fraîche", "قهوة عربية", "c")
FOUND = [
    ("tea", {"Large Teapot", "Tea"}),  # the beginning of a word
    ("TEA", {"Large Teapot", "Tea"}),
    ("tea large", set()),  # `tea` is not the last word, so it is a whole one
    ("teapot large", {"Large Teapot"}),
    ("pot", set()),
    ("cafe", {"Café crème"}),
    ("CREME CAFÉ", {"Café crème"}),
    ("cre\u0300me", {"Café crème", "🫖 Crème fraîche"}),
    ("gruner te", {"Grüner Tee"}),
    ("c", {"Vitamin C", "c"}),  # one letter is a word, or half the catalogue would be found
    ("vitamin c", {"Vitamin C"}),
    ("🫖", {"🫖 Crème fraîche"}),
    ("عربية", {"قهوة عربية"}),
    ("عرب", {"قهوة عربية"}),
    ("tea' OR '1'='1", set()),
    ('") OR true --', set()),
    ("SELECT * FROM c", set()),
    ("@word0", set()),
    ("x" * 200, set()),
]


@pytest.mark.parametrize(("name", "found"), FOUND)
async def test_products_are_found_by_the_words_of_their_names(name: str, found: set[str], shelf: Shelf) -> None:
    for each in NAMES:
        await shelf.add(each)
    assert await shelf.found(name) == found


@pytest.mark.parametrize(
    "name",
    [
        "",
        "\u0301\u0308",
        "!?",
        "x" * 201,
        "x" * 10_000,
        " ",
        "a\0",
        "\u202eعرب",
        "one two three four five six seven 8 9 10 11",
    ],
)
def test_a_name_without_words_or_with_too_many_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ListProducts(name=name)
    assert [error["loc"] for error in caught.value.errors()] == [("name",)]


async def test_a_category_is_found_whatever_its_case_and_accents(shelf: Shelf) -> None:
    await shelf.add()
    shelf.category = shelf.category.upper().replace("E", "É")
    assert await shelf.found() == {"Tea"}
    shelf.category = shelf.category[:-1]
    assert await shelf.found() == set()


async def test_a_list_shows_new_names_and_prices_and_forgets_old_ones(shelf: Shelf) -> None:
    product_id = await shelf.add("Tea")
    await shelf.rename(product_id, "Coffee")
    shelf.shop.catalog.run(change_price, ChangePrice(product_id=product_id, unit_price=Decimal("2.50")), Metadata())
    await shelf.project(product_id)
    assert await shelf.found("tea") == set()
    [item] = (await shelf.page("coffee")).items
    assert item == ProductInList(
        product_id=product_id,
        name="Coffee",
        unit_price="2.50",
        currency="EUR",
        category=shelf.category,
        is_out_of_stock=False,
        available=None,
        user_rating=None,
        rating_count=0,
        version=3,
    )


@pytest.mark.parametrize("seed", range(4))
async def test_lists_show_the_last_name_in_whatever_order_events_come(seed: int, shelf: Shelf) -> None:
    product_id = await shelf.add("Tea")
    for name in ("Coffee", "Cocoa", "Water"):
        shelf.shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name=name), Metadata())
    with shelf.shop.catalog_engine.connect() as connection:
        events = LOG.history(connection, product_id)
    for recorded in random.Random(seed).sample([*events, *events], 8):
        await shelf.projection.project(recorded)
    assert await shelf.found() == {"Water"}


async def test_an_event_that_was_projected_but_not_listed_is_listed_when_it_comes_again(shelf: Shelf) -> None:
    product_id = await shelf.add("Tea")
    plain: Projection[CatalogEvent] = Projection(
        only(shelf.container), shelf.shop.catalog_engine, LOG, product_projection.project
    )
    shelf.shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Coffee"), Metadata())
    with shelf.shop.catalog_engine.connect() as connection:
        last = LOG.history(connection, product_id)[-1]
    await plain.project(last)  # a process that ended right behind this
    assert await shelf.found() == {"Tea"}
    await shelf.projection.project(last)
    assert await shelf.found() == {"Coffee"}


async def test_stock_that_overtakes_its_product_is_listed_when_the_product_comes(shelf: Shelf) -> None:
    product_id = shelf.shop.product()
    shelf.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=2), Metadata())
    await shelf.project(stock_of(product_id))
    assert await point_read(shelf.container, str(product_id), product_lists.LISTS) is None
    await shelf.project(product_id)
    entry = await shelf.container.read_item(str(product_id), product_lists.LISTS)
    assert product_lists.rendered(entry).available == 2


async def test_who_read_a_product_before_it_changed_does_not_write_over_what_came_since(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    product_id = await shelf.add("Tea")
    read = product_lists._shown

    async def and_then_it_is_renamed(container: Container, partition_key: str) -> Any:
        seen = await read(container, partition_key)
        monkeypatch.setattr(product_lists, "_shown", read)
        await shelf.rename(product_id, "Coffee")
        return seen

    monkeypatch.setattr(product_lists, "_shown", and_then_it_is_renamed)
    await product_lists.ProductListEntries().write(shelf.container, partition_key_of(product_id))
    assert await shelf.found() == {"Coffee"}


async def test_pages_have_what_stood_still_once_whatever_changes_in_between(shelf: Shelf) -> None:
    chance = random.Random(17)
    still = [await shelf.add(f"Tea {number}") for number in range(12)]
    moving = [await shelf.add(f"Tea then {number}") for number in range(6)]
    seen: list[UUID] = []
    cursor: str | None = None
    while True:
        page = await shelf.page("tea", cursor, take=3)
        assert len(page.items) <= 3
        seen += [item.product_id for item in page.items]
        if page.next is None:
            break
        cursor = page.next
        await shelf.add("Tea that is new")
        await shelf.rename(chance.choice(moving), chance.choice(("Aaa tea", "Zzz tea", "Coffee")))
    assert len(seen) == len(set(seen))
    assert set(still) <= set(seen)
    assert [product_id for product_id in seen if product_id in still] == still[::-1], "those added last come first"


@pytest.mark.parametrize("of_list", ["category", "out of stock"])
async def test_pages_have_once_what_is_in_a_list_all_the_time_whatever_is_sold_and_renamed(
    of_list: str, shelf: Shelf
) -> None:
    still = [await shelf.add() for _ in range(5)]
    sold = [await shelf.add() for _ in range(4)]
    for product_id in (*still, *sold):
        await shelf.stock(product_id, 0)

    async def page(cursor: str | None) -> ProductList | InventoryList:
        if of_list == "category":
            return await shelf.page(cursor=cursor, take=2)
        return await list_out_of_stock(Served(shelf.container, 1), ListOutOfStock(cursor=cursor, take=2), NO_WAIT)

    chance, seen, cursor = random.Random(17), list[UUID](), None
    while (read := await page(cursor)).next is not None:
        seen += [item.product_id for item in read.items]
        cursor = read.next
        await shelf.stock(await shelf.add(), 0)
        await shelf.stock(chance.choice(sold), chance.choice((0, 1)))
        await shelf.rename(chance.choice(still), chance.choice(("Aaa", "Zzz")))
    seen += [item.product_id for item in read.items]
    assert len(seen) == len(set(seen))
    assert [product_id for product_id in seen if product_id in still] == still[::-1], "those added last come first"


async def test_a_last_page_that_is_full_has_no_next(shelf: Shelf) -> None:
    for _ in range(2):
        await shelf.add()
    assert (await shelf.page(take=2)).next is None
    assert (await shelf.page(take=1)).next is not None


BAD: dict[str, Callable[[str], str]] = {
    "forged": lambda cursor: cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB"),
    "truncated": lambda cursor: cursor[:-1],
    "nothing": lambda _: "",
    "text": lambda _: "2026-11-29T00:00:00.000000Z/1",
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_cursor_that_this_list_did_not_give_is_refused_by_its_field(bad: str, shelf: Shelf) -> None:
    for _ in range(2):
        await shelf.add()
    cursor = (await shelf.page("tea", take=1)).next
    assert cursor is not None
    assert_refused(await refusal(shelf, Served(shelf.container, 1), BAD[bad](cursor), "tea"))


async def test_a_cursor_of_another_list_or_generation_is_refused(shelf: Shelf) -> None:
    for _ in range(2):
        await shelf.add()
    cursor = (await shelf.page("tea", take=1)).next
    assert cursor is not None
    assert_refused(await refusal(shelf, Served(shelf.container, 1), cursor, "te"))
    assert_refused(await refusal(shelf, Served(shelf.container, 1), cursor, None))
    assert_refused(await refusal(shelf, Served(shelf.container, 2), cursor, "tea"))
    category, shelf.category = shelf.category, "another"
    assert_refused(await refusal(shelf, Served(shelf.container, 1), cursor, "tea"))
    shelf.category = category
    assert (await shelf.page("TEA", cursor)).items, "the same list, spelled another way"


async def test_the_lists_of_all_products_and_of_what_is_out_of_stock_take_no_cursor_of_each_other(shelf: Shelf) -> None:
    for _ in range(2):
        product_id = await shelf.add()
        shelf.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
        shelf.shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="r"), Metadata())
        await shelf.project(stock_of(product_id))
    served = Served(shelf.container, 1)
    products = (await list_products(served, ListProducts(take=1), NO_WAIT)).next
    gone = (await list_out_of_stock(served, ListOutOfStock(take=1), NO_WAIT)).next
    assert products is not None
    assert gone is not None
    with pytest.raises(Invalid) as caught:
        await list_out_of_stock(served, ListOutOfStock(cursor=products), NO_WAIT)
    assert_refused(caught.value)
    with pytest.raises(Invalid) as caught:
        await list_products(served, ListProducts(cursor=gone), NO_WAIT)
    assert_refused(caught.value)


async def refusal(shelf: Shelf, served: Served, cursor: str, name: str | None) -> Invalid:
    query = ListProducts(name=name, category=shelf.category, cursor=cursor)
    with pytest.raises(Invalid) as caught:
        await list_products(served, query, NO_WAIT)
    return caught.value


def assert_refused(invalid: Invalid) -> None:
    assert [(error.pointer, error.location) for error in invalid.errors] == [("/cursor", "query")]


async def test_a_list_waits_for_the_version_that_a_command_gave(shelf: Shelf) -> None:
    product_id = await shelf.add()
    query = ListProducts(category=shelf.category, after=After(product_id, 1))
    assert len((await list_products(Served(shelf.container, 1), query, NO_WAIT)).items) == 1
    late = query.model_copy(update={"after": After(product_id, 2)})
    with pytest.raises(Unavailable, match="version 2 has not arrived yet"):
        await list_products(Served(shelf.container, 1), late, wait_for(0.05))


async def test_what_is_out_of_stock_waits_for_the_version_that_a_recount_gave(shelf: Shelf) -> None:
    product_id = await shelf.add()
    shelf.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    recount = RecountStock(product_id=product_id, counted=0, reason="gone")
    version = shelf.shop.catalog.run(recount_stock, recount, Metadata()).version
    served, query = Served(shelf.container, 1), ListOutOfStock(after=After(product_id, version), take=100)
    with pytest.raises(Unavailable, match="version 2 has not arrived yet"):
        await list_out_of_stock(served, query, wait_for(0.05))

    plain: Projection[CatalogEvent] = Projection(
        only(shelf.container), shelf.shop.catalog_engine, LOG, product_projection.project
    )
    with shelf.shop.catalog_engine.connect() as connection:
        *_, recounted = LOG.history(connection, stock_of(product_id))
    await plain.project(recounted)  # the stock shows it, and the entry in lists does not yet
    with pytest.raises(Unavailable, match="has not arrived yet"):
        await list_out_of_stock(served, query, wait_for(0.05))

    await shelf.projection.project(recounted)
    assert product_id in {item.product_id for item in (await list_out_of_stock(served, query, NO_WAIT)).items}


async def test_what_is_out_of_stock_waits_for_a_product_that_comes_after_its_stock(shelf: Shelf) -> None:
    product_id = shelf.shop.product()
    shelf.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    await shelf.project(stock_of(product_id))
    served, query = Served(shelf.container, 1), ListOutOfStock(after=After(product_id, 1))
    with pytest.raises(Unavailable):
        await list_out_of_stock(served, query, wait_for(0.05))
    await shelf.project(product_id)
    await list_out_of_stock(served, query, NO_WAIT)


async def test_lists_say_what_is_there(shelf: Shelf) -> None:
    product_id = await shelf.add()
    shelf.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=2), Metadata())
    await shelf.project(stock_of(product_id))
    [item] = (await shelf.page()).items
    assert (item.available, item.is_out_of_stock) == (2, False)
    shelf.shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="gone"), Metadata())
    await shelf.project(stock_of(product_id))
    [item] = (await shelf.page()).items
    assert (item.available, item.is_out_of_stock) == (0, True)
    assert [(item.current_stock, item.available) for item in await out_of_stock(shelf, product_id)] == [(0, 0)]
    shelf.shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    await shelf.project(stock_of(product_id))
    assert await out_of_stock(shelf, product_id) == []


async def test_a_product_has_another_etag_each_time_that_there_is_more_or_less_of_it(shelf: Shelf) -> None:
    product_id, tags = await shelf.add(), list[str]()
    for quantity in (None, 2, 1):
        if quantity is not None:
            received = ReceiveStock(product_id=product_id, quantity=quantity)
            shelf.shop.catalog.run(receive_stock, received, Metadata())
            await shelf.project(stock_of(product_id))
        shown = await read_product(Served(shelf.container, 1), ReadProduct(product_id=product_id), NO_WAIT)
        tags.append(tag_of(*shown))
    assert len(set(tags)) == 3
    assert all(etags.expected_versions(etag) == frozenset({1}) for etag in tags), (
        "the product itself is at its first version"
    )


async def out_of_stock(shelf: Shelf, product_id: UUID) -> list[ProductInventory]:
    """What the list of all that is out of stock has of a product, page by page."""
    found: list[ProductInventory] = []
    cursor: str | None = None
    while True:
        page = await list_out_of_stock(Served(shelf.container, 1), ListOutOfStock(cursor=cursor, take=1), NO_WAIT)
        found += [item for item in page.items if item.product_id == product_id]
        if page.next is None:
            return found
        cursor = page.next


async def test_an_event_is_four_requests_and_a_page_is_one(shelf: Shelf) -> None:
    product_id = await shelf.add()
    shelf.shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Coffee"), Metadata())
    with counted() as sent:
        await shelf.project(product_id)
    assert verbs(sent) == ["PATCH", "GET", "GET", "PATCH"], "the product, both documents, the entry in lists"
    with counted() as sent:
        await shelf.page("coff")
    assert verbs(sent) == ["POST"]


def verbs(sent: Sequence[str]) -> list[str]:
    return [request.split()[0] for request in sent]
