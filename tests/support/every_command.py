"""A command of each kind of every context, on something that is prepared for it."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.customers.commands.add_address import AddAddress, add_address
from shared.customers.commands.change_address import ChangeAddress, change_address
from shared.customers.commands.change_email import ChangeEmail, change_email
from shared.customers.commands.change_preferences import ChangePreferences, change_preferences
from shared.customers.commands.erase_customer import EraseCustomer, Erasures, WithdrawErasure, withdraw_erasure
from shared.customers.commands.make_address_default import MakeAddressDefault, make_address_default
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.remove_address import RemoveAddress, remove_address
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.money import Money
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.change_shipping_address import ChangeShippingAddress, change_shipping_address
from shared.ordering.commands.complete_order import CompleteOrder, complete_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.remove_item import RemoveItem, remove_item
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.payments.commands.pay_again import PayAgain, pay_again
from shared.payments.commands.refund_payment import Refunding, RefundPayment
from shared.payments.domain.payment import Payment
from shared.payments.domain.provider import Declined, Held, Taken
from shared.payments.events import DeclineReason
from shared.payments.repository import Payments
from shared.payments.stripe_provider import StripeProvider
from tests.support.shop import SHIPPING, Shop

type Prepared = tuple[str, Any, Any, int]
"""A context, a handler and a command on something at this version; 0 makes something new."""


def order(shop: Shop, *steps: Callable[[UUID], tuple[Any, Any]]) -> tuple[UUID, UUID]:
    product_id = shop.product()
    order_id = shop.order(product_id)
    for step in steps:
        shop.ordering.run(*step(order_id), Metadata())
    return order_id, product_id


def submitted(order_id: UUID) -> tuple[Any, Any]:
    return submit_order, SubmitOrder(order_id=order_id)


def confirmed(order_id: UUID) -> tuple[Any, Any]:
    return confirm_order, ConfirmOrder(order_id=order_id)


def adding(shop: Shop) -> Prepared:
    order_id, product_id = order(shop)
    return "ordering", add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), 1


def removing(shop: Shop) -> Prepared:
    order_id, product_id = order(shop)
    return "ordering", remove_item, RemoveItem(order_id=order_id, product_id=product_id), 1


def creating(shop: Shop) -> Prepared:
    items = [Item(product_id=shop.product(), quantity=1)]
    command = CreateOrder(order_id=uuid4(), customer_id=shop.customer(), items=items, shipping_address=SHIPPING)
    return "ordering", create_order, command, 0


def address_added(customer_id: UUID, address_id: UUID) -> tuple[Any, Any]:
    command = AddAddress(customer_id=customer_id, address_id=address_id, street="s", city="c", postal_code="p")
    return add_address, command


def on_address(shop: Shop, handler: Any, command: type[Any], **fields: str) -> Prepared:
    customer_id, address_id = shop.customer(), uuid4()
    shop.customers.run(*address_added(customer_id, address_id), Metadata())
    return "customers", handler, command(customer_id=customer_id, address_id=address_id, **fields), 2


def kept(shop: Shop) -> UUID:
    product_id = shop.product()
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=2), Metadata())
    return product_id


def shipping(shop: Shop) -> Prepared:
    product_id = kept(shop)
    order_id = shop.order(product_id)
    for step in (submitted, confirmed):
        shop.ordering.run(*step(order_id), Metadata())
    shop.follow_order(order_id)
    items = [ShippedItem(product_id=product_id, quantity=1)]
    return "catalog", ship_items, ShipItems(order_id=order_id, items=items), 2


def rating_again(shop: Shop) -> Prepared:
    command = RateProduct(product_id=shop.product(), customer_id=uuid4(), rating=4)
    shop.catalog.run(rate_product, command, Metadata())
    return "catalog", rate_product, command, 1


def paid(shop: Shop, outcome: Declined | Held) -> UUID:
    """A payment that the provider has declined, or whose amount it has taken."""
    payment = Payment.request(uuid4(), uuid4(), Money(Decimal(5), "EUR"), "pm_card_visa")
    payment.opened("pi_1")
    payment.settle(outcome)
    if isinstance(outcome, Held):
        payment.request_capture()
        payment.settle(Taken(payment.amount))
    with UnitOfWork(shop.payments_engine) as work:
        Payments(work, Metadata()).save(payment)
        work.commit()
    return payment.order_id


PREPARED: dict[type, Callable[[Shop], Prepared]] = {
    CreateOrder: creating,
    AddItem: adding,
    RemoveItem: removing,
    ChangeShippingAddress: lambda shop: (
        "ordering",
        change_shipping_address,
        ChangeShippingAddress(order_id=order(shop)[0], street="s", city="c", postal_code="p"),
        1,
    ),
    SubmitOrder: lambda shop: ("ordering", *submitted(order(shop)[0]), 1),
    ConfirmOrder: lambda shop: ("ordering", *confirmed(order(shop, submitted)[0]), 2),
    CompleteOrder: lambda shop: (
        "ordering",
        complete_order,
        CompleteOrder(order_id=order(shop, submitted, confirmed)[0]),
        3,
    ),
    CancelOrder: lambda shop: ("ordering", cancel_order, CancelOrder(order_id=order(shop)[0], reason="no"), 1),
    AddProduct: lambda _: (
        "catalog",
        add_product,
        AddProduct(product_id=uuid4(), name="Tea", unit_price=Decimal(1), currency="EUR", category="c"),
        0,
    ),
    ChangePrice: lambda shop: (
        "catalog",
        change_price,
        ChangePrice(product_id=shop.product(), unit_price=Decimal(2)),
        1,
    ),
    RenameProduct: lambda shop: ("catalog", rename_product, RenameProduct(product_id=shop.product(), name="Cup"), 1),
    ShipItems: shipping,
    ReceiveStock: lambda shop: ("catalog", receive_stock, ReceiveStock(product_id=kept(shop), quantity=1), 1),
    RecountStock: lambda shop: (
        "catalog",
        recount_stock,
        RecountStock(product_id=kept(shop), counted=1, reason="r"),
        1,
    ),
    RateProduct: rating_again,
    PayAgain: lambda shop: (
        "payments",
        pay_again,
        PayAgain(order_id=paid(shop, Declined(DeclineReason.DECLINED)), token="pm_card_visa"),  # noqa: S106  # a test token
        3,
    ),
    RefundPayment: lambda shop: (
        "payments",
        Refunding(StripeProvider("")).refund,
        RefundPayment(order_id=paid(shop, Held()), amount=Decimal(1), reason="r"),
        5,
    ),
    RegisterCustomer: lambda _: (
        "customers",
        register_customer,
        RegisterCustomer(customer_id=uuid4(), name="Ada", email="ada@example.org"),
        0,
    ),
    ChangeEmail: lambda shop: (
        "customers",
        change_email,
        ChangeEmail(customer_id=shop.customer(), email="eve@example.org"),
        1,
    ),
    AddAddress: lambda shop: ("customers", *address_added(shop.customer(), uuid4()), 1),
    ChangeAddress: lambda shop: on_address(shop, change_address, ChangeAddress, street="s", city="c", postal_code="p"),
    RemoveAddress: lambda shop: on_address(shop, remove_address, RemoveAddress),
    MakeAddressDefault: lambda shop: on_address(shop, make_address_default, MakeAddressDefault),
    ChangePreferences: lambda shop: (
        "customers",
        change_preferences,
        ChangePreferences(customer_id=shop.customer(), newsletter=True),
        1,
    ),
    EraseCustomer: lambda shop: (
        "customers",
        Erasures([], timedelta(hours=1)).ask,
        EraseCustomer(customer_id=shop.customer(), reason="r"),
        1,
    ),
    WithdrawErasure: lambda shop: ("customers", withdraw_erasure, WithdrawErasure(customer_id=erasing(shop)), 2),
    RenameCustomer: lambda shop: (
        "customers",
        rename_customer,
        RenameCustomer(customer_id=shop.customer(), name="Eve"),
        1,
    ),
}


def erasing(shop: Shop) -> UUID:
    command = EraseCustomer(customer_id=shop.customer(), reason="r")
    return shop.customers.run(Erasures([], timedelta(hours=1)).ask, command, Metadata()).aggregate_id
