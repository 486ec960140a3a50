"""What the process manager does next for an order, from submitted to completed, with compensation when a step fails.

It decides on a set of known facts. The next requests follow from the facts, and each request is made once. So an event
may come late, twice or before an event that caused it: it adds its fact, or changes nothing. Nothing here reads a clock
or a store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import assert_never


class OrderFact(IntEnum):
    """How far the order is known to be."""

    UNKNOWN = 0
    SUBMITTED = 1
    CONFIRMED = 2
    COMPLETED = 3
    CANCELLED = 4


class PaymentFact(StrEnum):
    """The known state of the payment."""

    NONE = "none"
    ASKED = "asked"
    ACTION_REQUIRED = "actionRequired"
    DECLINED = "declined"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    LAPSED = "lapsed"
    VOIDED = "voided"
    REFUNDED = "refunded"


_RANK = {
    PaymentFact.NONE: 0,
    PaymentFact.ASKED: 1,
    PaymentFact.ACTION_REQUIRED: 2,
    PaymentFact.DECLINED: 3,
    PaymentFact.AUTHORISED: 4,
    PaymentFact.CAPTURED: 5,
    PaymentFact.LAPSED: 5,
    PaymentFact.VOIDED: 5,
    PaymentFact.REFUNDED: 6,
}
"""The order of the facts of one attempt. News of a lower or the same rank came late, or came twice.

An attempt that was declined may still be authorised: the cardholder's browser tries another card.
"""


class Deadline(StrEnum):
    """The things for which an order waits only until a deadline, so that none holds its pieces, or money, for ever."""

    STOCK = "stock"
    PAYMENT = "payment"
    CONFIRMATION = "confirmation"
    SETTLEMENT = "settlement"


@dataclass(frozen=True, slots=True)
class Submitted:
    """The order was placed; `paid`: with a token, not on account."""

    paid: bool


@dataclass(frozen=True, slots=True)
class Stock:
    """Whether every line is reserved, or has a product whose stock is not kept."""

    complete: bool


@dataclass(frozen=True, slots=True)
class PaymentNews:
    """The outcome of an attempt to pay."""

    payment: PaymentFact
    attempt: int


@dataclass(frozen=True, slots=True)
class TokenGiven:
    """The customer pays with another token, which begins a new attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class OrderNews:
    """How far the order has come."""

    order: OrderFact


@dataclass(frozen=True, slots=True)
class AllShipped:
    """All items of the order are shipped."""


@dataclass(frozen=True, slots=True)
class StockSettled:
    """A piece was shipped (`any_shipped`), or the order is cancelled, and none will be."""

    any_shipped: bool


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The order has waited until its deadline in vain."""

    deadline: Deadline


type News = Submitted | Stock | PaymentNews | TokenGiven | OrderNews | AllShipped | StockSettled | DeadlinePassed


@dataclass(frozen=True, slots=True)
class Authorise:
    """Authorise the amount with the payment provider."""

    attempt: int


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
        paid: whether it is paid with a token; None until the submission is known.
        any_shipped: whether a piece was shipped, as far as is known of an order that stands; None until it is known.
        attempt: how many tokens the customer has given.
        asked: the requests that were made; also a confirmation that staff gave while the amount was held.
    """

    order: OrderFact = OrderFact.UNKNOWN
    paid: bool | None = None
    stock: bool = False
    shipped: bool = False
    any_shipped: bool | None = None
    payment: PaymentFact = PaymentFact.NONE
    attempt: int = 1
    asked: frozenset[Ask] = frozenset()

    @property
    def deadline(self) -> Deadline | None:
        """The thing for which it waits until a deadline; None if there is none."""
        if self._settling:
            return Deadline.SETTLEMENT
        if self.paid is None or self._cancelling:
            return None
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
    def waits_for(self) -> str:  # noqa: C901  # one line for each answer
        """What it waits for, for people."""
        if self.ended:
            return "nothing"
        if self.order is OrderFact.UNKNOWN or self.paid is None:
            return "its submission"
        if self._settling:
            return "the catalogue: whether anything was shipped"
        if self.order is OrderFact.CANCELLED and not self.any_shipped:
            return "the refund" if Refund() in self.asked or Capture() in self.asked else "the void"
        if self._cancelling:
            return "the cancellation"
        if self.order is OrderFact.SUBMITTED and not self.stock:
            return "stock"
        if self.paid and self.payment in (*_PAID_ANEW, PaymentFact.ACTION_REQUIRED):
            return "the customer"
        if self.paid and self.payment in (PaymentFact.NONE, PaymentFact.ASKED):
            return "the authorisation"
        if self.order is OrderFact.SUBMITTED:
            return "the confirmation"
        if self.order is OrderFact.CONFIRMED and not self.shipped:
            return "the shipment"
        return "the capture" if self.paid else "the completion"

    @property
    def comes_next(self) -> Sequence[str]:
        """The later steps for which it will wait if all goes well, for people."""
        way: Sequence[str] = _PAID if self.paid else _ON_ACCOUNT
        if self.order is OrderFact.CANCELLED:
            way = _SHIPPED_IN_PART
        now = "the authorisation" if self.waits_for == "the customer" else self.waits_for
        return way[way.index(now) + 1 :] if now in way else ()

    @property
    def _is_unpaid(self) -> bool:
        """Whether the amount is not held, or not any more, and no piece has left: none is kept for ever.

        What staff have confirmed before the amount was held is theirs to decide: they may have been paid otherwise.
        """
        has_left = self.any_shipped or self.shipped
        is_confirmed = self.order is OrderFact.CONFIRMED and Confirm() in self.asked and not has_left
        is_here = self.order is OrderFact.SUBMITTED or is_confirmed
        return is_here and bool(self.paid) and self.payment in _UNPAID

    @property
    def _cancelling(self) -> bool:
        return any(isinstance(ask, Cancel) for ask in self.asked)

    @property
    def _settling(self) -> bool:
        """Whether the money waits until it is known what was shipped of the cancelled order."""
        return self.order is OrderFact.CANCELLED and self.any_shipped is None and not self.ended


_ON_ACCOUNT = ("stock", "the confirmation", "the shipment", "the completion")
_PAID = ("stock", "the authorisation", "the confirmation", "the shipment", "the capture")
_SHIPPED_IN_PART = ("the authorisation", "the capture")
_PAID_ANEW = (PaymentFact.DECLINED, PaymentFact.LAPSED)
"""The payments for which the customer may give another token."""
_UNPAID = (PaymentFact.NONE, PaymentFact.ASKED, PaymentFact.ACTION_REQUIRED, *_PAID_ANEW)
_HELD = (PaymentFact.AUTHORISED, PaymentFact.CAPTURED)
_SETTLED = (PaymentFact.CAPTURED, PaymentFact.REFUNDED, PaymentFact.LAPSED)
"""The payments of a completed order after which no step has to follow; a lapsed one may still be paid anew."""
_FINAL = (PaymentFact.CAPTURED, PaymentFact.VOIDED, PaymentFact.REFUNDED)
"""The payments that no other token follows."""
_VOIDABLE = (*_UNPAID, PaymentFact.AUTHORISED)
"""The payments that a cancelled order voids, so that a declined or lapsed one is not paid anew."""
_UNDONE = (PaymentFact.VOIDED, PaymentFact.LAPSED, PaymentFact.REFUNDED)
_TAKEN = (*_SETTLED, PaymentFact.VOIDED)
"""The payments of a cancelled order after which no step can follow: without and with something shipped."""


def decide(state: FulfilmentFacts, news: News) -> tuple[FulfilmentFacts, tuple[Ask, ...]]:
    """Add news to the facts; give the new state and the requests to make. News is never refused: it has happened."""
    known = _with(state, news)
    if known.attempt > state.attempt:  # what the earlier one held has lapsed: its capture or void came to nothing
        known = replace(known, asked=known.asked - {Capture(), Void()})
    if known.order is OrderFact.CONFIRMED and known.payment in (*_HELD, PaymentFact.LAPSED):
        known = replace(known, asked=known.asked | {Confirm()})  # staff did what would have been asked for
    asks = tuple(ask for ask in _wanted(known, news) if ask not in known.asked)
    return replace(known, asked=known.asked.union(asks)), asks


def _with(state: FulfilmentFacts, news: News) -> FulfilmentFacts:  # noqa: C901  # a case for each kind of news
    match news:
        case Submitted():
            return replace(state, paid=news.paid, order=max(state.order, OrderFact.SUBMITTED))
        case Stock():
            return replace(state, stock=news.complete)
        case PaymentNews():
            newer = (news.attempt, _RANK[news.payment]) > (state.attempt, _RANK[state.payment])
            final = state.payment in _FINAL and _RANK[news.payment] <= _RANK[state.payment]
            if not newer or final:
                return state
            return replace(state, payment=news.payment, attempt=max(state.attempt, news.attempt))
        case TokenGiven():
            if news.attempt <= state.attempt or state.payment not in (PaymentFact.AUTHORISED, *_PAID_ANEW):
                return state
            return replace(state, attempt=news.attempt, payment=PaymentFact.NONE)
        case OrderNews():
            return replace(state, order=max(state.order, news.order))
        case AllShipped():
            return replace(state, shipped=True)
        case StockSettled():
            return replace(state, any_shipped=news.any_shipped) if state.any_shipped is None else state
        case DeadlinePassed():
            # what was not confirmed is not shipped; of what was, the catalogue has the last word
            unconfirmed = state.order is OrderFact.SUBMITTED and _is_late(state, news)
            return replace(state, any_shipped=False) if unconfirmed else state
        case _:
            assert_never(news)


def _wanted(state: FulfilmentFacts, news: News) -> Iterator[Ask]:
    """Give the requests that follow from the facts, whether or not they were made before."""
    if not state.paid:
        yield from _overdue(state, news)
        return
    stands = state.order in (OrderFact.SUBMITTED, OrderFact.CONFIRMED, OrderFact.COMPLETED)
    owed = state.order is OrderFact.CANCELLED and state.any_shipped
    ready = (state.stock or state.order is not OrderFact.SUBMITTED) and not state._cancelling  # noqa: SLF001  # its own module
    if (owed or (stands and ready)) and state.payment is PaymentFact.NONE:
        yield Authorise(state.attempt)
    if state.order is OrderFact.SUBMITTED and state.stock and state.payment in _HELD:
        yield Confirm()
    if (owed or (stands and state.shipped)) and state.payment is PaymentFact.AUTHORISED:
        yield Capture()
    if state.order is OrderFact.CANCELLED and state.any_shipped is False:
        yield from _undone(state)
    yield from _overdue(state, news)


def _undone(state: FulfilmentFacts) -> Iterator[Ask]:
    """Give the requests that compensate those of a cancelled order of which nothing was shipped."""
    if state.payment is PaymentFact.CAPTURED:
        yield Refund()
    elif _begun(state) and Capture() not in state.asked and state.payment in _VOIDABLE:
        yield Void()


def _begun(state: FulfilmentFacts) -> bool:
    return state.payment is not PaymentFact.NONE or any(isinstance(ask, Authorise) for ask in state.asked)


def _overdue(state: FulfilmentFacts, news: News) -> Iterator[Ask]:
    if isinstance(news, DeadlinePassed) and _is_late(state, news):
        yield Cancel(news.deadline)


def _is_late(state: FulfilmentFacts, news: DeadlinePassed) -> bool:
    """Whether the order is cancelled for it."""
    return state.order is not OrderFact.CANCELLED and news.deadline is state.deadline
