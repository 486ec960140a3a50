"""Why customers are refused."""

from shared.kernel.refusals import NotFound, Refusal


class CustomerNotFound(NotFound):
    """There is no such customer."""

    code = "customer-not-found"


class CustomerAlreadyExists(Refusal):
    """A customer with this id was registered before."""

    code = "customer-already-exists"
