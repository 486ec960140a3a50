"""Add an item to an order that is still open."""

from typing import Annotated

from pydantic import Field

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Amount, Id, Input, Whole
from shared.kernel.refusals import InputError, Invalid
from shared.ordering.domain.offer import RequestedItem
from shared.ordering.domain.order import MAX_QUANTITY
from shared.ordering.repository import Orders
from shared.story import ORDER_ID, PRODUCT_ID

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY), Whole]


class AddItem(Input, json_schema_extra=example(orderId=ORDER_ID, productId=PRODUCT_ID, quantity=1)):
    """Add pieces of a product. If the order has the product already, its line grows and takes today's price."""

    order_id: Id
    product_id: Id
    quantity: Quantity
    expected_price: Amount | None = None


def add_item(command: AddItem, orders: Orders) -> Accepted:
    """Add the item.

    Raises:
        Invalid: there is no such product.
        Refusal: as Order.add.
    """
    order, product = orders.load_with_product(command.order_id, command.product_id)
    if product is None:
        unknown = InputError("/productId", f"there is no product {command.product_id}")
        raise Invalid("The item names a product that does not exist.", [unknown])
    order.add([RequestedItem(product, command.quantity, command.expected_price)])
    return orders.save(order)
