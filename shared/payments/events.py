"""The events of payments; see ordering's events for the rules. Amounts are in major units of the payment's currency.

Nothing of a card is in them but the provider's token. A payment is its order's, and has its id.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from shared.kernel.personal import Personal


class DeclineReason(StrEnum):
    """Why a payment was not authorised, as far as it helps whoever pays to do better."""

    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficientFunds"
    EXPIRED_CARD = "expiredCard"
    NOT_AUTHENTICATED = "notAuthenticated"
    NOT_ACCEPTED = "notAccepted"


@dataclass(frozen=True, slots=True)
class PaymentRequestedV1:
    """An order is to be paid: its amount is to be authorised with a token.

    Attributes:
        attempt: which token of this payment it is, from 1.
    """

    order_id: UUID
    customer_id: UUID
    currency: str
    amount: Decimal
    token: str
    attempt: int


@dataclass(frozen=True, slots=True)
class PaymentOpenedV1:
    """The provider knows of the payment, by this reference; no money is held yet."""

    order_id: UUID
    reference: str


@dataclass(frozen=True, slots=True)
class PaymentActionRequiredV1:
    """The cardholder has to show that it is them (strong customer authentication)."""

    order_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class PaymentAuthorisedV1:
    """The amount is held."""

    order_id: UUID
    currency: str
    amount: Decimal
    attempt: int


@dataclass(frozen=True, slots=True)
class PaymentDeclinedV1:
    """The amount is not held; another token may be tried."""

    order_id: UUID
    attempt: int
    reason: DeclineReason


@dataclass(frozen=True, slots=True)
class PaymentCaptureRequestedV1:
    """What is held is to be taken."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentCapturedV1:
    """What was held is taken."""

    order_id: UUID
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PaymentLapsedV1:
    """What was held is no longer: the bank let it go before it was taken."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentVoidRequestedV1:
    """Nothing is to be taken any more, and what is held is to be let go."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentVoidedV1:
    """Nothing is held, and nothing will be."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentRefundRequestedV1:
    """A part of what was taken, or all of it, is to be given back.

    Attributes:
        reason: what somebody said why; None: the order was cancelled, or its customer is erased.
    """

    order_id: UUID
    refund_id: UUID
    currency: str
    amount: Decimal
    reason: Personal | None


@dataclass(frozen=True, slots=True)
class PaymentRefundedV1:
    """It was given back.

    Attributes:
        refunded: all that was given back so far.
    """

    order_id: UUID
    refund_id: UUID
    currency: str
    amount: Decimal
    refunded: Decimal


@dataclass(frozen=True, slots=True)
class PaymentErasedV1:
    """What somebody said of the customer is gone, and is not noted any more; what is due is still done."""

    order_id: UUID


type PaymentEvent = (
    PaymentRequestedV1
    | PaymentOpenedV1
    | PaymentActionRequiredV1
    | PaymentAuthorisedV1
    | PaymentDeclinedV1
    | PaymentCaptureRequestedV1
    | PaymentCapturedV1
    | PaymentLapsedV1
    | PaymentVoidRequestedV1
    | PaymentVoidedV1
    | PaymentRefundRequestedV1
    | PaymentRefundedV1
    | PaymentErasedV1
)
