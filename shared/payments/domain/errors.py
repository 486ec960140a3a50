"""Why a payment refuses. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from shared.kernel.refusals import Refusal


class PaymentStatusForbids(Refusal):
    """The payment's status does not allow the command."""

    code = "payment-status"


class RefundTooLarge(Refusal):
    """More would be given back than was taken."""

    code = "refund-too-large"


class TooManyRefunds(Refusal):
    """A payment has only so many refunds."""

    code = "too-many-refunds"
