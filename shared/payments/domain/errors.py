"""Why a payment refuses. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from shared.kernel.refusals import NotFound, Refusal


class PaymentNotFound(NotFound):
    """There is no such payment: the order is on account, or nothing was asked of it yet."""

    code = "payment-not-found"


class PaymentStatusForbids(Refusal):
    """The payment's status does not allow the command."""

    code = "payment-status"


class RefundTooLarge(Refusal):
    """More would be given back than was taken."""

    code = "refund-too-large"


class RefundAlreadyAsked(Refusal):
    """It was asked for before; nobody hears of it, for the retry of a command gets its first answer again."""

    code = "refund-already-asked"


class TooManyRefunds(Refusal):
    """A payment has only so many refunds."""

    code = "too-many-refunds"
