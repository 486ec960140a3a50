"""All that is held of a customer is exported, page by page, and nothing of anybody else."""

import asyncio
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from infra.local.new_context import LONGEST, Named
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.domain.errors import CustomerNotFound
from shared.customers.views.export import CustomerExport, Exports, ReadExport
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.callers import Requester
from shared.frame.read_side.read_your_writes import Wait, wait_for
from shared.frame.write_side import owner_data
from shared.frame.write_side.owner_data import ExportPosition
from shared.kernel.refusals import Invalid
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from shared.ordering.events import fulfilment_of
from tests.support.shop import Shop


@pytest.fixture
def exports(shop: Shop) -> Exports:
    return Exports(shop.wired()["customers"].app.owner_data)


@pytest.fixture
def ada(shop: Shop) -> tuple[UUID, set[tuple[UUID, int]]]:
    """A customer with a second name and three orders, one of them to be paid; and what has happened to them."""
    customer_id, product_id = shop.customer(), shop.product()
    shop.order(product_id)
    orders = [shop.order(product_id, customer_id=customer_id) for _ in range(3)]
    to_be_paid(shop, shop.order(product_id), product_id)
    to_be_paid(shop, orders[1], product_id)
    shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Ada K."), Metadata())
    happened = {(customer_id, 1), (customer_id, 2), (fulfilment_of(orders[1]), 1)}
    happened |= {(order_id, 1) for order_id in orders} | {(orders[1], version) for version in (2, 3, 4)}
    return customer_id, happened


def to_be_paid(shop: Shop, order_id: UUID, product_id: UUID) -> None:
    """Submit an order, and let everybody hear of it but payments."""
    payment = Payment(token="pm_card_visa")  # noqa: S106  # Stripe's, of its tests
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id, payment=payment), Metadata())
    shop.follow_order(order_id)
    shop.follow_stock(product_id)
    shop.fulfil(order_id)


def wait() -> Wait:
    return wait_for(5, Requester(uuid4()))


def read(
    exports: Exports, customer_id: UUID, cursor: str | None = None, take: int = owner_data.MAX_EVENTS
) -> CustomerExport:
    query = ReadExport(customer_id=customer_id, cursor=cursor, take=take)

    async def page() -> CustomerExport:
        return await exports.read_export(query, wait())

    return asyncio.run(page())


@pytest.mark.parametrize("take", [1, 2, 3, 6, 500])
def test_pages_of_any_length_tell_all_that_has_happened_once(
    take: int, exports: Exports, ada: tuple[UUID, set[tuple[UUID, int]]]
) -> None:
    customer_id, happened = ada
    told, cursor = [], None
    while True:
        page = read(exports, customer_id, cursor, take)
        assert len(page.items) <= take
        told += [(each.subject, each.version) for each in page.items]
        assert len(told) == len(set(told))
        cursor = page.next
        if cursor is None:
            break
    assert set(told) == happened


def test_a_page_ends_early_where_its_events_are_long(
    exports: Exports, ada: tuple[UUID, set[tuple[UUID, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_data, "MAX_CHARACTERS", 1)
    pages = [read(exports, ada[0])]
    while pages[-1].next is not None:
        pages.append(read(exports, ada[0], pages[-1].next))
    assert [len(page.items) for page in pages] == [1] * len(ada[1])
    assert {str(page.items[0].data["name"]) for page in pages if "name" in page.items[0].data} == {"Ada", "Ada K."}


def slow(shop: Shop, monkeypatch: pytest.MonkeyPatch, statement: float) -> list[float]:
    """Let each statement take some seconds of a clock, and give that clock."""
    now = [0.0]
    monkeypatch.setattr(owner_data, "monotonic", lambda: now[0])

    def takes_long(*_: object) -> None:
        now[0] += statement

    for each in shop.wired()["customers"].app.owner_data:
        sa.event.listen(each.reader, "before_cursor_execute", takes_long)
    return now


@pytest.mark.parametrize("statement", [0.5, 1, 3])
def test_a_page_ends_early_where_the_store_is_slow_and_nothing_is_missing_or_told_twice(
    statement: float,
    shop: Shop,
    exports: Exports,
    ada: tuple[UUID, set[tuple[UUID, int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    customer_id, happened = ada
    now = slow(shop, monkeypatch, statement)
    pages = [read(exports, customer_id)]
    lasted = [now[0]]
    while (cursor := pages[-1].next) is not None:
        begin = now[0]
        pages.append(read(exports, customer_id, cursor))
        lasted.append(now[0] - begin)
    told = [(item.subject, item.version) for page in pages for item in page.items]
    assert len(told) == len(set(told))
    assert set(told) == happened
    assert len(pages) > 1
    # one statement may run when the time is over; and no page is shorter than the two that find an event
    assert max(lasted) <= max(owner_data.PAGE_SECONDS + statement, 2 * statement)


def test_no_cursor_leads_to_what_is_another_s(shop: Shop, exports: Exports) -> None:
    product_id = shop.product()
    victim, stranger = shop.customer(), shop.customer()
    theirs = shop.order(product_id, customer_id=victim)
    own = shop.order(product_id, customer_id=stranger)
    to_be_paid(shop, theirs, product_id)
    for context in ("ordering", "customers", "catalog"):
        for done in (UUID(int=0), theirs, victim, own, fulfilment_of(theirs)):
            for begun in (UUID(int=0), theirs, victim, fulfilment_of(theirs)):
                page = read(exports, stranger, str(ExportPosition(context, done, begun, 0)))
                assert {each.subject for each in page.items} <= {own, stranger}


def test_a_cursor_of_a_context_that_holds_nothing_is_refused_and_does_not_begin_again(
    shop: Shop, exports: Exports
) -> None:
    with pytest.raises(Invalid) as caught:
        read(exports, shop.customer(), str(ExportPosition("nobody")))
    assert [(error.location, error.pointer) for error in caught.value.errors] == [("query", "/cursor")]


@pytest.mark.parametrize("context", ["goods_in", "depot2", "a" * LONGEST])
def test_a_place_in_any_context_that_can_be_made_is_a_cursor(context: str) -> None:
    Named(context, "parcel")
    position = ExportPosition(context, uuid4(), uuid4(), 3)
    query = ReadExport(customer_id=uuid4(), cursor=str(position))
    assert query.cursor is not None
    assert ExportPosition.parse(query.cursor) == position


def test_of_nobody_nothing_is_held(exports: Exports) -> None:
    with pytest.raises(CustomerNotFound):
        read(exports, uuid4())


@pytest.mark.parametrize("statement", [0.5, 1, 3])
def test_of_nobody_nothing_is_held_where_the_store_is_slow_either(
    statement: float, shop: Shop, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = shop.customer()
    slow(shop, monkeypatch, statement)
    assert read(exports, known).customer_id == known
    with pytest.raises(CustomerNotFound):
        read(exports, uuid4())
