"""A command that loses a race decides again on fresh state."""

from decimal import Decimal
from uuid import uuid4

import pytest
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side import commands
from shared.frame.write_side.unit_of_work import CONNECTING, LostRace, UnitOfWork
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.events import OrderCreatedV1
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.repository import Orders
from shared.ordering.tables import LOG, ORDERS
from tests.support.commands import at_once, everything
from tests.support.shop import SHIPPING, Shop, rows


def test_a_lost_race_is_tried_again_on_fresh_state_until_all_have_got_in(shop: Shop) -> None:
    products = [shop.product("1.00") for _ in range(8)]
    order_id = shop.order()
    at_once(
        8,
        lambda number: shop.ordering.run(
            add_item, AddItem(order_id=order_id, product_id=products[number], quantity=1), Metadata()
        ),
    )
    [order] = rows(shop.ordering_engine, ORDERS)
    assert (order["version"], order["total"]) == (9, Decimal("8.00"))


def test_a_command_that_loses_its_race_decides_again(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    tries: list[int] = []

    def overtaken_once(command: CancelOrder, orders: Orders) -> Accepted:
        order = orders.load(command.order_id)
        tries.append(order.version)
        if len(tries) == 1:
            raise LostRace
        order.cancel(command.reason)
        return orders.save(order)

    command = CancelOrder(order_id=order_id, reason="no")
    assert shop.ordering.run(overtaken_once, command, Metadata()).version == 2
    assert tries == [1, 1]


def test_a_lost_race_is_tried_again_soon_and_later_and_later(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    waits: list[float] = []

    def overtaken(command: SubmitOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        if len(waits) < 4:
            raise LostRace
        return submit_order(command, orders, fulfilments)

    before = get_on_retry_hooks()
    set_on_retry_hooks([lambda details: waits.append(details.wait_for)])
    try:
        shop.ordering.run(overtaken, SubmitOrder(order_id=order_id), Metadata())
    finally:
        set_on_retry_hooks(before)
    assert waits[0] <= 0.03
    assert waits[3] >= 0.08
    assert waits[3] <= 0.10


def test_a_race_that_is_always_lost_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "DEADLINE", CONNECTING + 0.2)
    tries = []

    def always_overtaken(_command: SubmitOrder, _orders: Orders) -> Accepted:
        tries.append(1)
        raise LostRace

    with pytest.raises(LostRace):
        shop.ordering.run(always_overtaken, SubmitOrder(order_id=uuid4()), Metadata())
    assert len(tries) > 3


def test_an_order_that_is_saved_from_an_older_version_loses_the_race(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    stale = Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    before = everything(shop)

    stale.submit()
    work = UnitOfWork(shop.ordering_engine)
    Orders(work, Metadata()).save(stale)
    with pytest.raises(LostRace):
        work.commit()
    assert everything(shop) == before


def test_a_version_that_two_have_made_is_in_the_log_once(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    with shop.ordering_engine.connect() as connection:
        [first] = LOG.history(connection, order_id)
    work = UnitOfWork(shop.ordering_engine)
    LOG.append(work, order_id, 0, [first.event], Metadata())
    with pytest.raises(LostRace):
        work.commit()


@pytest.mark.parametrize("what", ["product's name", "product's price", "customer's name"])
def test_what_changes_between_load_and_commit_is_decided_on_anew(shop: Shop, what: str) -> None:
    product_id, customer_id = shop.product("1.00", name="Tea"), shop.customer("Ada")
    tries: list[int] = []

    def change() -> None:
        if what == "product's name":
            shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Sencha"), Metadata())
        elif what == "product's price":
            shop.catalog.run(change_price, ChangePrice(product_id=product_id, unit_price=Decimal(2)), Metadata())
        else:
            shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Eve"), Metadata())
        shop.follow_product(product_id)
        shop.follow_customer(customer_id)

    def meanwhile(command: CreateOrder, orders: Orders) -> Accepted:
        accepted = create_order(command, orders)
        tries.append(1)
        if len(tries) == 1:
            change()
        return accepted

    items = [Item(product_id=product_id, quantity=1)]
    command = CreateOrder(order_id=uuid4(), customer_id=customer_id, items=items, shipping_address=SHIPPING)
    shop.ordering.run(meanwhile, command, Metadata())
    assert len(tries) == 2
    with shop.ordering_engine.connect() as connection:
        [recorded] = LOG.history(connection, command.order_id)
    assert isinstance(recorded.event, OrderCreatedV1)
    [line] = recorded.event.lines
    assert (line.product_name, line.unit_price, recorded.event.customer_name) == {
        "product's name": ("Sencha", Decimal("1.00"), "Ada"),
        "product's price": ("Tea", Decimal("2.00"), "Ada"),
        "customer's name": ("Tea", Decimal("1.00"), "Eve"),
    }[what]
