"""Why an order refuses. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from shared.kernel.refusals import NotFound, Refusal


class OrderNotFound(NotFound):
    """There is no such order."""

    code = "order-not-found"


class CustomerNotFound(NotFound):
    """There is no such customer."""

    code = "customer-not-found"


class OrderAlreadyExists(Refusal):
    """An order with this id was created before."""

    code = "order-already-exists"


class OrderNotInStatus(Refusal):
    """The order's status does not allow the command, or pieces of an order that is to be cancelled are shipped."""

    code = "order-status"


class OrderIsEmpty(Refusal):
    """An order without items cannot be submitted."""

    code = "order-empty"


class ItemNotInOrder(NotFound):
    """The order has no line for this product."""

    code = "item-not-in-order"


class CurrencyMix(Refusal):
    """An order has one currency, its first product's."""

    code = "currency-mix"


class PriceChanged(Refusal):
    """A product no longer costs what the caller expected."""

    code = "price-changed"


class OrderTooLarge(Refusal):
    """A line, the number of lines or the total would go over its limit."""

    code = "order-too-large"


class ProcessNotFound(NotFound):
    """No fulfilment of such an order has begun."""

    code = "process-not-found"


class NoDeadline(Refusal):
    """The order waits for nothing that has a deadline."""

    code = "no-deadline"


class NoSuchVersion(NotFound):
    """The order has not reached this version, or did not exist at this time."""

    code = "no-such-version"


class OrderNotShipped(Refusal):
    """Some items whose stock is kept have not been shipped, and may still be."""

    code = "order-not-shipped"
