"""The search for events finds all of a command's, whatever way an id is written, and says what it leaves out."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.domain.stock import stock_of
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations.events import DOCUMENTS, EventSearch, FindEvents, FoundEvents, _showing, _Shown
from shared.frame.platform.callers import NOBODY
from shared.frame.read_side.read_model import NOWHERE
from shared.frame.read_side.read_your_writes import Document
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.money import Money
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.payments.domain.payment import Payment
from shared.payments.repository import Payments
from tests.support.shop import Shop


class Search:
    """Looks in all contexts of a shop, whose read models are away but for these containers."""

    def __init__(self, shop: Shop, containers: Mapping[str, ContainerProxy] | None = None) -> None:
        self._search = EventSearch(list(shop.wired(containers).values()))

    async def __call__(self, of: str, take: int = 100, after: int = 0) -> FoundEvents:
        """Find events, as nobody in particular."""
        return await self._search.find(FindEvents(of=of, take=take, after=after), NOBODY)


@pytest.fixture
def search(shop: Shop) -> Search:
    return Search(shop)


@pytest.fixture
def products(shop: Shop) -> list[UUID]:
    """Three products that are in stock."""
    some = [shop.product() for _ in range(3)]
    for product_id in some:
        shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=5), Metadata())
    return some


def ship(shop: Shop, products: list[UUID], key: str) -> None:
    """Ship a piece of each in one command."""
    order_id = shop.order(*products)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    command = ShipItems(order_id=order_id, items=[ShippedItem(product_id=each, quantity=1) for each in products])
    shop.catalog.run(ship_items, command, Metadata(command_id=key, fingerprint=b"f".ljust(32)))


async def test_a_command_that_changed_several_aggregates_is_found_whole(
    shop: Shop, search: Search, products: list[UUID]
) -> None:
    ship(shop, products, "key")
    shop.catalog.run(rename_product, RenameProduct(product_id=products[0], name="Chai"), Metadata())
    found = await search("key")
    assert (found.kind, found.more) == ("command", False)
    assert {event.aggregate_id for event in found.events} == {stock_of(each) for each in products}
    assert [event.sequence for event in found.events] == sorted(event.sequence for event in found.events)
    assert {event.type for event in found.events} == {"ItemShippedV1"}


def pay(shop: Shop, order_id: UUID) -> None:
    """Let payments have a payment of an order, which has the order's id."""
    with UnitOfWork(shop.payments_engine) as work:
        payment = Payment.request(order_id, uuid4(), Money(Decimal(1), "EUR"), "pm_card_visa")
        Payments(work, Metadata()).save(payment)
        work.commit()


async def test_what_has_one_id_in_two_contexts_is_found_in_both(
    shop: Shop, containers: Callable[[str], ContainerProxy]
) -> None:
    search = Search(shop, {"orders": containers("orders")})
    order_id = shop.order(shop.product())
    pay(shop, order_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    found = await search(str(order_id))
    assert [(event.context, event.type, event.published_at) for event in found.events] == [
        ("ordering", "OrderCreatedV1", None),
        ("payments", "PaymentRequestedV1", None),
        ("ordering", "OrderSubmittedV2", None),
    ]
    assert (found.kind, found.more, found.next) == ("aggregate", False, None)
    assert [(each.view, each.logged) for each in found.documents] == [("orders", 2)]
    assert [[showing.view for showing in event.showings] for event in found.events] == [["orders"], [], ["orders"]]


@pytest.mark.parametrize("take", [1, 2, 3, 4])
async def test_what_has_one_id_in_two_contexts_is_paged_without_a_gap(shop: Shop, search: Search, take: int) -> None:
    order_id = shop.order(shop.product())
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    pay(shop, order_id)
    whole = (await search(str(order_id))).events
    assert len(whole) == 4
    page = await search(str(order_id), take=take)
    told = [*page.events]
    while page.next is not None:
        assert len(page.events) <= max(take, 2)
        page = await search(str(order_id), take=take, after=page.next)
        assert page.events
        told += page.events
    assert sorted(event.event_id for event in told) == sorted(event.event_id for event in whole)


async def test_a_key_that_two_contexts_were_given_finds_both_commands(shop: Shop, search: Search) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    once = Metadata(command_id="key", fingerprint=b"f".ljust(32))
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), once)
    shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Chai"), once)
    found, first = await search("key"), await search("key", take=1)
    assert [event.type for event in found.events] == ["OrderSubmittedV2", "ProductRenamedV1"]
    assert (found.kind, found.more) == ("command", False)
    assert ([event.type for event in first.events], first.more) == (["OrderSubmittedV2"], True)


async def test_what_is_left_out_is_said(shop: Shop, search: Search, products: list[UUID]) -> None:
    ship(shop, products, "key")
    found = await search("key", take=2)
    assert (len(found.events), found.more, found.next) == (2, True, None)
    for name in ("Chai", "Tea", "Mate"):
        shop.catalog.run(
            rename_product, RenameProduct(product_id=products[0], name=name), Metadata(correlation_id="talk")
        )
    whole, newest = await search("talk"), await search("talk", take=2)
    assert (len(whole.events), whole.more) == (3, False)
    assert (newest.kind, newest.more, newest.next) == ("other", True, None)
    assert [event.version for event in newest.events] == [event.version for event in whole.events[1:]]


async def test_an_id_is_found_in_whatever_way_it_is_written(shop: Shop, search: Search) -> None:
    """Events that follow from an event name it as UUIDs are written here; operators paste it as they have it."""
    product_id, key = shop.product(), str(uuid4())
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    order_id = shop.order(product_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata(correlation_id=key))
    shop.follow_order(order_id)
    submitted = (await search(str(order_id))).events[1]
    for of in (str(submitted.event_id), str(submitted.event_id).upper(), submitted.event_id.hex):
        found = await search(of)
        assert {event.type for event in found.events} == {"OrderSubmittedV2", "StockReservedV1"}, of
    assert (await search(key.upper())).kind == "other"


async def test_a_long_text_is_not_taken_for_the_conversation_that_it_begins_with(shop: Shop, search: Search) -> None:
    conversation = "c" * 128
    product_id = shop.product()
    renamed = RenameProduct(product_id=product_id, name="Chai")
    shop.catalog.run(rename_product, renamed, Metadata(correlation_id=conversation))
    assert (await search(conversation)).kind == "other"
    assert (await search(f"{conversation}d")).kind == "nothing"


async def test_a_read_model_that_cannot_be_asked_is_named_and_the_reason_logged(
    shop: Shop, search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    found = await search(str(shop.product()))
    assert (found.kind, found.unreadable) == ("aggregate", ["products"])
    [record] = [each for each in caplog.records if "products cannot be asked" in each.message]
    assert record.exc_info


async def test_of_how_many_aggregates_the_documents_were_not_looked_for_is_said(
    shop: Shop, containers: Callable[[str], ContainerProxy]
) -> None:
    search = Search(shop, {"catalog": containers("catalog"), "related": containers("related")})
    each_in = len(shop.wired()["catalog"].read_models)
    at_most = DOCUMENTS // each_in
    product_ids = [shop.product() for _ in range(at_most + 2)]

    async def talk(about: list[UUID]) -> FoundEvents:
        conversation = str(uuid4())
        for product_id in about:
            renamed = RenameProduct(product_id=product_id, name="Chai")
            shop.catalog.run(rename_product, renamed, Metadata(correlation_id=conversation))
        return await search(conversation)

    found = await talk(product_ids[:at_most])
    assert (len(found.events), len(found.documents), found.aggregates_left_out) == (at_most, at_most, 0)
    found = await talk(product_ids)
    assert (len(found.events), len(found.documents), found.aggregates_left_out) == (at_most + 2, at_most, 2)
    assert [each.document_id for each in found.documents] == [str(each) for each in product_ids[2:]], "the last ones"


@pytest.mark.parametrize(
    ("document", "shown"), [(None, False), ({"version": 1}, False), ({"version": 2}, True), ({"version": 3}, True)]
)
def test_a_document_shows_the_events_up_to_its_version(document: Document | None, *, shown: bool) -> None:
    order_id = uuid4()
    stored = _Shown("orders", ("ordering", order_id), str(order_id), "a customer", document, NOWHERE)
    assert _showing(stored, 2).shown is shown
