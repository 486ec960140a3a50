"""Every rule of an order: what it does, what it refuses, and that a refused order is unchanged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from shared.kernel.money import MAX_MINOR_UNITS, Money
from shared.kernel.refusals import InputError, Refusal
from shared.ordering.domain.errors import (
    CurrencyMix,
    ItemNotInOrder,
    OrderIsEmpty,
    OrderNotInStatus,
    OrderTooLarge,
    PriceChanged,
)
from shared.ordering.domain.order import LINES_PER_EVENT, MAX_QUANTITY, Order, OrderPayment
from shared.ordering.events import (
    MAX_LINES,
    Address,
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderCreatedV1,
    OrderItemRemovedV1,
    OrderItemsAddedV1,
    OrderLine,
    OrderPaymentStatus,
    OrderShippingAddressChangedV1,
    OrderStatus,
    OrderSubmittedV2,
    SubmittedLine,
)
from tests.support.offers import ADDRESS, a_customer, a_product, an_order, an_order_that_is, pieces


@contextmanager
def refused(order: Order, refusal: type[Refusal], code: str) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """The block is refused with this code, and leaves the order as it was."""
    before = deepcopy(vars(order))
    with pytest.raises(refusal) as caught:
        yield caught
    assert type(caught.value) is refusal
    assert caught.value.code == code
    assert vars(order) == before


def lines_of(order: Order) -> tuple[SubmittedLine, ...]:
    return tuple(SubmittedLine(line.product_id, line.quantity) for line in order.lines.values())


def test_a_new_order_is_created_for_its_customer_and_holds_the_items() -> None:
    order_id, customer, tea = uuid4(), a_customer("Ada"), a_product("12.50", name="Tea")

    order = Order.create(order_id, customer, [pieces(tea, 2)], ADDRESS)

    line = OrderLine(1, tea.product_id, "Tea", tea.version, 2, Decimal("12.50"))
    assert order.pending_events == [
        OrderCreatedV1(
            order_id, customer.customer_id, "Ada", customer.version, ADDRESS, "EUR", (line,), Decimal("25.00")
        )
    ]
    assert (order.order_id, order.customer_id, order.shipping_address) == (order_id, customer.customer_id, ADDRESS)
    assert order.status is OrderStatus.CREATED
    assert order.lines == {tea.product_id: line}
    assert (order.currency, order.total) == ("EUR", Decimal("25.00"))
    assert (order.version, order.loaded_version) == (1, 0)


def test_an_order_may_be_created_empty() -> None:
    order = an_order()
    [created] = order.pending_events
    assert isinstance(created, OrderCreatedV1)
    assert (created.lines, created.currency, created.total) == ((), None, Decimal(0))
    assert isinstance(created.total, Decimal), "amounts are never numbers of another kind"
    assert (order.lines, order.currency, order.total) == ({}, None, Decimal(0))


def test_adding_nothing_changes_nothing() -> None:
    order = an_order(pieces(a_product()))
    before = deepcopy(vars(order))
    order.add([])
    assert vars(order) == before


def test_items_of_one_product_become_one_line() -> None:
    tea, mug = a_product("1.10"), a_product("5.00")

    order = an_order(pieces(tea, 2), pieces(mug), pieces(tea, 3))

    lines = order.lines
    assert [(line.number, line.product_id, line.quantity) for line in lines.values()] == [
        (1, tea.product_id, 5),
        (2, mug.product_id, 1),
    ]
    assert order.total == Decimal("10.50")


def test_adding_a_product_again_grows_its_line_and_takes_its_name_and_price_of_today() -> None:
    tea = a_product("2.00", name="Tea")
    order = an_order(pieces(a_product("1.00")), pieces(tea, 2))
    dearer = type(tea)(tea.product_id, "Green tea", Money(Decimal("3.00"), "EUR"), version=7)

    order.add([pieces(dearer)])

    expected = OrderLine(2, tea.product_id, "Green tea", 7, 3, Decimal("3.00"))
    assert order.lines[tea.product_id] == expected
    assert order.total == Decimal("10.00")
    last = order.pending_events[-1]
    assert isinstance(last, OrderItemsAddedV1)
    assert last.lines == (expected,)


def test_removing_takes_the_line_out_and_its_number_is_never_given_out_again() -> None:
    tea, mug, pot = a_product("1.00"), a_product("2.00"), a_product("4.00")
    order = an_order(pieces(tea), pieces(mug))

    order.remove(mug.product_id)
    order.add([pieces(pot)])

    assert [(line.number, line.product_id) for line in order.lines.values()] == [
        (1, tea.product_id),
        (3, pot.product_id),
    ]
    assert order.total == Decimal("5.00")
    assert order.pending_events[1] == OrderItemRemovedV1(
        order.order_id, order.customer_id, "EUR", mug.product_id, Decimal("1.00")
    )


def test_an_emptied_order_takes_any_currency_again() -> None:
    tea, mug = a_product(currency="EUR"), a_product(currency="EUR")
    order = an_order(pieces(tea), pieces(mug))
    order.remove(tea.product_id)
    with refused(order, CurrencyMix, "currency-mix"):
        order.add([pieces(a_product(currency="USD"))])
    order.remove(mug.product_id)
    assert (order.currency, order.total) == ("EUR", Decimal(0))

    with refused(order, CurrencyMix, "currency-mix"):
        order.add([pieces(a_product(currency="USD")), pieces(a_product(currency="EUR"))])
    order.add([pieces(a_product("3.00", currency="USD"), 2)])
    with refused(order, CurrencyMix, "currency-mix"):
        order.add([pieces(a_product(currency="EUR"))])

    order.submit()
    assert (order.currency, order.total) == ("USD", Decimal("6.00"))
    assert order.pending_events[-1] == OrderSubmittedV2(
        order.order_id, order.customer_id, "USD", Decimal("6.00"), lines=lines_of(order)
    )
    assert [line.number for line in order.lines.values()] == [3]


def test_only_what_is_in_the_order_can_be_removed() -> None:
    order = an_order(pieces(a_product()))
    with refused(order, ItemNotInOrder, "item-not-in-order"):
        order.remove(uuid4())


def test_nothing_can_be_removed_from_an_order_that_never_had_items() -> None:
    order = an_order()
    with refused(order, ItemNotInOrder, "item-not-in-order"):
        order.remove(uuid4())


def test_an_order_is_submitted_confirmed_and_completed_with_its_total() -> None:
    order = an_order(pieces(a_product("12.50"), 2))
    order.submit()
    order.confirm()
    order.complete()

    ids = (order.order_id, order.customer_id)
    assert order.pending_events[1:] == [
        OrderSubmittedV2(*ids, "EUR", Decimal("25.00"), lines=lines_of(order)),
        OrderConfirmedV1(*ids, "EUR", Decimal("25.00")),
        OrderCompletedV1(*ids, "EUR", Decimal("25.00")),
    ]
    assert order.status is OrderStatus.COMPLETED


def test_an_order_that_never_had_items_cannot_be_submitted() -> None:
    order = an_order()
    with refused(order, OrderIsEmpty, "order-empty"):
        order.submit()


def test_an_order_whose_items_were_all_removed_cannot_be_submitted() -> None:
    tea = a_product()
    order = an_order(pieces(tea))
    order.remove(tea.product_id)
    with refused(order, OrderIsEmpty, "order-empty"):
        order.submit()


@pytest.mark.parametrize("status", [OrderStatus.CREATED, OrderStatus.SUBMITTED, OrderStatus.CONFIRMED])
def test_an_order_is_cancelled_with_the_reason_and_the_status_that_it_had(status: OrderStatus) -> None:
    order = an_order_that_is(status)

    order.cancel("too late")

    assert order.pending_events[-1] == OrderCancelledV1(
        order.order_id, order.customer_id, "EUR", Decimal("12.50"), was=status, reason="too late"
    )
    assert (order.status, order.cancel_reason) == (OrderStatus.CANCELLED, "too late")


def test_an_attempt_to_pay_is_known_also_where_its_news_comes_after_that_of_its_end() -> None:
    order = an_order(pieces(a_product()))
    order.submit(paid=True)
    order.take_payment(OrderPayment(6, OrderPaymentStatus.VOIDED, 1, Decimal(0)))

    order.take_payment(OrderPayment(4, OrderPaymentStatus.REQUESTED, 2, Decimal(0)))
    order.take_payment(OrderPayment(3, OrderPaymentStatus.DECLINED, 1, Decimal(0)))

    assert order.payment == OrderPayment(6, OrderPaymentStatus.VOIDED, 2, Decimal(0))
    assert Order.fold(order.pending_events).payment == order.payment


def test_an_empty_order_can_be_cancelled_and_has_no_currency() -> None:
    order = an_order()
    order.cancel("never mind")
    assert order.pending_events[-1] == OrderCancelledV1(
        order.order_id, order.customer_id, None, Decimal(0), was=OrderStatus.CREATED, reason="never mind"
    )


ELSEWHERE = Address(street="10 Downing Street", city="London", postal_code="SW1A 2AA", country="GB")


def test_an_open_order_goes_to_another_address() -> None:
    order = an_order()
    order.change_shipping_address(ELSEWHERE)
    assert order.pending_events[-1] == OrderShippingAddressChangedV1(order.order_id, order.customer_id, ELSEWHERE)
    assert (order.shipping_address, order.version) == (ELSEWHERE, 2)


COMMANDS: dict[str, Callable[[Order], None]] = {
    "add": lambda order: order.add([pieces(a_product())]),
    "add nothing": lambda order: order.add([]),
    "remove": lambda order: order.remove(_first_product(order)),
    "change shipping address": lambda order: order.change_shipping_address(ELSEWHERE),
    "submit": Order.submit,
    "confirm": Order.confirm,
    "complete": Order.complete,
    "cancel": lambda order: order.cancel("no reason"),
}
ALLOWED = {
    "add": {OrderStatus.CREATED},
    "add nothing": {OrderStatus.CREATED},
    "remove": {OrderStatus.CREATED},
    "change shipping address": {OrderStatus.CREATED},
    "submit": {OrderStatus.CREATED},
    "confirm": {OrderStatus.SUBMITTED},
    "complete": {OrderStatus.CONFIRMED},
    "cancel": {OrderStatus.CREATED, OrderStatus.SUBMITTED, OrderStatus.CONFIRMED},
}


def _first_product(order: Order) -> UUID:
    return next(iter(order.lines))


@pytest.mark.parametrize("status", OrderStatus)
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_taken_in_its_states_and_refused_in_all_others(command: str, status: OrderStatus) -> None:
    order = an_order_that_is(status)
    if status in ALLOWED[command]:
        COMMANDS[command](order)
        return
    with refused(order, OrderNotInStatus, "order-status") as caught:
        COMMANDS[command](order)
    assert str(order.order_id) in caught.value.detail
    assert f"is {status};" in caught.value.detail
    assert all(allowed in caught.value.detail for allowed in ALLOWED[command])


def test_an_expected_price_that_is_todays_price_is_taken_however_it_is_written() -> None:
    order = an_order(pieces(a_product("12.50"), expected="12.5"))
    assert order.total == Decimal("12.50")


def test_changed_prices_are_refused_and_all_of_them_are_listed() -> None:
    tea, mug, pot = a_product("12.50"), a_product("3.00"), a_product("125", "JPY")
    order = an_order()
    with refused(order, PriceChanged, "price-changed") as caught:
        order.add(
            [
                pieces(tea, expected="12.49", pointer="/items/0"),
                pieces(mug, expected="3", pointer="/items/1"),
                pieces(pot, expected="126", pointer="/items/2"),
            ]
        )
    assert caught.value.errors == (
        InputError("/items/0/expectedPrice", f"product {tea.product_id} costs 12.50 EUR"),
        InputError("/items/2/expectedPrice", f"product {pot.product_id} costs 125 JPY"),
    )


def test_a_new_order_takes_the_currency_of_its_first_product_and_names_all_that_differ() -> None:
    dollars, yen = a_product(currency="USD"), a_product("100", "JPY")
    order = an_order()
    with refused(order, CurrencyMix, "currency-mix") as caught:
        order.add(
            [
                pieces(a_product(currency="EUR"), pointer="/items/0"),
                pieces(dollars, pointer="/items/1"),
                pieces(yen, pointer="/items/2"),
            ]
        )
    assert caught.value.errors == (
        InputError("/items/1/productId", f"product {dollars.product_id} is priced in USD"),
        InputError("/items/2/productId", f"product {yen.product_id} is priced in JPY"),
    )
    assert "EUR" in caught.value.detail


def test_an_order_in_one_currency_takes_no_other() -> None:
    order = an_order(pieces(a_product(currency="EUR")))
    with refused(order, CurrencyMix, "currency-mix"):
        order.add([pieces(a_product(currency="USD"))])


def test_a_thousand_lines_fit_in_events_of_a_hundred_with_running_totals() -> None:
    products = [a_product("0.01") for _ in range(MAX_LINES)]

    order = an_order(*map(pieces, products))

    assert [type(event) for event in order.pending_events] == [OrderCreatedV1] + [OrderItemsAddedV1] * 9
    events = [event for event in order.pending_events if isinstance(event, OrderCreatedV1 | OrderItemsAddedV1)]
    assert [len(event.lines) for event in events] == [LINES_PER_EVENT] * 10
    assert [event.total for event in events] == [Decimal(count) for count in range(1, 11)]
    assert [line.number for event in events for line in event.lines] == list(range(1, MAX_LINES + 1))
    assert order.version == 10


def test_a_line_beyond_the_last_hundred_goes_into_an_event_of_its_own() -> None:
    order = an_order(*(pieces(a_product()) for _ in range(LINES_PER_EVENT + 1)))
    assert [type(event) for event in order.pending_events] == [OrderCreatedV1, OrderItemsAddedV1]
    events = [event for event in order.pending_events if isinstance(event, OrderCreatedV1 | OrderItemsAddedV1)]
    assert [len(event.lines) for event in events] == [LINES_PER_EVENT, 1]


@pytest.mark.parametrize("count", [1, 2, LINES_PER_EVENT])
def test_an_order_of_up_to_a_hundred_lines_is_created_by_one_event_that_has_them_all(count: int) -> None:
    products = [a_product("0.01") for _ in range(count)]

    order = an_order(*map(pieces, products), *map(pieces, products))  # a product named twice is one line

    [created] = order.pending_events
    assert isinstance(created, OrderCreatedV1)
    assert [(line.number, line.product_id, line.quantity) for line in created.lines] == [
        (number, product.product_id, 2) for number, product in enumerate(products, 1)
    ]
    assert (created.currency, created.total) == ("EUR", 2 * count * Decimal("0.01"))
    assert vars(Order.fold(order.pending_events)) == vars(order) | {"pending_events": []}


def test_one_line_more_than_a_thousand_is_refused_but_a_line_that_is_there_may_grow() -> None:
    products = [a_product("0.01") for _ in range(MAX_LINES)]
    order = an_order(*map(pieces, products))
    with refused(order, OrderTooLarge, "order-too-large") as caught:
        order.add([pieces(a_product("0.01"))])
    assert "1001" in caught.value.detail

    order.add([pieces(products[0])])
    assert order.lines[products[0].product_id].quantity == 2


def test_a_line_holds_ten_thousand_pieces_and_not_one_more() -> None:
    tea = a_product("0.01")
    order = an_order(pieces(tea, MAX_QUANTITY - 1))
    with refused(order, OrderTooLarge, "order-too-large") as caught:
        order.add([pieces(tea), pieces(tea)])
    assert "10001" in caught.value.detail

    order.add([pieces(tea)])
    assert order.lines[tea.product_id].quantity == MAX_QUANTITY


@pytest.mark.parametrize(("price", "currency", "coin"), [("10000000000", "EUR", "0.01"), ("1000000000000", "JPY", "1")])
def test_the_total_may_reach_the_largest_one_and_not_one_coin_more(price: str, currency: str, coin: str) -> None:
    order = an_order(pieces(a_product(price, currency)))
    assert Money(order.total, currency).minor == MAX_MINOR_UNITS
    with refused(order, OrderTooLarge, "order-too-large") as caught:
        order.add([pieces(a_product(coin, currency))])
    assert currency in caught.value.detail


def test_folding_the_events_of_an_order_gives_the_order() -> None:
    tea, mug = a_product("1.00"), a_product("2.00")
    order = an_order(pieces(tea), pieces(mug))
    order.remove(tea.product_id)
    order.submit()
    order.cancel("no")

    folded = Order.fold(order.pending_events)

    assert vars(folded) == vars(order) | {"pending_events": []}
    assert folded.loaded_version == 4
