"""Create an order: for a known customer, of known products, at today's prices."""

from typing import Annotated
from uuid import uuid4

from pydantic import Field

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.addresses import PostalAddress
from shared.frame.platform.examples import example
from shared.frame.platform.input import Amount, Id, Input, NewId
from shared.kernel.refusals import InputError, Invalid
from shared.ordering import events
from shared.ordering.commands.add_item import Quantity
from shared.ordering.domain.offer import Customer, RequestedItem
from shared.ordering.domain.order import Order
from shared.ordering.repository import Orders
from shared.story import CUSTOMER_ID, ORDER_ID, PRODUCT_ID


class Item(Input):
    """A product, the number of pieces, and the price of one piece that the caller expects."""

    product_id: Id
    quantity: Quantity
    expected_price: Amount | None = None


class ShippingAddress(PostalAddress):
    """Where the order goes."""


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

    order_id: NewId = Field(default_factory=uuid4, description="chosen by the caller, so that a retry is safe")
    customer_id: Id
    items: Annotated[list[Item], Field(max_length=events.MAX_LINES)]
    shipping_address: ShippingAddress | None = Field(
        default=None, description="by default, the address that `shippingAddressId` names, or the customer's default"
    )
    shipping_address_id: Id | None = Field(default=None, description="of an address that the customer keeps")


def create_order(command: CreateOrder, orders: Orders) -> Accepted:
    """Create the order.

    Raises:
        Invalid: the customer, products or the address are unknown; all of them are named.
        OrderAlreadyExists: the id is taken.
        PriceChanged: a product does not cost what the caller expects.
        CurrencyMix: the products are priced in several currencies.
        OrderTooLarge: a line or the total goes over its limit.
    """
    products_wanted = {item.product_id for item in command.items}
    customer, products = orders.load_offer(command.customer_id, products_wanted, command.shipping_address_id)
    unknown = [
        InputError(f"/items/{place}/productId", f"there is no product {item.product_id}")
        for place, item in enumerate(command.items)
        if item.product_id not in products
    ]
    if customer is None:
        unknown.insert(0, InputError("/customerId", f"there is no customer {command.customer_id}"))
    address = _address(command, customer)
    if isinstance(address, InputError):
        unknown.append(address)
    if customer is None or unknown or not isinstance(address, events.Address):
        raise Invalid("The order names what does not exist; see errors.", unknown)
    order = Order.create(
        command.order_id,
        customer,
        [
            RequestedItem(products[item.product_id], item.quantity, item.expected_price, f"/items/{place}")
            for place, item in enumerate(command.items)
        ],
        address,
    )
    return orders.save(order)


def _address(command: CreateOrder, customer: Customer | None) -> events.Address | InputError | None:
    """Give the order's shipping address; None if the customer, and so their addresses, are unknown."""
    written, id_ = command.shipping_address, command.shipping_address_id
    if written is not None and id_ is not None:
        return InputError("/shippingAddressId", "stands in place of shippingAddress: give one of them")
    if written is not None:
        return events.Address(**written.model_dump())
    if customer is None or customer.address is not None:
        return None if customer is None else customer.address
    if id_ is not None:
        return InputError("/shippingAddressId", f"the customer keeps no address {id_}")
    return InputError("/shippingAddress", "is required: the customer has no default address")
