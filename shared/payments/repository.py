"""How payments are loaded and saved."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, override
from uuid import UUID

import sqlalchemy as sa

from shared.frame.sql.columns import UtcDateTime
from shared.frame.sql.reading import read_from
from shared.frame.write_side.repository import Repository
from shared.frame.write_side.unit_of_work import LostRace
from shared.frame.write_side.writes import Write, by_name, insert, versioned_update
from shared.kernel.money import Money
from shared.payments.domain.errors import PaymentNotFound
from shared.payments.domain.payment import Payment, PaymentStatus
from shared.payments.events import DeclineReason, PaymentCapturedV1, PaymentRefundedV1, PaymentRefundRequestedV1
from shared.payments.tables import LOG, PAYMENTS, REFUNDS

LOOKED_AT_AFTER = timedelta(seconds=30)
"""The time until the timer first looks at a due step: normally a delivery has done the step by then."""

HELD_LOOKED_AT_AFTER = timedelta(hours=6)
"""The time until the timer looks whether an amount is still held: the bank may let it go, normally after a week."""

DECLINED_LOOKED_AT_AFTER = timedelta(hours=1)
"""The time until the timer looks whether the cardholder's browser has paid with another card after a decline."""

IDLE_FOR = {
    PaymentStatus.AUTHORISED: HELD_LOOKED_AT_AFTER,
    PaymentStatus.DECLINED: DECLINED_LOOKED_AT_AFTER,
}
"""The time until the timer looks at a payment of which nothing is due; in any other state nothing can have happened."""

DECLINED_LOOKED_AT_FOR = timedelta(days=14)
"""How long the timer looks for that. An order that is not paid is normally cancelled after a day, which ends it."""

_ID = sa.bindparam("id", type_=sa.Uuid)
_REFUND = (REFUNDS.c.refund_id, REFUNDS.c.amount.label("refund_amount"), REFUNDS.c.made)

LOAD = (
    sa.select(PAYMENTS, *_REFUND)
    .select_from(PAYMENTS.outerjoin(REFUNDS))
    .where(PAYMENTS.c.order_id == _ID)
    .order_by(REFUNDS.c.place)
)
INSERT = insert(PAYMENTS)
UPDATE = versioned_update(
    PAYMENTS,
    PAYMENTS.c.version,
    PAYMENTS.c.token,
    PAYMENTS.c.attempt,
    PAYMENTS.c.status,
    PAYMENTS.c.decline_reason,
    PAYMENTS.c.reference,
    PAYMENTS.c.capture_requested,
    PAYMENTS.c.void_requested,
    PAYMENTS.c.changed_at,
    PAYMENTS.c.look_at,
    PAYMENTS.c.erased,
    PAYMENTS.c.pending,
)
INSERT_REFUND = insert(REFUNDS)
MARK_MADE = Write(
    sa.update(REFUNDS)
    .where(REFUNDS.c.order_id == _ID, REFUNDS.c.refund_id == sa.bindparam("of_refund", type_=sa.Uuid))
    .values(by_name(REFUNDS.c.made))
)
COUNT_ERASED = sa.select(sa.func.count()).select_from(PAYMENTS).where(PAYMENTS.c.erased == sa.literal_column("1"))
LOOK_LATER = versioned_update(PAYMENTS, PAYMENTS.c.look_at)
IS_PENDING = sa.select(PAYMENTS.c.pending).where(PAYMENTS.c.order_id == _ID)
NOTE_PENDING = versioned_update(PAYMENTS, PAYMENTS.c.pending)
_TO_LOOK_AT = (
    sa.select(PAYMENTS.c.order_id, PAYMENTS.c.version, PAYMENTS.c.changed_at, PAYMENTS.c.status)
    .where(PAYMENTS.c.look_at <= sa.bindparam("now", type_=UtcDateTime))
    .order_by(PAYMENTS.c.look_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_IDLE = PAYMENTS.c.status.in_([sa.literal_column(f"'{status}'") for status in IDLE_FOR])
DUE_TO_LOOK_AT = _TO_LOOK_AT.where(sa.or_(~_IDLE, PAYMENTS.c.capture_requested, PAYMENTS.c.void_requested))
IDLE_TO_LOOK_AT = _TO_LOOK_AT.where(_IDLE, ~PAYMENTS.c.capture_requested, ~PAYMENTS.c.void_requested)
"""Together all that the timer is to look at: that of which a step is due, and that of which none is."""
OF_CUSTOMER = (
    sa.select(PAYMENTS.c.order_id)
    .where(
        PAYMENTS.c.customer_id == sa.bindparam("customer", type_=sa.Uuid),
        PAYMENTS.c.order_id > sa.bindparam("after", type_=sa.Uuid),
    )
    .order_by(PAYMENTS.c.order_id)
    .limit(100)
)


class Payments(Repository[Payment]):
    """The payments; a customer reaches only their own."""

    noun, key = "payment", "order_id"
    log, select, insert, update = LOG, LOAD, INSERT, UPDATE
    missing, taken = PaymentNotFound, LostRace

    def find(self, order_id: UUID) -> Payment | None:
        """Load the payment of an order; None if it was not requested yet."""
        self._work.stand_in_line(order_id)
        rows = self._work.read(LOAD, {"id": order_id})
        return payment_of(rows) if rows else None

    @override
    def _aggregate(self, rows: Sequence[sa.Row[Any]]) -> Payment:
        return payment_of(rows)

    @override
    def _may_access(self, row: sa.Row[Any]) -> bool:
        return self._metadata.reaches(row.customer_id)

    @override
    def _immutable_columns(self, payment: Payment) -> Mapping[str, Any]:
        return {
            "customer_id": payment.customer_id,
            "currency": payment.amount.currency,
            "amount": payment.amount.amount,
        }

    @override
    def _mutable_columns(self, payment: Payment) -> Mapping[str, Any]:
        return {
            "token": payment.token,
            "attempt": payment.attempt,
            "status": payment.status,
            "decline_reason": payment.decline_reason,
            "reference": payment.reference,
            "capture_requested": payment.capture_requested,
            "void_requested": payment.void_requested,
            "look_at": self._look_at(payment),
            "erased": payment.erased,
            "pending": False,  # until the provider is asked again
        }

    def _look_at(self, payment: Payment) -> datetime | None:
        if payment.due is not None:
            return self._metadata.at + LOOKED_AT_AFTER
        idle = IDLE_FOR.get(payment.status)
        return None if idle is None or payment.reference is None else self._metadata.at + idle

    @override
    def _update_children(self, payment: Payment) -> None:
        for place, event in enumerate(payment.pending_events, payment.loaded_version + 1):
            match event:
                case PaymentRefundRequestedV1():
                    ids = {"order_id": payment.order_id, "refund_id": event.refund_id}
                    self._work.write(INSERT_REFUND, [ids | {"place": place, "amount": event.amount, "made": False}])
                case PaymentCapturedV1() if payment.order_id in payment.refunds:  # less than was authorised
                    row = {"order_id": payment.order_id, "refund_id": payment.order_id, "place": place, "made": True}
                    self._work.write(INSERT_REFUND, [row | {"amount": payment.amount.amount - event.amount}])
                case PaymentRefundedV1():
                    row = {"id": payment.order_id, "of_refund": event.refund_id, "made": True}
                    self._work.write(MARK_MADE, [row], must_find=True)
                case _:
                    pass  # the other events change the payment's own row alone


def payment_as_stored(engine: sa.Engine, order_id: UUID) -> Payment | None:
    """Read a payment; None if there is none."""
    rows = read_from(engine, lambda connection: connection.execute(LOAD, {"id": order_id}).all())
    return payment_of(rows) if rows else None


def payment_of(rows: Sequence[sa.Row[Any]]) -> Payment:
    """Make a payment of the rows that LOAD finds."""
    head = rows[0]
    payment = Payment()
    payment.order_id, payment.customer_id, payment.version = head.order_id, head.customer_id, head.version
    payment.amount = Money(head.amount, head.currency)
    payment.token, payment.attempt, payment.status = head.token, head.attempt, PaymentStatus(head.status)
    payment.decline_reason = None if head.decline_reason is None else DeclineReason(head.decline_reason)
    payment.reference, payment.erased = head.reference, head.erased
    payment.capture_requested, payment.void_requested = head.capture_requested, head.void_requested
    for row in rows:
        if row.refund_id is not None:
            payment.refunds[row.refund_id] = Money(row.refund_amount, head.currency)
            if not row.made:
                payment.refunds_due[row.refund_id] = Money(row.refund_amount, head.currency)
    return payment


def next_payments_of(connection: sa.Connection, customer_id: UUID, after: UUID) -> Sequence[UUID]:
    """Give the next of a customer's payments behind an id."""
    return connection.execute(OF_CUSTOMER, {"customer": customer_id, "after": after}).scalars().all()
