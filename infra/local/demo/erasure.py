"""A customer has themselves erased; the book knows what is shown of their orders from then on."""

from infra.local.demo.book import Book
from infra.local.demo.shop import Shop, Surprise

REASON = "Asked for it by letter"


async def erase_customer(shop: Shop, book: Book) -> list[str]:
    """Erase the first customer, whose open orders are cancelled before; tell what was not as it must be."""
    try:
        await _erase(shop, book)
    except Surprise as surprise:
        return [f"erasure: {surprise}"]
    return []


async def _erase(shop: Shop, book: Book) -> None:
    customer = next(iter(book.customers.values()))
    for order in book.orders_of(customer.customer_id):
        if order.status not in {"Completed", "Cancelled"}:
            path = f"/orders/{order.order_id}/cancel"
            await shop.accepted(path, {"reason": REASON}, version=order.version + 1)
            order.version += 1
            order.cancel_reason = REASON
            order.become("Cancelled")
    path = f"/customers/{customer.customer_id}/erase"
    await shop.accepted(path, {"reason": REASON}, version=customer.version + 1)
    book.erase(customer)
