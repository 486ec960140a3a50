"""Why customers are refused."""

from shared.kernel.refusals import NotFound, Refusal


class CustomerNotFound(NotFound):
    """There is no such customer."""

    code = "customer-not-found"


class CustomerAlreadyExists(Refusal):
    """A customer with this id was registered before."""

    code = "customer-already-exists"


class EmailTaken(Refusal):
    """Another customer is registered with this e-mail address; the refusal does not tell who."""

    code = "email-taken"


class OrdersAreOpen(Refusal):
    """The customer has open orders, and their data is needed to carry these out."""

    code = "orders-are-open"


class ErasureNotAsked(Refusal):
    """No erasure of the customer is scheduled, or it was withdrawn."""

    code = "erasure-not-asked"


class ErasureAsked(Refusal):
    """The customer's erasure is scheduled already."""

    code = "erasure-asked"


class AddressNotFound(NotFound):
    """The customer keeps no such address."""

    code = "address-not-found"


class AddressAlreadyExists(Refusal):
    """The customer keeps an address with this id already."""

    code = "address-already-exists"


class TooManyAddresses(Refusal):
    """The customer has as many addresses as allowed."""

    code = "too-many-addresses"
