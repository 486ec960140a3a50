"""Ordering's commands, from the input to the tables: what they write, what they name as wrong, what they cost."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import InputError, Invalid
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import Payment, SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderIsEmpty, OrderNotFound, PriceChanged
from shared.ordering.domain.order import Order
from shared.ordering.events import MAX_LINES, OrderStatus
from shared.ordering.repository import Orders
from shared.ordering.tables import LOG, ORDERS, PRODUCTS
from tests.support.counting import counting_sql
from tests.support.shop import SHIPPING, Shop, rows


def stored(shop: Shop, order_id: UUID) -> Order:
    return Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id)


def folded(shop: Shop, order_id: UUID) -> Order:
    with shop.ordering_engine.connect() as connection:
        return Order.fold(recorded.event for recorded in LOG.history(connection, order_id))


def test_an_order_is_stored_as_its_events_say_after_each_of_its_commands(shop: Shop) -> None:
    tea, mug = shop.product("12.50", name="Tea ☕"), shop.product("0.99")
    order_id = shop.order(tea, quantity=3)
    run: list[Callable[[], object]] = [
        lambda: shop.ordering.run(
            add_item, AddItem(order_id=order_id, product_id=mug, quantity=2, expected_price=Decimal("0.99")), Metadata()
        ),
        lambda: shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=tea, quantity=1), Metadata()),
        lambda: shop.ordering.run(remove_item, RemoveItem(order_id=order_id, product_id=tea), Metadata()),
        lambda: shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=tea, quantity=1), Metadata()),
        lambda: shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata()),
        lambda: shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="b'); --"), Metadata()),
    ]
    for version, command in enumerate(run, 2):
        command()
        assert stored(shop, order_id).version == version
        assert vars(stored(shop, order_id)) == vars(folded(shop, order_id))
    assert stored(shop, order_id).total == Decimal("14.48")


def test_an_order_that_costs_nothing_takes_no_token_and_is_submitted_on_account(shop: Shop) -> None:
    """No card can pay nothing: each token was declined, and the order cancelled after a day."""
    order_id = shop.order(shop.product("0.00"), quantity=2)
    with_token = SubmitOrder(order_id=order_id, payment=Payment(token="pm_card_visa"))  # noqa: S106  # a test token
    with pytest.raises(Invalid) as refused:
        shop.ordering.run(submit_order, with_token, Metadata())
    assert [(error.pointer, error.detail) for error in refused.value.errors] == [
        ("/payment", "is for an order that costs something: there is nothing to pay, leave it out")
    ]
    assert stored(shop, order_id).status is OrderStatus.CREATED
    shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=shop.product("0.50"), quantity=1), Metadata())
    shop.ordering.run(submit_order, with_token, Metadata())
    assert stored(shop, order_id).payment is not None, "as soon as it costs something it is paid"

    on_account = shop.order(shop.product("0.00"))
    shop.ordering.run(submit_order, SubmitOrder(order_id=on_account), Metadata())
    assert stored(shop, on_account).status is OrderStatus.SUBMITTED


def test_an_order_of_a_thousand_lines_is_stored_as_its_events_say(shop: Shop) -> None:
    products = [shop.product("0.01") for _ in range(20)]
    # what ordering knows of products is copied row by row; a thousand of them at once are enough for this test
    template = rows(shop.ordering_engine, PRODUCTS)[0]
    many = [uuid4() for _ in range(MAX_LINES - len(products))]
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.insert(PRODUCTS), [template | {"product_id": product_id} for product_id in many])
    order_id = shop.order(*products, *many)
    assert len(stored(shop, order_id).lines) == MAX_LINES
    assert vars(stored(shop, order_id)) == vars(folded(shop, order_id))


def test_everything_that_a_new_order_names_and_nobody_knows_is_named_at_once(shop: Shop) -> None:
    customer_id, known, first, second = uuid4(), shop.product(), uuid4(), uuid4()
    command = CreateOrder(
        customer_id=customer_id,
        items=[Item(product_id=product_id, quantity=1) for product_id in (first, known, second)],
        shipping_address=SHIPPING,
    )
    with pytest.raises(Invalid) as caught:
        shop.ordering.run(create_order, command, Metadata())
    assert caught.value.errors == (
        InputError("/customerId", f"there is no customer {customer_id}"),
        InputError("/items/0/productId", f"there is no product {first}"),
        InputError("/items/2/productId", f"there is no product {second}"),
    )
    assert rows(shop.ordering_engine, ORDERS) == []


def test_changed_prices_of_a_new_order_are_told_by_place(shop: Shop) -> None:
    tea, mug = shop.product("12.50"), shop.product("1.00")
    command = CreateOrder(
        customer_id=shop.customer(),
        items=[
            Item(product_id=tea, quantity=1, expected_price=Decimal("12.50")),
            Item(product_id=mug, quantity=1, expected_price=Decimal("0.99")),
        ],
        shipping_address=SHIPPING,
    )
    with pytest.raises(PriceChanged) as caught:
        shop.ordering.run(create_order, command, Metadata())
    assert [error.pointer for error in caught.value.errors] == ["/items/1/expectedPrice"]


def test_a_product_that_nobody_knows_is_not_added(shop: Shop) -> None:
    order_id, unknown = shop.order(), uuid4()
    with pytest.raises(Invalid) as caught:
        shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=unknown, quantity=1), Metadata())
    assert caught.value.errors == (InputError("/productId", f"there is no product {unknown}"),)
    assert stored(shop, order_id).version == 1


@pytest.mark.parametrize(
    "command",
    [
        lambda shop: shop.ordering.run(
            add_item, AddItem(order_id=uuid4(), product_id=shop.product(), quantity=1), Metadata()
        ),
        lambda shop: shop.ordering.run(remove_item, RemoveItem(order_id=uuid4(), product_id=uuid4()), Metadata()),
        lambda shop: shop.ordering.run(submit_order, SubmitOrder(order_id=uuid4()), Metadata()),
        lambda shop: shop.ordering.run(confirm_order, ConfirmOrder(order_id=uuid4()), Metadata()),
        lambda shop: shop.ordering.run(complete_order, CompleteOrder(order_id=uuid4()), Metadata()),
        lambda shop: shop.ordering.run(cancel_order, CancelOrder(order_id=uuid4(), reason="no"), Metadata()),
    ],
)
def test_an_order_that_is_not_there_is_not_found(command: Callable[[Shop], object], shop: Shop) -> None:
    with pytest.raises(OrderNotFound):
        command(shop)


def the_order_commands(shop: Shop) -> list[tuple[str, Callable[[], object]]]:
    tea, mug = shop.product(), shop.product()
    order_id, customer_id, other = shop.order(tea), shop.customer(), shop.order(tea)
    created = CreateOrder(
        customer_id=customer_id,
        items=[Item(product_id=each, quantity=1) for each in (tea, mug, tea)],
        shipping_address=SHIPPING,
    )
    another, again = (AddItem(order_id=order_id, product_id=each, quantity=1) for each in (mug, tea))
    return [
        ("create", lambda: shop.ordering.run(create_order, created, Metadata())),
        ("add another", lambda: shop.ordering.run(add_item, another, Metadata())),
        ("add again", lambda: shop.ordering.run(add_item, again, Metadata())),
        (
            "remove",
            lambda: shop.ordering.run(remove_item, RemoveItem(order_id=order_id, product_id=tea), Metadata()),
        ),
        ("submit", lambda: shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())),
        ("confirm", lambda: shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())),
        ("complete", lambda: shop.ordering.run(complete_order, CompleteOrder(order_id=order_id), Metadata())),
        ("cancel", lambda: shop.ordering.run(cancel_order, CancelOrder(order_id=other, reason="no"), Metadata())),
    ]


def test_every_order_command_is_two_requests(shop: Shop) -> None:
    for name, command in the_order_commands(shop):
        counts = Counter[str]()
        with counting_sql(shop.ordering_engine, counts):
            command()
        assert (name, counts["sql_requests"]) == (name, 2)


def test_a_command_that_is_replayed_or_refused_is_two_requests(shop: Shop) -> None:
    tea, customer_id = shop.product(), shop.customer()
    items = [Item(product_id=tea, quantity=1)]
    created = CreateOrder(order_id=uuid4(), customer_id=customer_id, items=items, shipping_address=SHIPPING)
    empty = shop.order(customer_id=customer_id)
    metadata = Metadata(command_id="create")
    shop.ordering.run(create_order, created, metadata)
    counts = Counter[str]()
    with counting_sql(shop.ordering_engine, counts):
        assert shop.ordering.run(create_order, created, metadata).replayed
    # the database tells the first answer as it refuses the batch; SQLite has to be asked for it
    assert counts["sql_requests"] == (2 if shop.url.startswith("mssql") else 3)
    counts.clear()
    with counting_sql(shop.ordering_engine, counts), pytest.raises(OrderIsEmpty):
        shop.ordering.run(submit_order, SubmitOrder(order_id=empty), Metadata())
    assert counts["sql_requests"] == 2
