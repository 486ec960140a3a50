"""Why the catalogue refuses."""

from shared.kernel.refusals import NotFound, Refusal


class ProductNotFound(NotFound):
    """There is no such product."""

    code = "product-not-found"


class ProductAlreadyExists(Refusal):
    """A product with this id was added before."""

    code = "product-already-exists"


class StockNotKept(Refusal):
    """Nobody has said how many pieces of the product there are: it is never out of stock."""

    code = "stock-not-kept"


class StockTooLarge(Refusal):
    """There would be more pieces of one product than can be kept."""

    code = "stock-too-large"


class NotReserved(Refusal):
    """An order has fewer pieces ready than are to be shipped."""

    code = "not-reserved"


class TooManyWaitAgain(Refusal):
    """So many pieces are missing that more orders would have to wait again than one change lets wait."""

    code = "too-many-wait-again"


class OrderNotFound(NotFound):
    """There is no such order, or no news of it has come yet."""

    code = "order-not-found"


class OrderNotConfirmed(Refusal):
    """Only a confirmed order is shipped, and it is known for one when news of that has come."""

    code = "order-not-confirmed"
