"""Why a payment refuses. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from shared.kernel.refusals import NotFound, Refusal


class PaymentNotFound(NotFound):
    """There is no such payment: the order is on account, or its payment was not requested yet."""

    code = "payment-not-found"


class PaymentStatusForbids(Refusal):
    """The payment's status does not allow the command."""

    code = "payment-status"


class RefundTooLarge(Refusal):
    """The refund is larger than the captured amount that is left."""

    code = "refund-too-large"


class RefundAlreadyAsked(Refusal):
    """The refund was requested before. No caller sees this, because a repeated command gets its first answer again."""

    code = "refund-already-asked"


class TooManyAttempts(Refusal):
    """The payment was tried with as many tokens as allowed."""

    code = "too-many-attempts"


class TooManyRefunds(Refusal):
    """The payment has as many refunds as allowed."""

    code = "too-many-refunds"
