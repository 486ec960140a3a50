"""Why the catalogue refuses."""

from shared.kernel.refusals import NotFound, Refusal


class ProductNotFound(NotFound):
    """There is no such product."""

    code = "product-not-found"


class ProductAlreadyExists(Refusal):
    """A product with this id was added before."""

    code = "product-already-exists"
