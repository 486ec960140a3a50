"""Why the catalogue refuses."""

from shared.kernel.refusals import NotFound, Refusal


class ProductNotFound(NotFound):
    """There is no such product."""

    code = "product-not-found"


class ProductAlreadyExists(Refusal):
    """A product with this id was added before."""

    code = "product-already-exists"


class StockNotKept(Refusal):
    """The product's stock is not kept, so it is never out of stock."""

    code = "stock-not-kept"


class StockTooLarge(Refusal):
    """The product would have more pieces than the limit."""

    code = "stock-too-large"


class NotReserved(Refusal):
    """The order has fewer pieces reserved than are to be shipped."""

    code = "not-reserved"


class TooManyWaitAgain(Refusal):
    """So many pieces are missing that more orders would have to wait again than one change may affect."""

    code = "too-many-wait-again"


class OrderNotFound(NotFound):
    """There is no such order, or its events have not arrived here."""

    code = "order-not-found"


class OrderNotConfirmed(Refusal):
    """Only a confirmed order is shipped; the event of its confirmation may not have arrived here."""

    code = "order-not-confirmed"
