"""The shop's app roles, as in the API's registration (infra/app-roles.json)."""

from enum import StrEnum
from uuid import UUID

from shared.frame.platform.callers import OPS as OPERATIONS
from shared.frame.platform.callers import Owners
from shared.kernel.refusals import NotFound

CUSTOMER = "Customer"
"""The app role of customers who act for themselves. It takes away every other right."""


class Role(StrEnum):
    """What a caller may do for the shop."""

    ORDERS_WRITE = "Orders.Write"
    ORDERS_READ = "Orders.Read"
    CATALOG_WRITE = "Catalog.Write"
    INVENTORY_WRITE = "Inventory.Write"
    CATALOG_READ = "Catalog.Read"
    CUSTOMERS_WRITE = "Customers.Write"
    CUSTOMERS_READ = "Customers.Read"
    PAYMENTS_WRITE = "Payments.Write"
    CUSTOMERS_ERASE = "Customers.Erase"
    OPS = OPERATIONS


class NotTheirs(NotFound):
    """A customer asks for another customer's things; to a customer, other customers do not exist."""

    code = "customer-not-found"


def _not_theirs(customer_id: UUID | None) -> NotTheirs:
    return NotTheirs(f"There is no customer {customer_id}.")


CUSTOMERS = Owners(role=CUSTOMER, who="customers", missing=_not_theirs)
"""A customer's id is the caller's own."""
