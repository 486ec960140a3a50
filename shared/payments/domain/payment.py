"""A payment: the requests to it, what the provider has done, and the next step that follows.

A request is recorded before the provider is called, and the outcome after that. If the process dies in between, the
payment still says which step is due, and the call to the provider can be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Self, assert_never, override
from uuid import UUID

from shared.kernel.aggregate import Aggregate
from shared.kernel.money import Money, fits
from shared.kernel.refusals import InputError, Invalid
from shared.payments.domain.errors import PaymentStatusForbids, RefundTooLarge, TooManyAttempts, TooManyRefunds
from shared.payments.domain.provider import ActionRequired, Declined, Gone, Held, Outcome, Taken
from shared.payments.events import (
    DeclineReason,
    PaymentActionRequiredV1,
    PaymentAuthorisedV1,
    PaymentCapturedV1,
    PaymentCaptureRequestedV1,
    PaymentDeclinedV1,
    PaymentErasedV1,
    PaymentEvent,
    PaymentLapsedV1,
    PaymentOpenedV1,
    PaymentRefundedV1,
    PaymentRefundRequestedV1,
    PaymentRequestedV1,
    PaymentVoidedV1,
    PaymentVoidRequestedV1,
)

MAX_ATTEMPTS = 10
"""Tokens that one payment is tried with: more would let an order test stolen cards. Orders know it too (actions.py)."""

MAX_REFUNDS = 50
"""Refunds of one payment: the provider is asked for all of them at once."""


class PaymentStatus(StrEnum):
    """The state of the payment at the provider, as far as it is known."""

    REQUESTED = "requested"
    ACTION_REQUIRED = "actionRequired"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    CAPTURED = "captured"
    LAPSED = "lapsed"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Open:
    """Make the payment known to the provider."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Authorise:
    """Authorise the amount: the bank holds it."""

    attempt: int
    token: str


@dataclass(frozen=True, slots=True)
class Look:
    """Look whether the cardholder has done the required action."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Capture:
    """Capture the authorised amount."""


@dataclass(frozen=True, slots=True)
class Void:
    """Void the authorisation."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Refund an amount."""

    refund_id: UUID
    amount: Money


type Step = Open | Authorise | Look | Capture | Void | Refund


class Payment(Aggregate[PaymentEvent]):
    """The payment of one order."""

    order_id: UUID
    customer_id: UUID
    amount: Money
    status: PaymentStatus
    token: str
    attempt: int

    def __init__(self) -> None:
        super().__init__()
        self.reference: str | None = None
        self.decline_reason: DeclineReason | None = None
        self.capture_requested = self.void_requested = False
        self.refunds: dict[UUID, Money] = {}
        self.refunds_due: dict[UUID, Money] = {}
        self.erased = False

    @classmethod
    def request(cls, order_id: UUID, customer_id: UUID, amount: Money, token: str) -> Self:
        """Request the payment of an order."""
        payment = cls()
        payment._record(PaymentRequestedV1(order_id, customer_id, amount.currency, amount.amount, token, attempt=1))
        return payment

    def try_another(self, token: str) -> None:
        """Try another token, up to MAX_ATTEMPTS.

        It follows a decline, a hold that has lapsed, or a card whose holder has yet to authenticate. If that holder
        still does it first, what is held counts, and the token is not used.
        """
        if self.status not in _TAKES_ANOTHER or self.void_requested:
            raise self._forbids("tried with another token", "actionRequired, declined or lapsed")
        if self.attempt >= MAX_ATTEMPTS:
            raise TooManyAttempts(f"The payment of order {self.order_id} was tried with {MAX_ATTEMPTS} tokens.")
        money = self.amount
        self._record(
            PaymentRequestedV1(
                self.order_id, self.customer_id, money.currency, money.amount, token, attempt=self.attempt + 1
            )
        )

    def request_capture(self) -> None:
        """Request the capture of the authorised amount."""
        if self.status is not PaymentStatus.AUTHORISED or self.void_requested:
            raise self._forbids("captured", "authorised")
        if not self.capture_requested:
            self._record_past_limit(PaymentCaptureRequestedV1(self.order_id))

    def request_void(self) -> None:
        """Request that nothing be captured; possible until the capture is requested. A lapsed payment ends by it."""
        if self.void_requested:
            return
        if self.status is PaymentStatus.LAPSED:
            self._record_past_limit(PaymentVoidedV1(self.order_id))
            return
        if self.capture_requested or self.status is PaymentStatus.CAPTURED:
            raise self._forbids("voided", "not captured")
        if self.status not in _ENDED:
            self._record_past_limit(PaymentVoidRequestedV1(self.order_id))

    def request_refund(self, refund_id: UUID, amount: Decimal | None = None, reason: str | None = None) -> None:
        """Request a refund, by default of all that is left; the same refund again changes nothing."""
        if self.status is not PaymentStatus.CAPTURED:
            raise self._forbids("refunded", "captured")
        if refund_id in self.refunds:
            return
        if len(self.refunds) >= MAX_REFUNDS:
            raise TooManyRefunds(f"The payment of order {self.order_id} has {MAX_REFUNDS} refunds, and takes no more.")
        currency, left = self.amount.currency, self.left
        wanted = left.amount if amount is None else amount
        if not fits(wanted, currency) or wanted <= 0:
            if amount is None:
                raise RefundTooLarge(f"All of the payment of order {self.order_id} has been given back.")
            raise Invalid(
                "A refund is a positive amount with the digits of its currency.",
                [InputError("/amount", f"is no positive amount of {currency}")],
            )
        if wanted > left.amount:
            raise RefundTooLarge(
                f"Of the payment of order {self.order_id} {left} {currency} can be given back.",
                [InputError("/amount", f"is more than {left} {currency}")],
            )
        said = None if self.erased else reason
        self._record_past_limit(PaymentRefundRequestedV1(self.order_id, refund_id, currency, wanted, said))

    def erase(self) -> None:
        """Know nothing of the customer any more but the id, from now on; what is due needs nothing else."""
        if not self.erased:
            self._record_past_limit(PaymentErasedV1(self.order_id))

    @property
    def left(self) -> Money:
        """The amount that can still be refunded."""
        asked = sum((money.amount for money in self.refunds.values()), Decimal(0))
        return Money(self.amount.amount - asked, self.amount.currency)

    @property
    def refunded(self) -> Money:
        """The refunded amount, and what was not captured of the payment."""
        done = sum((money.amount for id_, money in self.refunds.items() if id_ not in self.refunds_due), Decimal(0))
        return Money(done, self.amount.currency)

    @property
    def all_due(self) -> Sequence[Step]:
        """All steps that are due: the next one, or each refund, for none has to wait for another."""
        if self.status is PaymentStatus.CAPTURED:
            return [Refund(id_, money) for id_, money in self.refunds_due.items()]
        return [] if self.due is None else [self.due]

    @property
    def due(self) -> Step | None:
        """The next step with the provider; None if no request is open."""
        match self.status:
            case PaymentStatus.VOIDED | PaymentStatus.LAPSED:
                return None
            case PaymentStatus.CAPTURED:
                return next((Refund(id_, money) for id_, money in self.refunds_due.items()), None)
            case _ if self.void_requested:
                return Void() if self.reference else Open(self.attempt)  # which finds what was begun for it
            case PaymentStatus.REQUESTED:
                return Authorise(self.attempt, self.token) if self.reference else Open(self.attempt)
            case PaymentStatus.ACTION_REQUIRED:
                return Look(self.attempt)
            case PaymentStatus.AUTHORISED:
                return Capture() if self.capture_requested else None
            case PaymentStatus.DECLINED:
                return None  # also where the provider takes no such amount, and so does not know the payment

    def opened(self, reference: str) -> None:
        """Record that the provider knows the payment."""
        if self.reference is None:
            self._record_past_limit(PaymentOpenedV1(self.order_id, reference))

    def settle(self, outcome: Outcome | None) -> None:
        """Record an outcome at the provider; a known or outdated outcome changes nothing.

        An outcome may come by a webhook and by a call, twice, and late. After a decline the cardholder's browser may
        try another card with the same client secret. The shop may capture in the provider's dashboard: that is recorded
        once a capture or a void was requested, and the refund of a cancelled order follows from it. If the shop takes
        less there, the payer has the rest back already, like a refund under the order's own id.
        """
        money = self.amount
        is_open = self.status is PaymentStatus.DECLINED and not self.void_requested
        match outcome:
            case Taken() if (self.capture_requested or self.void_requested) and self.status not in _ENDED:
                self._record_past_limit(
                    PaymentCapturedV1(self.order_id, outcome.amount.currency, outcome.amount.amount)
                )
            case Held() | Taken() if self.status in _TRIED or is_open:
                self._record_past_limit(PaymentAuthorisedV1(self.order_id, money.currency, money.amount, self.attempt))
            case ActionRequired() if self.status is PaymentStatus.REQUESTED or is_open:
                self._record_past_limit(PaymentActionRequiredV1(self.order_id, self.attempt))
            case Declined() if self.status in _TRIED and not self.void_requested:
                self._record_past_limit(PaymentDeclinedV1(self.order_id, self.attempt, outcome.reason))
            case Gone() if self.status not in _ENDED:
                ended = PaymentVoidedV1 if self.void_requested else PaymentLapsedV1
                self._record_past_limit(ended(self.order_id))
            case _:
                pass

    def gave_back(self, refund_id: UUID) -> None:
        """Record that a refund was made."""
        money = self.refunds_due.get(refund_id)
        if money is not None:
            refunded = self.refunded.amount + money.amount
            self._record_past_limit(PaymentRefundedV1(self.order_id, refund_id, money.currency, money.amount, refunded))

    def _forbids(self, done: str, allowed: str) -> PaymentStatusForbids:
        status = "being voided" if self.void_requested and self.status not in _ENDED else self.status
        return PaymentStatusForbids(
            f"The payment of order {self.order_id} is {status}; only one that is {allowed} can be {done}."
        )

    @override
    def _apply(self, event: PaymentEvent) -> None:  # noqa: C901  # one case for each event
        match event:
            case PaymentRequestedV1():
                if event.attempt > 1 and self.status is PaymentStatus.LAPSED:
                    self.reference, self.capture_requested = None, False  # nothing is held by it any more
                self.order_id, self.customer_id = event.order_id, event.customer_id
                self.amount = Money(event.amount, event.currency)
                self.token, self.attempt = event.token, event.attempt
                self.status, self.decline_reason = PaymentStatus.REQUESTED, None
            case PaymentOpenedV1():
                self.reference = event.reference
            case PaymentActionRequiredV1():
                self.status = PaymentStatus.ACTION_REQUIRED
            case PaymentAuthorisedV1():
                self.status = PaymentStatus.AUTHORISED
            case PaymentDeclinedV1():
                self.status, self.decline_reason = PaymentStatus.DECLINED, event.reason
            case PaymentCaptureRequestedV1():
                self.capture_requested = True
            case PaymentCapturedV1():
                self.status = PaymentStatus.CAPTURED
                if event.amount < self.amount.amount:  # what was not taken counts as given back
                    self.refunds[self.order_id] = Money(self.amount.amount - event.amount, event.currency)
            case PaymentLapsedV1():
                self.status = PaymentStatus.LAPSED
            case PaymentVoidRequestedV1():
                self.void_requested = True
            case PaymentVoidedV1():
                self.status = PaymentStatus.VOIDED
            case PaymentRefundRequestedV1():
                self.refunds[event.refund_id] = Money(event.amount, event.currency)
                self.refunds_due[event.refund_id] = Money(event.amount, event.currency)
            case PaymentRefundedV1():
                self.refunds_due.pop(event.refund_id)
            case PaymentErasedV1():
                self.erased = True
            case _:
                assert_never(event)


_TAKES_ANOTHER = (PaymentStatus.ACTION_REQUIRED, PaymentStatus.DECLINED, PaymentStatus.LAPSED)
"""The statuses in which another token may be tried. Orders know them too (actions.py)."""

_TRIED = (PaymentStatus.REQUESTED, PaymentStatus.ACTION_REQUIRED)
"""The statuses in which the provider's answer is awaited."""

_ENDED = (PaymentStatus.CAPTURED, PaymentStatus.LAPSED, PaymentStatus.VOIDED)
"""The statuses in which nothing is held any more."""
