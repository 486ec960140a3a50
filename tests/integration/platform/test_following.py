"""Who follows another context hears of every event that matters to it, once, and of no other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog import tables as catalog
from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.domain.rating import rating_id
from shared.catalog.domain.stock import stock_of
from shared.customers import tables as customers
from shared.customers.events import CustomerErasedV1, CustomerEvent, CustomerRegisteredV1, CustomerRenamedV1
from shared.frame.context import Context
from shared.frame.messaging.envelope import Envelope, Metadata, Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.functions import CUSTOMERS
from shared.ordering.repository import Orders
from tests.support.commands import answers_lost
from tests.support.shop import Shop, rows

type Step = Callable[[UUID], tuple[Any, Any]]

SUBMITTED: Step = lambda order_id: (submit_order, SubmitOrder(order_id=order_id))  # noqa: E731
CONFIRMED: Step = lambda order_id: (confirm_order, ConfirmOrder(order_id=order_id))  # noqa: E731
COMPLETED: Step = lambda order_id: (complete_order, CompleteOrder(order_id=order_id))  # noqa: E731
CANCELLED: Step = lambda order_id: (cancel_order, CancelOrder(order_id=order_id, reason="r"))  # noqa: E731


def consumer(shop: Shop, context: str, name: str) -> Callable[[Envelope], Awaitable[None]]:
    """What a context's trigger does with a message, as the context declares it."""
    [found] = [each for each in shop.wired()[context].consumers if each.name == name]
    return found.consume


def fresh(shop: Shop) -> Context[Any]:
    """Ordering with nothing declared yet."""
    wired = shop.wired()["ordering"]
    return Context(wired.app, wired.name, wired.log, wired.topic, wired.every_table, wired.inbox)


def envelopes(engine: sa.Engine, log: EventLog[Any], aggregate_id: UUID) -> Sequence[Envelope]:
    with engine.connect() as connection:
        return [recorded.envelope for recorded in log.history(connection, aggregate_id)]


def noted(engine: sa.Engine, inbox: sa.Table) -> set[object]:
    return {row["event_id"] for row in rows(engine, inbox)}


@pytest.mark.parametrize(
    ("steps", "level", "line"),
    [
        ([SUBMITTED], (5, 2), (2, 0)),
        ([SUBMITTED, CONFIRMED], (5, 2), (2, 0)),
        ([SUBMITTED, CONFIRMED, COMPLETED], (3, 0), (0, 2)),
        ([SUBMITTED, CANCELLED], (5, 0), (0, 0)),
    ],
    ids=["submitted", "confirmed", "completed", "cancelled"],
)
async def test_the_catalogue_hears_of_what_becomes_of_an_order(
    shop: Shop, steps: list[Step], level: tuple[int, int], line: tuple[int, int]
) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id, quantity=2)  # of a product whose stock is not kept yet
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=5), Metadata())
    for step in steps:
        shop.ordering.run(*step(order_id), Metadata())
    consume = consumer(shop, "catalog", "follow_orders")
    for envelope in envelopes(shop.ordering_engine, ordering.LOG, order_id):
        await consume(envelope)
    [stock] = rows(shop.catalog_engine, catalog.STOCK)
    [ordered] = rows(shop.catalog_engine, catalog.ORDERED_STOCK)
    assert (stock["on_hand"], stock["reserved"]) == level
    assert (ordered["reserved"], ordered["shipped"]) == line
    created, *followed = envelopes(shop.ordering_engine, ordering.LOG, order_id)
    heard = noted(shop.catalog_engine, catalog.INBOX.table)
    assert heard == {envelope.event_id for envelope in followed}
    assert created.event_id not in heard


async def test_the_publisher_is_woken_where_the_answer_to_a_commit_was_lost_and_by_the_delivery_after_it(
    shop: Shop,
) -> None:
    """The delivery after it appends nothing, and so does one after a process that ended before it woke anybody."""
    product_id = shop.product()
    order_id = shop.order(product_id)
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=5), Metadata())
    shop.ordering.run(*SUBMITTED(order_id), Metadata())
    _, submitted = envelopes(shop.ordering_engine, ordering.LOG, order_id)
    consume = consumer(shop, "catalog", "follow_orders")
    commits = shop.commits.count
    with answers_lost(), pytest.raises(sa.exc.OperationalError):
        await consume(submitted)
    assert len(envelopes(shop.catalog_engine, catalog.LOG, stock_of(product_id))) == 2
    assert shop.commits.count == commits + 1
    await consume(submitted)
    assert shop.commits.count == commits + 2


async def test_ordering_hears_of_all_that_becomes_of_a_line_and_of_no_receipt_or_rating(shop: Shop) -> None:
    product_id, customer_id = shop.product(), uuid4()
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    order_id = shop.order(product_id)
    for step in (SUBMITTED, CONFIRMED):
        shop.ordering.run(*step(order_id), Metadata())
    shop.follow_order(order_id)
    items = [ShippedItem(product_id=product_id, quantity=1)]
    shop.catalog.run(ship_items, ShipItems(order_id=order_id, items=items), Metadata())
    rated = RateProduct(product_id=product_id, customer_id=customer_id, rating=5)
    shop.catalog.run(rate_product, rated, Metadata())

    consume = consumer(shop, "ordering", "follow_products")
    receipt, *of_line = envelopes(shop.catalog_engine, catalog.LOG, stock_of(product_id))
    [rating] = envelopes(shop.catalog_engine, catalog.LOG, rating_id(product_id, customer_id))
    for envelope in (receipt, *of_line, rating):
        await consume(envelope)

    [line] = rows(shop.ordering_engine, ordering.ORDER_LINES)
    assert (line["reserved"], line["shipped"]) == (0, 1)
    heard = noted(shop.ordering_engine, ordering.INBOX.table)
    assert heard >= {envelope.event_id for envelope in of_line}
    assert heard.isdisjoint({receipt.event_id, rating.event_id})


async def test_what_follows_an_event_comes_behind_its_commit_each_time_and_never_without_it(shop: Shop) -> None:
    """What corrects names in documents looks for orders that have the old one: the copy has to be changed by then."""
    customer_id = shop.customer()
    [registered] = envelopes(shop.customers_engine, customers.LOG, customer_id)
    with shop.ordering_engine.begin() as connection:
        connection.execute(ordering.INBOX.table.delete())
    done: list[str] = []

    def take_in(_recorded: Recorded[CustomerEvent], _work: UnitOfWork) -> None:
        done.append("taken in")
        if len(done) == 1:
            raise LookupError

    async def correct(recorded: Recorded[CustomerEvent]) -> None:
        done.append("corrected")
        assert noted(shop.ordering_engine, ordering.INBOX.table) == {recorded.envelope.event_id}

    context = fresh(shop)
    context.follows("follow", "customer-events", "ordering", CUSTOMERS, take_in, correct)
    [follower] = context.consumers
    follow = follower.consume
    with pytest.raises(LookupError):
        await follow(registered)
    assert done == ["taken in"]
    for _ in range(2):
        await follow(registered)
    assert done == ["taken in", "taken in", "corrected", "taken in", "corrected"]


def test_the_publisher_is_woken_when_what_a_follower_leaves_can_be_seen_and_not_when_it_leaves_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is woken before finds nothing, and the event waits for the timer."""
    customer_id, order_id = shop.customer(), shop.order(shop.product())
    with shop.ordering_engine.begin() as connection:
        connection.execute(ordering.INBOX.table.delete())
    with shop.customers_engine.connect() as connection:
        [registered] = customers.LOG.history(connection, customer_id)
    seen: list[int] = []

    def look() -> None:
        with shop.ordering_engine.connect() as connection:
            seen.append(ordering.LOG.version(connection, order_id))

    def cancel(_recorded: Recorded[CustomerEvent], orders: Orders) -> None:
        order = orders.load(order_id)
        order.cancel("followed")
        orders.save(order)

    def pass_over(_recorded: Recorded[CustomerEvent], _orders: Orders) -> None:
        pass

    monkeypatch.setattr(shop.ordering, "_committed", look)
    shop.ordering.follow(ordering.INBOX, cancel, registered)
    assert seen == [2]
    with shop.ordering_engine.begin() as connection:
        connection.execute(ordering.INBOX.table.delete())
    shop.ordering.follow(ordering.INBOX, pass_over, registered)
    assert seen == [2]


ERASED = EventTypes.only(CustomerErasedV1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (EventTypes.all_but(CustomerRenamedV1), ERASED),
        (ERASED, EventTypes.all_but(CustomerRenamedV1)),
        (EventTypes.all_but(CustomerRenamedV1), EventTypes.all_but(CustomerRegisteredV1)),
        (ERASED, EventTypes.only(CustomerRenamedV1, CustomerErasedV1)),
    ],
)
def test_two_followers_of_a_topic_that_take_the_same_event_are_refused(
    first: EventTypes, second: EventTypes, shop: Shop
) -> None:
    """They share an inbox: whichever comes second would find the event consumed, and do nothing."""
    context = fresh(shop)
    context.follows("follow", "customer-events", "ordering", CUSTOMERS, lambda _: None, event_types=first)
    with pytest.raises(ValueError, match=r"forget and follow take .*CustomerErasedV1.* of customer-events"):
        context.follows("forget", "customer-events", "erasures", CUSTOMERS, lambda _: None, event_types=second)
    assert [consumer.name for consumer in context.consumers] == ["follow"]


def test_followers_of_a_topic_that_share_no_event_and_of_other_topics_stand_beside_one_another(shop: Shop) -> None:
    context, rest = fresh(shop), EventTypes.all_but(CustomerErasedV1)
    context.follows("follow", "customer-events", "ordering", CUSTOMERS, lambda _: None, event_types=rest)
    context.follows("forget", "customer-events", "erasures", CUSTOMERS, lambda _: None, event_types=ERASED)
    context.follows("copy", "copied-events", "ordering", CUSTOMERS, lambda _: None)
    assert len(context.consumers) == 3


def test_a_context_without_an_inbox_is_told_where_it_says_how_to_get_one(shop: Shop) -> None:
    context = shop.wired()["customers"]
    with pytest.raises(ValueError, match="no inbox to note the events of customer-events in: docs"):
        context.follows("follow_customers", "customer-events", "customers", CUSTOMERS, lambda _: None)
