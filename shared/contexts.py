"""The contexts of this app, a line for each, and what it says of itself."""

from shared.catalog.functions import catalog
from shared.customers.functions import customers
from shared.frame.http.openapi_parts import About
from shared.ordering.functions import ordering
from shared.payments.functions import payments
from shared.roles import CUSTOMERS

CONTEXTS = (ordering, catalog, customers, payments)

ABOUT = About("Tandem", "Orders, products, customers and payments: commands change, queries read.", CUSTOMERS)
