"""Create an order: for a known customer, of known products, at today's prices."""

from typing import Annotated
from uuid import uuid4

from pydantic import Field, StringConstraints

from shared.kernel.refusals import InputError, Invalid
from shared.messaging.envelope import Accepted
from shared.ordering import events
from shared.ordering.commands.add_item import Quantity
from shared.ordering.domain.offer import RequestedItem
from shared.ordering.domain.order import MAX_LINES, Order
from shared.ordering.repository import Orders
from shared.platform.examples import CUSTOMER_ID, ORDER_ID, PRODUCT_ID, example
from shared.platform.input import Id, Input, Price, Text


class Item(Input):
    """How many pieces of which product, and what the caller believes one costs."""

    product_id: Id
    quantity: Quantity
    expected_price: Price | None = None


class ShippingAddress(Input):
    """Where the order goes."""

    street: Annotated[Text, StringConstraints(min_length=1, max_length=200)]
    city: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
    postal_code: Annotated[Text, StringConstraints(min_length=1, max_length=20)]
    region: Annotated[Text, StringConstraints(min_length=1, max_length=100)] | None = None
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2", examples=["DE"]
    )


class CreateOrder(
    Input,
    json_schema_extra=example(
        orderId=ORDER_ID,
        customerId=CUSTOMER_ID,
        items=[{"productId": PRODUCT_ID, "quantity": 2}],
        shippingAddress={"street": "12 St James's Square", "city": "London", "postalCode": "SW1Y 4LE", "country": "GB"},
    ),
):
    """Open an order. Several items of one product become one line."""

    order_id: Id = Field(default_factory=uuid4, description="chosen by the caller, so that a retry is safe")
    customer_id: Id
    items: Annotated[list[Item], Field(max_length=MAX_LINES)]
    shipping_address: ShippingAddress


def create_order(command: CreateOrder, orders: Orders) -> Accepted:
    """Create the order.

    Raises:
        Invalid: the customer or products are unknown; all of them are named.
        OrderAlreadyExists: the id is taken.
        PriceChanged: a product does not cost what the caller expects.
        CurrencyMix: the products are priced in several currencies.
        OrderTooLarge: a line or the total goes over its limit.
    """
    customer, products = orders.load_offer(command.customer_id, {item.product_id for item in command.items})
    unknown = [
        InputError(f"/items/{place}/productId", f"there is no product {item.product_id}")
        for place, item in enumerate(command.items)
        if item.product_id not in products
    ]
    if customer is None:
        unknown.insert(0, InputError("/customerId", f"there is no customer {command.customer_id}"))
    if customer is None or unknown:
        raise Invalid("The order names a customer or products that do not exist.", unknown)
    order = Order.create(
        command.order_id,
        customer,
        [
            RequestedItem(products[item.product_id], item.quantity, item.expected_price, f"/items/{place}")
            for place, item in enumerate(command.items)
        ],
        events.Address(**command.shipping_address.model_dump()),
    )
    return orders.save(order)
