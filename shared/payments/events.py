"""The events of payments; see ordering's events for the rules. Amounts are in major units of the payment's currency.

The only data of a card in them is the provider's token. An order has one payment, with the order's id.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import get_args
from uuid import UUID

from shared.kernel.personal import Personal


class DeclineReason(StrEnum):
    """The reason why a payment was not authorised, as far as it helps the payer."""

    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficientFunds"
    EXPIRED_CARD = "expiredCard"
    NOT_AUTHENTICATED = "notAuthenticated"
    NOT_ACCEPTED = "notAccepted"


@dataclass(frozen=True, slots=True)
class PaymentRequestedV1:
    """The payment of an order was requested: its amount is to be authorised with a token.

    Attributes:
        attempt: the number of the token of this payment, from 1.
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
    """The cardholder has to authenticate (strong customer authentication)."""

    order_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class PaymentAuthorisedV1:
    """The amount was authorised: the bank holds it."""

    order_id: UUID
    currency: str
    amount: Decimal
    attempt: int


@dataclass(frozen=True, slots=True)
class PaymentDeclinedV1:
    """The authorisation was declined; another token may be tried."""

    order_id: UUID
    attempt: int
    reason: DeclineReason


@dataclass(frozen=True, slots=True)
class PaymentCaptureRequestedV1:
    """The capture of the authorised amount was requested."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentCapturedV1:
    """The authorised amount was captured, or a part of it, for the shop may take less in the provider's dashboard."""

    order_id: UUID
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PaymentLapsedV1:
    """The authorisation has lapsed: the bank released the amount before it was captured."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentVoidRequestedV1:
    """A void was requested: no amount is to be captured, and a held one is to be released."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentVoidedV1:
    """The payment was voided: no amount is held, and none will be."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentRefundRequestedV1:
    """A refund of the captured amount, or of a part of it, was requested.

    Attributes:
        reason: the given reason; None: the order was cancelled, or its customer was erased.
    """

    order_id: UUID
    refund_id: UUID
    currency: str
    amount: Decimal
    reason: Personal | None


@dataclass(frozen=True, slots=True)
class PaymentRefundedV1:
    """A refund was made.

    Attributes:
        refunded: the sum of all refunds so far, and of what was not captured.
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

ON_TOPIC = get_args(PaymentEvent.__value__)
"""Every class of this context's topic; each subscriber receives all of them."""
