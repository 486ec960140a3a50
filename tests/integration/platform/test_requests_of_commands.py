"""How many requests to SQL each command of every context is, as README says."""

from collections import Counter

import pytest

from shared.catalog.commands.add_product import AddProduct
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.ship_items import ShipItems
from shared.customers.commands.register_customer import RegisterCustomer
from shared.frame.messaging.envelope import Metadata
from tests.support.counting import counting_sql
from tests.support.every_command import PREPARED, submitted
from tests.support.shop import Shop

LOADED_AND_WRITTEN = 2
OTHERS: dict[type, int] = {
    AddProduct: 1,  # new, and nothing of others is looked at
    RegisterCustomer: 1,
    ShipItems: 3,  # the order's status, then the stock of what is shipped
}
"""What is not loaded by one request and written by another."""


def requests_of(shop: Shop, context: str, handler: object, command: object) -> int:
    counts = Counter[str]()
    with counting_sql(getattr(shop, f"{context}_engine"), counts):
        getattr(shop, context).run(handler, command, Metadata())
    return counts["sql_requests"]


@pytest.mark.parametrize("command", PREPARED, ids=lambda command: command.__name__)
def test_a_command_is_two_requests_unless_it_stands_here(shop: Shop, command: type) -> None:
    context, handler, prepared, _ = PREPARED[command](shop)
    assert requests_of(shop, context, handler, prepared) == OTHERS.get(command, LOADED_AND_WRITTEN)


def test_what_frees_or_takes_pieces_that_orders_want_is_a_few_requests_more(shop: Shop) -> None:
    """Those orders are read, and what they were bought with."""
    product_id = shop.product()
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=1), Metadata())
    for _ in range(2):
        order_id = shop.order(product_id)
        shop.ordering.run(*submitted(order_id), Metadata())
        shop.follow_order(order_id)
    taken = RecountStock(product_id=product_id, counted=0, reason="r")
    assert requests_of(shop, "catalog", recount_stock, taken) == 6
    freed = ReceiveStock(product_id=product_id, quantity=2)
    assert requests_of(shop, "catalog", receive_stock, freed) == 3
