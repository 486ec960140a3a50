"""State tables = fold of the log = read models, for everything that a shop holds."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.catalog import tables as catalog
from shared.catalog.domain.product import Product
from shared.catalog.repository import Products
from shared.catalog.views.product_details import ReadProduct, read_product
from shared.customers import tables as customers
from shared.customers.domain.customer import Customer
from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.times import utc_text
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.money import Money
from shared.ordering import tables as ordering
from shared.ordering.domain.order import Order
from shared.ordering.events import OrderSubmittedV2
from shared.ordering.repository import Orders
from shared.ordering.views.customer_orders import ListOrders, list_orders
from shared.ordering.views.customer_summary import COUNTED, RECENT, ReadSummary, read_summary
from shared.ordering.views.order_details import ReadOrder, read_order
from tests.support.shop import Shop, about_product

type Submitted = tuple[Order, datetime | None]
"""An order, and when it was submitted."""


async def assert_everything_agrees(shop: Shop, orders: ContainerProxy, products: ContainerProxy) -> None:
    """Compare everything; all events must have been delivered."""
    catalogue, people, made = _folded_products(shop), _folded_customers(shop), _folded_orders(shop)
    named = {id_: product.name for id_, product in catalogue.items()}
    named |= {id_: customer.name for id_, customer in people.items()}
    for product in catalogue.values():
        await _product_document_agrees(products, product)
    for order, _ in made:
        await _order_document_agrees(orders, order, named)
    for customer_id in people:
        theirs = [each for each in made if each[0].customer_id == customer_id]
        await _summary_agrees(orders, customer_id, theirs, named[customer_id])
        page = await list_orders(Served(orders, 1), ListOrders(customer_id=customer_id, take=100), wait=NO_WAIT)
        assert [item.order_id for item in page.items] == [order.order_id for order, _ in reversed(theirs)]
        assert page.total_count == len(theirs)


def _folded_orders(shop: Shop) -> list[Submitted]:
    """All orders, oldest first."""
    found: list[Submitted] = []
    with shop.ordering_engine.connect() as connection:
        oldest_first = sa.select(ordering.ORDERS.c.order_id).order_by(ordering.ORDERS.c.created_at)
        for order_id in connection.execute(oldest_first).scalars().all():
            history = ordering.LOG.history(connection, order_id)
            order = Order.fold(recorded.event for recorded in history)
            assert vars(Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id)) == vars(order)
            at = [recorded.envelope.occurred_at for recorded in history if isinstance(recorded.event, OrderSubmittedV2)]
            found.append((order, at[0] if at else None))
    return found


def _folded_products(shop: Shop) -> dict[UUID, Product]:
    found = {}
    with shop.catalog_engine.connect() as connection:
        for product_id in connection.execute(sa.select(catalog.PRODUCTS.c.product_id)).scalars().all():
            history = catalog.LOG.history(connection, product_id)
            found[product_id] = Product.fold(about_product(history))
            stored = Products(UnitOfWork(shop.catalog_engine), Metadata()).load(product_id)
            assert vars(stored) == vars(found[product_id])
    return found


def _folded_customers(shop: Shop) -> dict[UUID, Customer]:
    found = {}
    with shop.customers_engine.connect() as connection:
        for customer_id in connection.execute(sa.select(customers.CUSTOMERS.c.customer_id)).scalars().all():
            history = customers.LOG.history(connection, customer_id)
            found[customer_id] = Customer.fold(recorded.event for recorded in history)
            stored = Customers(UnitOfWork(shop.customers_engine), Metadata()).load(customer_id)
            assert vars(stored) == vars(found[customer_id])
    return found


async def _product_document_agrees(products: ContainerProxy, product: Product) -> None:
    shown, _ = await read_product(Served(products, 1), ReadProduct(product_id=product.product_id), wait=NO_WAIT)
    assert (shown.name, shown.version) == (product.name, product.version)
    assert Money(Decimal(shown.unit_price), shown.currency) == product.price


async def _order_document_agrees(orders: ContainerProxy, order: Order, named: dict[UUID, str]) -> None:
    query = ReadOrder(order_id=order.order_id, customer_id=order.customer_id)
    shown, _ = await read_order(Served(orders, 1), query, wait=NO_WAIT)
    assert (shown.version, shown.status, shown.currency) == (order.version, order.status, order.currency)
    assert (Decimal(shown.total), shown.cancel_reason) == (order.total, order.cancel_reason)
    assert shown.customer_name == named[order.customer_id]
    assert shown.shipping_address.model_dump() == asdict(order.shipping_address)
    lines = sorted(order.lines.values(), key=lambda line: line.number)
    assert [(item.product_id, item.product_name, item.quantity, Decimal(item.unit_price)) for item in shown.items] == [
        (line.product_id, named[line.product_id], line.quantity, line.unit_price) for line in lines
    ]


async def _summary_agrees(orders: ContainerProxy, customer_id: UUID, theirs: list[Submitted], name: str) -> None:
    shown = await read_summary(Served(orders, 1), ReadSummary(customer_id=customer_id), wait=NO_WAIT)
    counted = [order for order, _ in theirs if order.status in COUNTED]
    submitted = sorted(((at, order.order_id) for order, at in theirs if at is not None), reverse=True)
    spent = {
        str(order.currency): sum(other.total for other in counted if other.currency == order.currency)
        for order in counted
    }
    assert (shown.customer_name, shown.total_orders) == (name, len(counted))
    assert {each.currency: Decimal(each.amount) for each in shown.total_spent} == {
        currency: amount for currency, amount in spent.items() if amount
    }
    assert [recent.order_id for recent in shown.recent_orders] == [id_ for _, id_ in submitted[:RECENT]]
    assert shown.last_order_date == (utc_text(submitted[0][0]) if submitted else None)
