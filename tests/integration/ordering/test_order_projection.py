"""An order's events reach its document and the customer's summary once each, together, whatever way they come."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.output import CurrencyAmount
from shared.frame.platform.times import utc_text
from shared.frame.read_side.generations import Served
from shared.frame.read_side.projection import GapInLog, Projection
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.read_side.shape import UnreadableShape
from shared.ordering.domain.offer import Customer
from shared.ordering.domain.order import LINES_PER_EVENT, Order
from shared.ordering.events import OrderEvent, OrderStatus
from shared.ordering.tables import LOG
from shared.ordering.views import order_details, order_projection
from shared.ordering.views.customer_orders import ListOrders, OrderInList, list_orders
from shared.ordering.views.customer_summary import CustomerSummary, ReadSummary, read_summary
from shared.ordering.views.order_details import OrderDetails, ReadOrder, read_order
from shared.ordering.views.order_documents import document_of
from tests.support.containers import only
from tests.support.offers import a_customer, a_product, an_order, an_order_that_is, history, pieces, saved
from tests.support.shop import Shop

DAY = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def projection(shop: Shop, orders: ContainerProxy) -> Projection[OrderEvent]:
    return Projection(only(orders), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider)


async def deliver(projection: Projection[OrderEvent], events: Sequence[Recorded[OrderEvent]]) -> None:
    for recorded in events:
        await projection.project(recorded)


async def details(orders: ContainerProxy, order: Order) -> OrderDetails:
    query = ReadOrder(order_id=order.order_id, customer_id=order.customer_id)
    return (await read_order(Served(orders, 1), query, wait=NO_WAIT))[0]


async def document_of_order(orders: ContainerProxy, order: Order) -> dict[str, Any]:
    return dict(await orders.read_item(str(order.order_id), str(order.customer_id)))


async def summary(orders: ContainerProxy, customer: Customer) -> CustomerSummary:
    return await read_summary(Served(orders, 1), ReadSummary(customer_id=customer.customer_id), wait=NO_WAIT)


def assert_shows(shown: OrderDetails, order: Order) -> None:
    assert (shown.order_id, shown.customer_id) == (order.order_id, order.customer_id)
    assert (shown.status, shown.version) == (order.status, order.version)
    assert (shown.currency, Decimal(shown.total)) == (order.currency, order.total)
    assert shown.cancel_reason == order.cancel_reason
    assert [(item.product_id, item.product_name, item.quantity, Decimal(item.unit_price)) for item in shown.items] == [
        (line.product_id, line.product_name, line.quantity, line.unit_price)
        for line in sorted(order.lines.values(), key=lambda line: line.number)
    ]


def an_eventful_order(shop: Shop, customer: Customer) -> Order:
    tea, mug = a_product("12.50", name="Tea"), a_product("3.99", name="Mug")
    order = an_order(pieces(tea, 2), customer=customer)
    order.add([pieces(mug)])
    order.remove(tea.product_id)
    order.submit()
    order.confirm()
    order.complete()
    return saved(shop.ordering_engine, order)


async def test_each_event_shows_what_the_order_was_after_it(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_eventful_order(shop, a_customer())
    events = history(shop.ordering_engine, order)
    for count, recorded in enumerate(events, 1):
        await projection.project(recorded)
        assert_shows(await details(orders, order), Order.fold(earlier.event for earlier in events[:count]))


async def test_folding_the_events_in_memory_makes_the_same_document(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_eventful_order(shop, a_customer())
    events = history(shop.ordering_engine, order)
    for count, recorded in enumerate(events, 1):
        await projection.project(recorded)
        stored = await orders.read_item(str(order.order_id), str(order.customer_id))
        document = document_of(events[:count])
        assert len(document["projected"]) == len(stored["projected"]) == count
        assert {name: stored[name] for name in document if name != "projected"} == {
            name: value for name, value in document.items() if name != "projected"
        }


async def test_an_event_brings_a_document_of_an_earlier_shape_into_todays(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_eventful_order(shop, a_customer())
    *earlier, last = history(shop.ordering_engine, order)
    await deliver(projection, earlier)
    document, today = await document_of_order(orders, order), order_details.SHAPES.today
    await orders.upsert_item(document | {"shape": today - 1})
    await projection.project(last)
    assert (await document_of_order(orders, order))["shape"] == today
    assert_shows(await details(orders, order), order)


async def test_the_times_of_an_order_are_those_of_its_events(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_order(pieces(a_product()))
    steps: list[Callable[[], None]] = [
        lambda: None,
        order.submit,
        order.confirm,
        lambda: order.cancel("broken"),
    ]
    for hours, step in enumerate(steps):
        step()
        saved(shop.ordering_engine, order, DAY + timedelta(hours=hours))
    await deliver(projection, history(shop.ordering_engine, order))

    shown = await details(orders, order)
    times = [utc_text(DAY + timedelta(hours=hours)) for hours in range(4)]
    assert [shown.created_at, shown.submitted_at, shown.confirmed_at, shown.cancelled_at] == times
    assert (shown.completed_at, shown.cancel_reason) == (None, "broken")


ARRIVALS: dict[str, Callable[[list[int]], list[int]]] = {
    "in order": lambda places: places,
    "each twice": lambda places: [place for place in places for _ in range(2)],
    "all twice": lambda places: places + places,
    "backwards": lambda places: places[::-1],
    "the last one alone": lambda places: places[-1:],
    "every other one": lambda places: places[1::2] + places[-1:],
    "shuffled": lambda places: random.Random(7).sample(places * 3, len(places) * 3),
}


@pytest.mark.parametrize("arrival", ARRIVALS)
async def test_however_the_events_come_the_order_and_the_summary_are_the_same(
    arrival: str, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    customer = a_customer("Ada")
    order = an_eventful_order(shop, customer)
    events = history(shop.ordering_engine, order)

    await deliver(projection, [events[place] for place in ARRIVALS[arrival](list(range(len(events))))])

    assert_shows(await details(orders, order), order)
    shown = await summary(orders, customer)
    assert (shown.customer_name, shown.total_orders) == ("Ada", 1)
    assert shown.total_spent == [CurrencyAmount(currency="EUR", amount="3.99")]
    assert [recent.order_id for recent in shown.recent_orders] == [order.order_id]


async def test_a_long_gap_is_filled_in_pages(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.frame.read_side.projection.PAGE", 2)
    read: list[int] = []
    real = LOG.history

    def noted(*args: Any, **kwargs: Any) -> Any:
        read.append(len(found := real(*args, **kwargs)))
        return found

    monkeypatch.setattr(LOG, "history", noted)
    order = an_eventful_order(shop, a_customer())
    await projection.project(history(shop.ordering_engine, order)[-1])
    assert_shows(await details(orders, order), order)
    assert read[1:] == [2, 2, 1], "after the history that the test has read"


async def test_a_gap_that_the_log_cannot_fill_changes_nothing(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_order()
    order.add([pieces(a_product())])
    saved(shop.ordering_engine, order)
    [_, second] = history(shop.ordering_engine, order)
    stray = uuid4()
    lost = Recorded(replace(second.envelope, aggregate_id=stray), replace(second.event, order_id=stray))
    with pytest.raises(GapInLog, match=str(stray)):
        await projection.project(lost)
    with pytest.raises(CosmosResourceNotFoundError):
        await orders.read_item(str(stray), str(order.customer_id))


async def test_the_order_and_the_summary_change_together_or_not_at_all(shop: Shop, orders: ContainerProxy) -> None:
    unforgiving = Projection(only(orders), shop.ordering_engine, LOG, order_projection.project)
    order = saved(shop.ordering_engine, an_order())
    with pytest.raises(HttpResponseError):  # there is no summary to count it in
        await deliver(unforgiving, history(shop.ordering_engine, order))
    with pytest.raises(CosmosResourceNotFoundError):
        await orders.read_item(str(order.order_id), str(order.customer_id))


@pytest.mark.parametrize("count", [7, 8, 9, 100, 250, 1000])
async def test_more_lines_than_one_patch_takes_are_shown_all(
    count: int, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_order()
    order.add([pieces(a_product("0.01")) for _ in range(count)])
    saved(shop.ordering_engine, order)
    await deliver(projection, history(shop.ordering_engine, order))
    assert_shows(await details(orders, order), order)


@pytest.mark.parametrize("count", [1, LINES_PER_EVENT, LINES_PER_EVENT + 7, LINES_PER_EVENT + 8])
async def test_an_order_is_never_seen_without_its_items(
    count: int, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    made = [a_product("0.01") for _ in range(count)]
    order = saved(shop.ordering_engine, an_order(*map(pieces, made)))
    events = history(shop.ordering_engine, order)
    assert len(events) == (1 if count <= LINES_PER_EVENT else 2)

    await projection.project(events[0])

    first = made[:LINES_PER_EVENT]
    shown = await details(orders, order)
    assert [item.product_id for item in shown.items] == [product.product_id for product in first]
    assert (shown.version, shown.currency, Decimal(shown.total)) == (1, "EUR", len(first) * Decimal("0.01"))
    [listed] = (await list_orders(Served(orders, 1), ListOrders(customer_id=order.customer_id), wait=NO_WAIT)).items
    assert (listed.version, listed.currency, listed.total) == (1, "EUR", shown.total)
    await deliver(projection, events)
    assert_shows(await details(orders, order), order)


async def test_a_split_patch_is_applied_once(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = an_order()
    order.add([pieces(a_product("0.01")) for _ in range(30)])
    saved(shop.ordering_engine, order)
    events = history(shop.ordering_engine, order)
    await asyncio.gather(*(projection.project(events[1]) for _ in range(4)))
    assert_shows(await details(orders, order), order)


def submitted(shop: Shop, customer: Customer, at: datetime, price: str = "1.00", currency: str = "EUR") -> Order:
    order = saved(shop.ordering_engine, an_order(pieces(a_product(price, currency)), customer=customer), DAY)
    order.submit()
    return saved(shop.ordering_engine, order, at)


@pytest.mark.parametrize("order_of_arrival", ["as submitted", "backwards", "shuffled", "at once"])
@pytest.mark.parametrize("moments", [12, 3, 1])
async def test_the_newest_ten_submissions_are_shown_whenever_they_arrive(
    order_of_arrival: str, moments: int, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    customer = a_customer()
    at = [DAY + timedelta(minutes=number * moments // 12) for number in range(12)]
    each = zip(at, [submitted(shop, customer, moment) for moment in at], strict=True)
    made = [order for _, order in sorted(each, key=lambda one: (one[0], str(one[1].order_id)))]
    arriving = {
        "as submitted": made,
        "backwards": made[::-1],
        "shuffled": random.Random(3).sample(made, len(made)),
        "at once": made,
    }[order_of_arrival]
    deliveries = [deliver(projection, history(shop.ordering_engine, order)) for order in arriving]
    if order_of_arrival == "at once":
        await asyncio.gather(*deliveries)
    else:
        for delivery in deliveries:
            await delivery

    shown = await summary(orders, customer)
    assert [recent.order_id for recent in shown.recent_orders] == [order.order_id for order in made[:-11:-1]]
    assert shown.last_order_date == utc_text(at[-1])
    assert shown.total_orders == 12
    assert shown.total_spent == [CurrencyAmount(currency="EUR", amount="12.00")]


async def test_a_list_that_is_out_of_order_within_a_moment_takes_another_submission(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    """The release before had the orders of one moment by their arrival."""
    customer = a_customer()
    made = sorted((submitted(shop, customer, DAY) for _ in range(4)), key=lambda order: str(order.order_id))
    for order in (made[0], made[2], made[3]):
        await deliver(projection, history(shop.ordering_engine, order))
    stored = await orders.read_item("summary", str(customer.customer_id))
    latest, second, oldest, *empty = stored["recentOrders"]
    await orders.replace_item("summary", stored | {"recentOrders": [latest, oldest, second, *empty]})

    await deliver(projection, history(shop.ordering_engine, made[1]))

    shown = await summary(orders, customer)
    assert [recent.order_id for recent in shown.recent_orders] == [made[at].order_id for at in (3, 1, 0, 2)]


@pytest.mark.parametrize(
    ("status", "count"),
    [
        (OrderStatus.CREATED, 0),
        (OrderStatus.SUBMITTED, 1),
        (OrderStatus.CONFIRMED, 1),
        (OrderStatus.COMPLETED, 1),
        (OrderStatus.CANCELLED, 0),
    ],
)
async def test_an_order_counts_from_its_submission_until_it_is_cancelled(
    status: OrderStatus, count: int, shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    order = saved(shop.ordering_engine, an_order_that_is(status))
    await deliver(projection, history(shop.ordering_engine, order))
    query = ReadSummary(customer_id=order.customer_id)
    shown = await read_summary(Served(orders, 1), query, wait=NO_WAIT)
    assert shown.total_orders == count
    assert shown.total_spent == [CurrencyAmount(currency="EUR", amount="12.50")][:count]


@pytest.mark.parametrize("steps", [[], ["submit"], ["submit", "confirm"]])
async def test_a_cancelled_order_is_taken_out_of_the_totals_and_stays_among_the_recent_if_it_was_submitted(
    steps: list[str], shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    customer = a_customer()
    order = an_order(pieces(a_product("12.50")), customer=customer)
    for step in steps:
        getattr(order, step)()
    order.cancel("no")
    saved(shop.ordering_engine, order)
    await deliver(projection, history(shop.ordering_engine, order))

    shown = await summary(orders, customer)
    assert (shown.total_orders, shown.total_spent) == (0, [])
    assert [recent.order_id for recent in shown.recent_orders] == ([order.order_id] if steps else [])


async def test_what_was_spent_is_told_by_currency_with_its_digits(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    customer = a_customer()
    for price, currency in (("1200", "JPY"), ("0.125", "KWD"), ("0.30", "EUR"), ("0.875", "KWD"), ("0.60", "EUR")):
        order = submitted(shop, customer, DAY, price, currency)
        await deliver(projection, history(shop.ordering_engine, order))
    assert [(spent.currency, spent.amount) for spent in (await summary(orders, customer)).total_spent] == [
        ("EUR", "0.90"),
        ("JPY", "1200"),
        ("KWD", "1.000"),
    ]


async def test_two_consumers_at_once_apply_each_event_once(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    customer = a_customer()
    made = [an_eventful_order(shop, customer) for _ in range(4)]
    another = Projection(only(orders), shop.ordering_engine, LOG, order_projection.project, order_projection.reconsider)
    await asyncio.gather(
        *(deliver(each, history(shop.ordering_engine, order)) for order in made for each in (projection, another))
    )
    for order in made:
        assert_shows(await details(orders, order), order)
    shown = await summary(orders, customer)
    assert (shown.total_orders, shown.total_spent) == (4, [CurrencyAmount(currency="EUR", amount="15.96")])


async def test_a_customers_orders_are_listed_newest_first_in_pages_and_counted(
    shop: Shop, orders: ContainerProxy, projection: Projection[OrderEvent]
) -> None:
    customer = a_customer()
    made = []
    for minute in range(7):
        order = an_order(pieces(a_product()), customer=customer)
        if minute % 2:
            order.submit()
        made.append(saved(shop.ordering_engine, order, DAY + timedelta(minutes=minute)))
        await deliver(projection, history(shop.ordering_engine, order))
    newest_first = [order.order_id for order in reversed(made)]

    pages = [
        await list_orders(
            Served(orders, 1), ListOrders(customer_id=customer.customer_id, skip=skip, take=3), wait=NO_WAIT
        )
        for skip in (0, 3, 6, 9)
    ]
    assert [[item.order_id for item in page.items] for page in pages] == [
        newest_first[:3],
        newest_first[3:6],
        newest_first[6:],
        [],
    ]
    assert {page.total_count for page in pages} == {7}

    placed = await list_orders(
        Served(orders, 1), ListOrders(customer_id=customer.customer_id, status=OrderStatus.SUBMITTED), wait=NO_WAIT
    )
    assert [item.order_id for item in placed.items] == newest_first[1::2]
    assert placed.total_count == 3


async def test_a_customer_without_orders_has_an_empty_list(orders: ContainerProxy) -> None:
    page = await list_orders(Served(orders, 1), ListOrders(customer_id=uuid4()), wait=NO_WAIT)
    assert (page.items, page.total_count) == ([], 0)


GOLDEN = Path(__file__).parents[2] / "unit/ordering/golden/documents"


@pytest.mark.parametrize("shape", [*order_details.SHAPES.upcasts, order_details.SHAPES.today])
async def test_an_order_in_each_shape_that_is_read_is_listed_as_it_is_shown(orders: ContainerProxy, shape: int) -> None:
    document = json.loads((GOLDEN / f"order-{shape}.json").read_text()) | {"customerId": str(uuid4())}
    await orders.create_item(document)
    query = ListOrders(customer_id=document["customerId"])
    [listed] = (await list_orders(Served(orders, 1), query, wait=NO_WAIT)).items
    shown = dict(order_details.rendered(order_details.SHAPES.read(document)))
    assert dict(listed) == {name: shown[name] for name in OrderInList.model_fields}


async def test_an_order_in_another_shape_is_not_listed(orders: ContainerProxy) -> None:
    document = json.loads((GOLDEN / f"order-{order_details.SHAPES.today}.json").read_text())
    document |= {"customerId": str(uuid4()), "shape": order_details.SHAPES.today + 1}
    await orders.create_item(document)
    with pytest.raises(UnreadableShape):
        await list_orders(Served(orders, 1), ListOrders(customer_id=document["customerId"]), wait=NO_WAIT)
