"""Orders and their pieces: each step of the write sides, and what the catalogue has then."""

from uuid import UUID

from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.catalog.commands.recount_stock import RecountStock, recount_stock
from shared.catalog.commands.ship_items import ShipItems, ShippedItem, ship_items
from shared.catalog.tables import ORDERED_STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.events import OrderStatus
from shared.ordering.repository import Orders
from tests.support.shop import Shop, rows


def kept(shop: Shop, quantity: int) -> UUID:
    """A product whose stock is kept, with so many pieces."""
    product_id = shop.product()
    receive(shop, product_id, quantity)
    return product_id


def sold_out(shop: Shop) -> UUID:
    """A product whose stock is kept, with none left."""
    product_id = kept(shop, 1)
    shop.catalog.run(recount_stock, RecountStock(product_id=product_id, counted=0, reason="r"), Metadata())
    return product_id


def receive(shop: Shop, product_id: UUID, quantity: int) -> None:
    """Receive pieces."""
    shop.catalog.run(receive_stock, ReceiveStock(product_id=product_id, quantity=quantity), Metadata())


def submitted(shop: Shop, *product_ids: UUID, quantity: int = 1) -> UUID:
    """An order that is submitted, of which the catalogue has yet to hear."""
    order_id = shop.order(*product_ids, quantity=quantity)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    return order_id


def confirmed(shop: Shop, *product_ids: UUID, quantity: int = 1) -> UUID:
    """The same, confirmed."""
    order_id = submitted(shop, *product_ids, quantity=quantity)
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=order_id), Metadata())
    return order_id


def ship(shop: Shop, order_id: UUID, product_id: UUID, quantity: int, key: str | None = None) -> Accepted:
    """Ship pieces of an order; with a key, a repetition is recognised."""
    command = ShipItems(order_id=order_id, items=[ShippedItem(product_id=product_id, quantity=quantity)])
    metadata = Metadata(command_id=key, fingerprint=b"f".ljust(32)) if key else Metadata()
    return shop.catalog.run(ship_items, command, metadata)


def pieces(shop: Shop, order_id: UUID) -> list[tuple[object, object, object]]:
    """What the catalogue has for the order, by product."""
    found = [row for row in rows(shop.catalog_engine, ORDERED_STOCK) if row["order_id"] == order_id]
    return [(row["reserved"], row["waiting"], row["shipped"]) for row in found]


def status(shop: Shop, order_id: UUID) -> OrderStatus:
    """The status that ordering has."""
    return Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id).status
