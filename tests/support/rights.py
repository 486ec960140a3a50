"""Who may do what: one row for every route, as the shop wants it. Tests hold the app against this table.

A new route without a row is a failure. The table is written by hand on purpose: what the code says of itself proves
nothing.
"""

from typing import NamedTuple


class Right(NamedTuple):
    """What a caller of one route has to be.

    Attributes:
        role: the app role; None is everybody, with a token or without.
        customers: whether customers may use it too, for what is theirs.
    """

    role: str | None
    customers: bool = False


RIGHTS = {
    "POST customers": Right("Customers.Write"),
    "GET customers": Right("Customers.Read"),
    "GET customers/{customerId}": Right("Customers.Read", customers=True),
    "GET customers/{customerId}/export": Right("Customers.Read", customers=True),
    "POST customers/{customerId}/rename": Right("Customers.Write", customers=True),
    "POST customers/{customerId}/email": Right("Customers.Write"),
    "POST customers/{customerId}/addresses": Right("Customers.Write", customers=True),
    "PUT customers/{customerId}/addresses/{addressId}": Right("Customers.Write", customers=True),
    "DELETE customers/{customerId}/addresses/{addressId}": Right("Customers.Write", customers=True),
    "POST customers/{customerId}/addresses/{addressId}/default": Right("Customers.Write", customers=True),
    "PUT customers/{customerId}/preferences": Right("Customers.Write", customers=True),
    "POST customers/{customerId}/erase": Right("Customers.Erase"),
    "POST customers/{customerId}/erase/withdraw": Right("Customers.Erase"),
    "GET customers/{customerId}/summary": Right("Customers.Read", customers=True),
    "GET customers/{customerId}/orders": Right("Orders.Read", customers=True),
    "POST products": Right("Catalog.Write"),
    "POST products/{productId}/price": Right("Catalog.Write"),
    "POST products/{productId}/rename": Right("Catalog.Write"),
    "POST products/{productId}/ratings": Right("Catalog.Write", customers=True),
    "POST products/{productId}/receipts": Right("Inventory.Write"),
    "POST orders/{orderId}/shipments": Right("Inventory.Write"),
    "POST products/{productId}/recounts": Right("Inventory.Write"),
    "GET products/{productId}": Right("Catalog.Read", customers=True),
    "GET products/{productId}/inventory": Right("Catalog.Read"),
    "GET products/{productId}/related": Right("Catalog.Read", customers=True),
    "GET inventory/out-of-stock": Right("Catalog.Read"),
    "GET products": Right("Catalog.Read", customers=True),
    "POST orders": Right("Orders.Write", customers=True),
    "POST orders/{orderId}/items": Right("Orders.Write", customers=True),
    "DELETE orders/{orderId}/items/{productId}": Right("Orders.Write", customers=True),
    "POST orders/{orderId}/shipping-address": Right("Orders.Write", customers=True),
    "POST orders/{orderId}/submit": Right("Orders.Write", customers=True),
    "POST orders/{orderId}/confirm": Right("Orders.Write"),
    "POST orders/{orderId}/complete": Right("Orders.Write"),
    "POST orders/{orderId}/cancel": Right("Orders.Write", customers=True),
    "GET orders/{orderId}": Right("Orders.Read", customers=True),
    "GET orders/{orderId}/history": Right("Orders.Read"),
    "GET orders/{orderId}/payment": Right("Orders.Read", customers=True),
    "POST orders/{orderId}/payment": Right("Orders.Write", customers=True),
    "POST orders/{orderId}/refund": Right("Payments.Write"),
    "POST payments/webhook": Right(None),
    "GET ops/projections": Right("Ops"),
    "GET ops/projections/{view}": Right("Ops"),
    "POST ops/projections/{view}/rebuild": Right("Ops"),
    "POST ops/projections/{view}/cancel": Right("Ops"),
    "POST ops/projections/{view}/roll-back": Right("Ops"),
    "POST ops/projections/{view}/retire": Right("Ops"),
    "POST ops/projections/{view}/check": Right("Ops"),
    "POST ops/projections/{view}/heal": Right("Ops"),
    "GET ops/processes": Right("Ops"),
    "GET ops/processes/{orderId}": Right("Ops"),
    "POST ops/processes/{orderId}/deadline": Right("Ops"),
    "GET ops/dead-letters": Right("Ops"),
    "POST ops/dead-letters/replay": Right("Ops"),
    "POST ops/dead-letters/discard": Right("Ops"),
    "GET ops/audit": Right("Ops"),
    "GET ops/outbox": Right("Ops"),
    "GET ops/events": Right("Ops"),
    "GET ops/history": Right("Ops"),
    "GET ops/deliveries": Right("Ops"),
    "GET health/live": Right(None),
    "GET health/ready": Right(None),
    "GET openapi.json": Right(None),
    "GET asyncapi.json": Right(None),
    "GET docs": Right(None),
    "GET docs/{asset}": Right(None),
    "GET ops/console": Right(None),
    "GET ops/console/{asset}": Right(None),
}
