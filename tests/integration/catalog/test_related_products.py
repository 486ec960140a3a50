"""Related products: counted from orders, shown at most ten; and suggested to those who wait."""

from collections import Counter as Counted
from collections.abc import Callable, Sequence
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.domain.purchase import MOST_PRODUCTS
from shared.catalog.domain.stock import stock_of
from shared.catalog.events import StockAwaitedV2
from shared.catalog.purchases import purchases_in
from shared.catalog.tables import LOG, PURCHASES
from shared.catalog.views import related_products
from shared.catalog.views.inventory import ProductInventory
from shared.catalog.views.out_of_stock import ListOutOfStock, list_out_of_stock
from shared.catalog.views.product_lists import LISTS, ListProducts, ProductInList, list_products
from shared.catalog.views.related_products import SHOWN, ReadRelated, Related
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side import comparing
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.write_side.log_table import envelope_of
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.events import OrderStockChangedV2
from shared.ordering.tables import LOG as ORDERING
from tests.support.counting import counting_cosmos
from tests.support.shop import Shop, rows


class Counter:
    """A shop whose orders and products reach the read models one by one, as the test says."""

    def __init__(self, shop: Shop, products: ContainerProxy, related: ContainerProxy) -> None:
        self.shop, self.products, self.related = shop, products, related
        self.context = shop.wired({"catalog": products, "related": related})["catalog"]
        self.category = f"Category {uuid4()}"

    async def add(self, stock: int | None = None, category: str | None = None) -> UUID:
        """Add a product that lists show and ordering knows."""
        command = AddProduct(
            name="Tea",
            unit_price=Decimal(1),
            currency="EUR",
            category=category or self.category,
            initial_stock=stock,
        )
        self.shop.catalog.run(add_product, command, Metadata())
        self.shop.follow_product(command.product_id)
        await self.project()
        return command.product_id

    async def order(self, *product_ids: UUID) -> UUID:
        """Submit an order that everybody hears of, twice."""
        order_id = self.shop.order(*product_ids)
        self.shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
        for _ in range(2):
            self.shop.follow_order(order_id)
        await self.project()
        return order_id

    async def project(self) -> None:
        """Project all that the catalogue's log has, once more."""
        [consumer] = [each for each in self.context.consumers if each.name == "project_product"]
        with self.shop.catalog_engine.connect() as connection:
            envelopes = [envelope_of(row) for row in connection.execute(LOG.table.select().order_by("sequence"))]
        for envelope in envelopes:
            await consumer.consume(envelope)

    async def shown_with(self, product_id: UUID) -> list[ProductInList]:
        """Read what is related to a product."""

        async def products() -> Served:
            return Served(self.products, 1)

        query = ReadRelated(product_id=product_id)
        return (await Related(products).read(Served(self.related, 1), query, NO_WAIT)).items

    async def related_to(self, product_id: UUID) -> list[UUID]:
        """Name what is related to a product."""
        return [item.product_id for item in await self.shown_with(product_id)]

    async def found(self, name: str | None = None, category: str | None = None) -> list[ProductInList]:
        """Read what is found by name, or in a category."""
        query = ListProducts(name=name, category=category)
        return (await list_products(Served(self.products, 1), query, NO_WAIT)).items

    async def out_of_stock(self, product_id: UUID) -> list[ProductInventory]:
        """Read what the list of all that is out of stock says of a product."""
        page = await list_out_of_stock(Served(self.products, 1), ListOutOfStock(take=100), NO_WAIT)
        return [item for item in page.items if item.product_id == product_id]


@pytest.fixture
def counter(shop: Shop, containers: Callable[[str], ContainerProxy]) -> Counter:
    return Counter(shop, containers("catalog"), containers("related"))


async def test_what_was_bought_together_most_often_comes_first_and_then_its_category(counter: Counter) -> None:
    elsewhere = f"Other {uuid4()}"
    tea, same = await counter.add(), await counter.add()
    cup, spoon, alone = [await counter.add(category=elsewhere) for _ in range(3)]
    await counter.order(tea, spoon)
    await counter.order(tea, cup)
    await counter.order(cup, tea)
    await counter.order(alone)
    assert await counter.related_to(tea) == [cup, spoon, same]
    assert await counter.related_to(cup) == [tea, alone, spoon], "what was added last comes first in a category"
    assert await counter.related_to(alone) == [spoon, cup]


async def test_at_most_ten_are_shown_and_an_order_of_many_products_leaves_no_more_than_its_first(
    counter: Counter,
) -> None:
    tea, *others = [await counter.add() for _ in range(13)]
    assert len(await counter.related_to(tea)) == SHOWN
    await counter.order(tea, *others)
    assert len(rows(counter.shop.catalog_engine, PURCHASES)) == MOST_PRODUCTS
    assert len(await counter.related_to(tea)) == SHOWN
    assert set(others[: MOST_PRODUCTS - 1]) < set(await counter.related_to(tea))


async def test_every_list_shows_what_a_product_is_called_and_costs_what_is_there_and_how_it_is_rated(
    counter: Counter,
) -> None:
    run, elsewhere, word = counter.shop.catalog.run, f"Other {uuid4()}", uuid4().hex
    tea, cup = await counter.add(), await counter.add(stock=1, category=elsewhere)
    await counter.order(tea, cup)
    expected = (await counter.found(category=elsewhere))[0]
    assert (expected.available, expected.is_out_of_stock) == (0, True)

    async def assert_shown(**changed: object) -> None:
        nonlocal expected
        expected = expected.model_copy(update=changed)
        await counter.project()
        assert await counter.found(name=word) == [expected], "by name"
        assert await counter.found(category=elsewhere) == [expected], "by category"
        assert await counter.shown_with(tea) == [expected], "related"
        gone = [(item.name, item.current_stock, item.available) for item in await counter.out_of_stock(cup)]
        assert gone == ([(expected.name, 1, 0)] if expected.is_out_of_stock else []), "out of stock"

    run(rename_product, RenameProduct(product_id=cup, name=f"Cup {word}"), Metadata())
    await assert_shown(name=f"Cup {word}", version=2)
    run(change_price, ChangePrice(product_id=cup, unit_price=Decimal("2.50")), Metadata())
    await assert_shown(unit_price="2.50", version=3)
    run(rate_product, RateProduct(product_id=cup, customer_id=uuid4(), rating=4), Metadata())
    await assert_shown(user_rating=4.0, rating_count=1)
    run(receive_stock, ReceiveStock(product_id=cup, quantity=2), Metadata())
    await assert_shown(available=2, is_out_of_stock=False)
    run(recount_stock, RecountStock(product_id=cup, counted=1, reason="counted"), Metadata())
    await assert_shown(available=0, is_out_of_stock=True)


async def test_what_was_bought_together_is_read_by_its_ids_and_no_query_looks_for_it(counter: Counter) -> None:
    elsewhere = f"Other {uuid4()}"
    tea, same = await counter.add(), await counter.add()
    cup, spoon = [await counter.add(category=elsewhere) for _ in range(2)]

    async def requests(expected: list[UUID]) -> tuple[int, int]:
        counts = Counted[str]()
        with counting_cosmos(counts):
            assert await counter.related_to(tea) == expected
        return counts["cosmos_requests"], counts["cosmos_queries"]

    assert await requests([same]) == (3, 2), "its entry; a query of its purchases, and one of its category"
    await counter.order(tea, cup, spoon)
    assert await requests([*sorted([cup, spoon]), same]) == (5, 2), "two more entries"


async def test_what_lists_do_not_show_yet_is_left_out(counter: Counter) -> None:
    tea, cup = await counter.add(), await counter.add()
    await counter.order(tea, cup)
    await counter.products.delete_item(str(cup), LISTS)
    assert await counter.related_to(tea) == []


async def test_a_product_that_is_not_there_has_no_related_ones(counter: Counter) -> None:
    with pytest.raises(ProductNotFound):
        await counter.related_to(uuid4())


async def test_the_counts_are_a_read_model_of_their_own_that_is_compared_healed_and_filled(counter: Counter) -> None:
    tea, cup = await counter.add(), await counter.add()
    await counter.order(tea, cup)
    source, container = counter.context.read_models["related"].view.source, counter.related
    assert await source.total() == 2
    log = rows(counter.shop.catalog_engine, LOG.table)
    newest = await source.newest()
    assert newest == max(int(str(row["sequence"])) for row in log)
    purchases = {str(row["aggregate_id"]) for row in log if row["type"] == "BoughtTogetherV1"}
    assert {event.document_id for event in await source.changed(0, newest, 10)} == purchases
    keys = await source.sample(5)
    assert set(keys) == {f"product:{tea}", f"product:{cup}"}
    assert [each for key in keys for each in await source.differences(container, key)] == []

    for key in keys:
        async for row in container.query_items("SELECT c.id FROM c", partition_key=key):
            await container.delete_item(row["id"], key)
    found = [each.what for key in keys for each in await source.differences(container, key)]
    assert found == ["missing", "missing"]
    await source.heal(container, keys[0])
    assert await source.differences(container, keys[0]) == []
    assert (await source.fill(container, None)).written == 1
    assert [each for key in keys for each in await source.differences(container, key)] == []


async def test_of_a_product_that_is_bought_often_no_more_purchases_are_read_than_are_compared(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tea, cup = await counter.add(), await counter.add()
    for _ in range(4):
        await counter.order(tea, cup)
    monkeypatch.setattr(comparing, "COMPARED", 2)
    source, read = counter.context.read_models["related"].view.source, list[int]()

    def note(connection: sa.Connection, product_id: UUID, most: int) -> Sequence[UUID]:
        found = purchases_in(connection, product_id, most)
        read.append(len(found))
        return found

    monkeypatch.setattr(related_products, "purchases_in", note)
    assert await source.differences(counter.related, f"product:{tea}") == []
    assert read == [3, 3], "one more tells that these are not all"


async def test_products_are_not_behind_for_want_of_what_was_bought_together(counter: Counter) -> None:
    tea, cup = await counter.add(), await counter.add()
    await counter.order(tea, cup)
    source = counter.context.read_models["products"].view.source
    changed = await source.changed(0, await source.newest(), 10)
    assert [event.document_id for event in changed] == [str(tea), str(cup)]
    assert await source.total() == 2


def waiting(shop: Shop, product_id: UUID) -> list[tuple[UUID, ...] | None]:
    """What was suggested to those who had to wait for a product, one after the other."""
    with shop.catalog_engine.connect() as connection:
        history = LOG.history(connection, stock_of(product_id))
    return [recorded.event.alternatives for recorded in history if isinstance(recorded.event, StockAwaitedV2)]


async def test_who_has_to_wait_gets_up_to_three_related_products_that_are_there(counter: Counter) -> None:
    elsewhere = f"Other {uuid4()}"
    tea, gone = await counter.add(stock=1), await counter.add(stock=0, category=elsewhere)
    same = sorted([await counter.add() for _ in range(3)])
    cup = await counter.add(stock=9, category=elsewhere)
    await counter.order(tea, gone)
    await counter.order(cup, tea)
    [_, second] = [await counter.order(tea) for _ in range(2)]
    before, after = tuple(same), (cup, *same[:2])
    assert waiting(counter.shop, tea) == [before, after, after], "the cup was bought with it for the first time"
    counter.shop.follow_stock(tea)
    with counter.shop.ordering_engine.connect() as connection:
        [changed] = [each.event for each in ORDERING.history(connection, second)][2:]
    assert isinstance(changed, OrderStockChangedV2)
    assert changed.alternatives == after


async def test_what_an_order_has_itself_is_no_alternative_to_what_is_missing_in_it(counter: Counter) -> None:
    elsewhere = f"Other {uuid4()}"
    tea = await counter.add(stock=1)
    same, also_ordered = await counter.add(stock=9), await counter.add(stock=9)
    cup, spoon = [await counter.add(stock=9, category=elsewhere) for _ in range(2)]
    await counter.order(tea, cup, spoon)
    await counter.order(tea, cup, also_ordered)
    assert waiting(counter.shop, tea) == [(spoon, same)]


async def test_whose_pieces_are_missing_in_a_recount_gets_alternatives_too(counter: Counter) -> None:
    tea, cup = await counter.add(stock=1), await counter.add()
    await counter.order(tea)
    recount = RecountStock(product_id=tea, counted=0, reason="broken")
    counter.shop.catalog.run(recount_stock, recount, Metadata())
    assert waiting(counter.shop, tea) == [(cup,)]


async def test_alternatives_are_looked_for_in_the_first_lines_of_an_order_only(counter: Counter) -> None:
    gone = [await counter.add(stock=0) for _ in range(11)]
    await counter.order(*gone)
    assert [waiting(counter.shop, product_id) for product_id in gone] == [[()]] * 10 + [[None]]
