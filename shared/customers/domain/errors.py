"""Why customers are refused."""

from shared.kernel.refusals import NotFound, Refusal


class CustomerNotFound(NotFound):
    """There is no such customer."""

    code = "customer-not-found"


class CustomerAlreadyExists(Refusal):
    """A customer with this id was registered before."""

    code = "customer-already-exists"


class EmailTaken(Refusal):
    """Somebody else is registered with this address for e-mail; whoever asks is not told who."""

    code = "email-taken"


class OrdersAreOpen(Refusal):
    """Orders of the customer's are not done yet: what is known of the customer is needed to carry them out."""

    code = "orders-are-open"


class ErasureNotAsked(Refusal):
    """Nobody has asked for the customer to be erased, or it was withdrawn."""

    code = "erasure-not-asked"


class ErasureAsked(Refusal):
    """The customer is to be erased already."""

    code = "erasure-asked"


class AddressNotFound(NotFound):
    """The customer keeps no such address."""

    code = "address-not-found"


class AddressAlreadyExists(Refusal):
    """The customer keeps an address with this id already."""

    code = "address-already-exists"


class TooManyAddresses(Refusal):
    """The customer keeps as many addresses as one may."""

    code = "too-many-addresses"
