"""What the process manager does next for an order, from submitted to completed, with compensation when a step fails.

It decides on the facts of one moment. The next requests follow from them, and each request is made once. Nothing here
reads a clock or a store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class OrderFact(StrEnum):
    """How far the order is."""

    OPEN = "open"
    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class PaymentFact(StrEnum):
    """The state of the payment."""

    NONE = "none"
    ASKED = "asked"
    ACTION_REQUIRED = "actionRequired"
    DECLINED = "declined"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    LAPSED = "lapsed"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Deadline(StrEnum):
    """The things for which an order waits only until a deadline, so that none holds its pieces, or money, for ever."""

    STOCK = "stock"
    PAYMENT = "payment"
    CONFIRMATION = "confirmation"
    SETTLEMENT = "settlement"


@dataclass(frozen=True, slots=True)
class Authorise:
    """Authorise the amount with the payment provider, with the token that the order was submitted with."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Confirm the order."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Capture the authorised amount."""


@dataclass(frozen=True, slots=True)
class Void:
    """Void the authorisation, or one that is still under way."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Refund the captured amount."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the order, because it waited too long."""

    waited_for: Deadline


type Ask = Authorise | Confirm | Capture | Void | Refund | Cancel


@dataclass(frozen=True, slots=True)
class FulfilmentFacts:
    """What is known of one order's fulfilment.

    Attributes:
        paid: whether it is paid with a token, not on account.
        stock: whether every line is reserved, or has a product whose stock is not kept.
        any_shipped: whether a piece was shipped, as far as is known of an order that stands; None until it is known.
        attempt: how many tokens the customer has given.
        asked: the requests that were made; also a confirmation that staff gave while the amount was held.
    """

    order: OrderFact
    paid: bool
    stock: bool = False
    any_shipped: bool | None = None
    payment: PaymentFact = PaymentFact.NONE
    attempt: int = 1
    asked: frozenset[Ask] = frozenset()

    @property
    def deadline(self) -> Deadline | None:
        """The thing for which it waits until a deadline; None if there is none."""
        if self._settling:
            return Deadline.SETTLEMENT
        if self.order is OrderFact.SUBMITTED and not self.stock:
            return Deadline.STOCK
        if self.order is OrderFact.SUBMITTED and not self.paid:
            return Deadline.CONFIRMATION
        return Deadline.PAYMENT if self._is_unpaid else None

    @property
    def ended(self) -> bool:
        """Whether the fulfilment has ended, and waits for nothing more."""
        match self.order:
            case OrderFact.COMPLETED:
                return not self.paid or self.payment in _SETTLED
            case OrderFact.CANCELLED if self.any_shipped:
                return not self.paid or self.payment in _TAKEN
            case OrderFact.CANCELLED:
                may_be_owed = self.paid and self.any_shipped is None
                return self.payment in _UNDONE or not (_begun(self) or may_be_owed)
            case _:
                return False

    @property
    def waits_for(self) -> str:
        """What it waits for, for people."""
        if self.ended:
            return "nothing"
        if self.order is OrderFact.OPEN:
            return "its submission"
        if self._settling:
            return "the catalogue: whether anything was shipped"
        if self.order is OrderFact.CANCELLED and not self.any_shipped:
            return "the refund" if Refund() in self.asked or Capture() in self.asked else "the void"
        if self.order is OrderFact.SUBMITTED and not self.stock:
            return "stock"
        if self.paid and self.payment in _PAID_ANEW:
            return "the customer"
        if self.paid and self.payment in (PaymentFact.NONE, PaymentFact.ASKED):
            return "the authorisation"
        if self.order is OrderFact.SUBMITTED:
            return "the confirmation"
        if self.order is OrderFact.CONFIRMED:
            return "the shipment"
        return "the capture"

    @property
    def comes_next(self) -> Sequence[str]:
        """The later steps for which it will wait if all goes well, for people."""
        way: Sequence[str] = _PAID if self.paid else _ON_ACCOUNT
        if self.order in (OrderFact.COMPLETED, OrderFact.CANCELLED):
            way = _OWED
        elif self.order is OrderFact.CONFIRMED:
            way = [step for step in way if step != "the confirmation"]
        now = "the authorisation" if self.waits_for == "the customer" else self.waits_for
        return way[way.index(now) + 1 :] if now in way else ()

    @property
    def _is_unpaid(self) -> bool:
        """Whether the amount is not held, or not any more, and no piece has left: none is kept for ever.

        What staff have confirmed before the amount was held is theirs to decide: they may have been paid otherwise.
        """
        is_confirmed = self.order is OrderFact.CONFIRMED and Confirm() in self.asked and not self.any_shipped
        is_here = self.order is OrderFact.SUBMITTED or is_confirmed
        return is_here and self.paid and self.payment in _UNPAID

    @property
    def _settling(self) -> bool:
        """Whether the money waits until it is known what was shipped of the cancelled order."""
        return self.order is OrderFact.CANCELLED and self.any_shipped is None and not self.ended


_ON_ACCOUNT = ("stock", "the confirmation", "the shipment", "the completion")
_PAID = ("stock", "the authorisation", "the confirmation", "the shipment", "the capture")
_OWED = ("the authorisation", "the capture")
"""The steps of an order that is over, and of which something was shipped."""
_PAID_ANEW = (PaymentFact.ACTION_REQUIRED, PaymentFact.DECLINED, PaymentFact.LAPSED)
"""The payments for which the customer may give another token."""
_UNPAID = (PaymentFact.NONE, PaymentFact.ASKED, *_PAID_ANEW)
_HELD = (PaymentFact.AUTHORISED, PaymentFact.CAPTURED)
_SETTLED = (PaymentFact.CAPTURED, PaymentFact.REFUNDED, PaymentFact.LAPSED)
"""The payments of a completed order after which no step has to follow; a lapsed one may still be paid anew."""
_VOIDABLE = (*_UNPAID, PaymentFact.AUTHORISED)
"""The payments that a cancelled order voids, so that a declined or lapsed one is not paid anew."""
_UNDONE = (PaymentFact.VOIDED, PaymentFact.LAPSED, PaymentFact.REFUNDED)
_TAKEN = (*_SETTLED, PaymentFact.VOIDED)
"""The payments of a cancelled order after which no step can follow: without and with something shipped."""


def decide(
    before: FulfilmentFacts, present: FulfilmentFacts, passed: Deadline | None = None
) -> tuple[FulfilmentFacts, tuple[Ask, ...]]:
    """Give the facts with all that was asked for by now, and the requests to make.

    Args:
        before: the facts at the last look.
        present: the facts of this moment, with what was asked for before.
        passed: the deadline until which the order has waited.
    """
    known, overdue = present, tuple(_overdue(present, passed))
    if overdue and known.order is OrderFact.SUBMITTED and known.any_shipped is None:
        known = replace(known, any_shipped=False)  # of what was confirmed, the catalogue has the last word
    if known.attempt > before.attempt:  # what the earlier one held has lapsed: its capture or void came to nothing
        known = replace(known, asked=known.asked - {Capture(), Void()})
    if known.order is OrderFact.CONFIRMED and known.payment in (*_HELD, PaymentFact.LAPSED):
        known = replace(known, asked=known.asked | {Confirm()})  # staff did what would have been asked for
    asks = tuple(ask for ask in (*_wanted(known), *overdue) if ask not in known.asked)
    return replace(known, asked=known.asked.union(asks)), asks


def _overdue(state: FulfilmentFacts, passed: Deadline | None) -> Iterator[Ask]:
    """Give the cancellation of an order that has waited until its deadline in vain."""
    if passed is not None and passed is state.deadline and state.order is not OrderFact.CANCELLED:
        yield Cancel(passed)


def _wanted(state: FulfilmentFacts) -> Iterator[Ask]:
    """Give the requests that follow from the facts, whether or not they were made before."""
    if not state.paid:
        return
    stands = state.order in (OrderFact.SUBMITTED, OrderFact.CONFIRMED, OrderFact.COMPLETED)
    owed = state.order is OrderFact.CANCELLED and state.any_shipped
    ready = state.stock or state.order is not OrderFact.SUBMITTED
    if (owed or (stands and ready)) and state.payment is PaymentFact.NONE:
        yield Authorise()
    if state.order is OrderFact.SUBMITTED and state.stock and state.payment in _HELD:
        yield Confirm()
    if (owed or state.order is OrderFact.COMPLETED) and state.payment is PaymentFact.AUTHORISED:
        yield Capture()
    if state.order is OrderFact.CANCELLED and state.any_shipped is False:
        yield from _undone(state)


def _undone(state: FulfilmentFacts) -> Iterator[Ask]:
    """Give the requests that compensate those of a cancelled order of which nothing was shipped."""
    if state.payment is PaymentFact.CAPTURED:
        yield Refund()
    elif _begun(state) and Capture() not in state.asked and state.payment in _VOIDABLE:
        yield Void()


def _begun(state: FulfilmentFacts) -> bool:
    return state.payment is not PaymentFact.NONE or Authorise() in state.asked
