"""A command that names versions is carried out on one of them alone."""

import pytest

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.kernel.refusals import StaleVersion
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.create_order import create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import ORDERS
from tests.support.commands import at_once, create, everything
from tests.support.shop import Shop, rows


@pytest.mark.parametrize("expected", [{1}, {3}, {1, 3}, set()])
def test_a_command_on_another_version_than_the_present_one_is_stale(shop: Shop, expected: set[int]) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), Metadata())
    before = everything(shop)
    with pytest.raises(StaleVersion):
        shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata(expected_versions=expected))
    assert everything(shop) == before


def test_a_command_may_act_on_one_of_several_versions(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    metadata = Metadata(expected_versions={1, 7})
    assert shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), metadata) == Accepted(order_id, 2)


def test_only_one_of_those_that_act_on_the_same_version_gets_in(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)

    def add(_: int) -> bool:
        try:
            shop.ordering.run(
                add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), Metadata(expected_versions={1})
            )
        except StaleVersion:
            return False
        return True

    assert sorted(at_once(4, add)) == [False, False, False, True]


def test_something_new_has_no_version_that_one_could_act_on(shop: Shop) -> None:
    with pytest.raises(StaleVersion):
        shop.ordering.run(create_order, create(shop), Metadata(expected_versions={1}))
    assert rows(shop.ordering_engine, ORDERS) == []
