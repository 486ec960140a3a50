"""Carries out the due steps of payments with the provider, and records the outcome; it may stop anywhere, and repeat.

Three callers start it: the delivery of the event that made a step due, the provider's webhook, and a timer. If one of
them misses a step, the next one does it: even after a long outage nobody has to replay anything.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import stamina

from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.threads import Threads
from shared.frame.sql.reading import read_from
from shared.frame.write_side.inbox import caused_by
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork, commit_and_wake
from shared.payments.domain.payment import Look, Payment, PaymentStatus, Step
from shared.payments.domain.provider import (
    PaymentProvider,
    Pending,
    ProviderUnavailable,
    RequestInvalid,
    StepRefused,
)
from shared.payments.events import PaymentEvent
from shared.payments.metrics import count_done, count_failed
from shared.payments.performing import perform
from shared.payments.repository import (
    DECLINED_LOOKED_AT_FOR,
    DUE_TO_LOOK_AT,
    IDLE_FOR,
    IDLE_TO_LOOK_AT,
    IS_PENDING,
    LOOK_LATER,
    NOTE_PENDING,
    Payments,
    payment_as_stored,
)
from shared.payments.tables import LOG

AT_ONCE = 4
"""Threads on which steps are done, and so the steps at a time. Webhooks, and payers who read, ask the provider on other
threads: RECEIVED_AT_ONCE (api.py) and CONCURRENCY (order_payment.py)."""

DELIVERED_FOR = timedelta(minutes=40)
"""How long deliveries wait for a provider that is away; ten deliveries could wait for 50 minutes. After this time they
leave the step to the timer, so that an outage makes no dead letters."""

TICK = 20.0
"""Seconds after which a tick of the timer begins no more payments."""

PAGE = 20
"""Payments that the timer reads at a time."""

SOONEST, LATEST = timedelta(seconds=30), timedelta(minutes=15)
"""The shortest and the longest pause until the timer looks at a payment again: a quarter of its waiting time so far."""

LOOKS = 5
"""Looks at a payment that changes with each of them, until the timer or the next webhook has its turn."""

REFUNDING = 20.0
"""Seconds for which refunds of one payment may come to nothing in a row: other payments need the thread."""

logger = logging.getLogger(__name__)

_CALLING = Threads("provider", AT_ONCE)


@dataclass(frozen=True, slots=True)
class Performing:
    """Performs due steps.

    Attributes:
        engine: the context's engine.
        committed: called after each commit; wakes the publisher.
        provider: the payment provider.
    """

    engine: sa.Engine
    committed: Callable[[], None]
    provider: PaymentProvider

    async def after(self, recorded: Recorded[PaymentEvent]) -> None:
        """Do the step that an event made due. If the payment has a later event, that event's delivery does it.

        Only a provider that is away is waited for. A bank may take days for a refund, and a person may have to mend
        what is refused: a delivery that waited would keep its place from payments that can be made.

        Raises:
            ProviderUnavailable: the provider is away; the delivery waits.
        """
        envelope = recorded.envelope
        try:
            await _CALLING.run(self.perform, envelope.aggregate_id, envelope.version)
        except LostRace:
            pass  # the payment has a later event
        except (Pending, StepRefused):
            pass  # the timer looks at it
        except ProviderUnavailable:
            if datetime.now(UTC) - envelope.occurred_at < DELIVERED_FOR:
                raise

    def hear(self, body: bytes, signature: str | None) -> None:
        """Look at a payment after a webhook of the payment provider.

        Webhooks may come twice, late and in any order, so this asks the provider for the payment's state.

        Raises:
            NotFromProvider: the webhook is not from the provider.
            ProviderUnavailable: the provider cannot be asked now; it sends the webhook again later.
            LostRace: the payment has changed with every look; as above.
        """
        order_id = self.provider.payment_of_webhook(body, signature)
        if order_id is not None:
            with suppress(Pending, StepRefused):  # sent again, this webhook would change neither
                self._look(order_id)

    async def look_after_payments(self) -> None:
        """Do steps that deliveries have left due after an outage; find out what cardholders and banks have done.

        Far more payments are held than wait for a step: these have what is left of the tick, so that no step, such as
        a refund, waits behind them.
        """
        until = time.monotonic() + TICK
        for to_look_at in (DUE_TO_LOOK_AT, IDLE_TO_LOOK_AT):
            while time.monotonic() < until:
                rows = await _CALLING.run(self._page, to_look_at)
                done = await asyncio.gather(*(_CALLING.run(self._try, row.order_id) for row in rows))
                if rows:
                    await _CALLING.run(self._look_later, rows, done, are_idle=to_look_at is IDLE_TO_LOOK_AT)
                if len(rows) < PAGE or not any(done):
                    break

    def perform(self, order_id: UUID, version: int | None = None, *, look: bool = False) -> None:
        """Do what is due of one payment, if there is such a payment.

        Args:
            order_id: the payment's order.
            version: the payment's version; at another version nothing is done. None: any version.
            look: ask the provider for the state even if no step is due.

        Raises:
            ProviderUnavailable: no step was done.
            LostRace: the payment has changed meanwhile, and nothing was recorded.
        """
        payment = payment_as_stored(self.engine, order_id)
        if payment is None:  # each has its row before the provider hears of it, so a restore has lost this one
            logger.warning("no payment of order %s is known here, of which the provider or a message tells", order_id)
            return
        if version not in {None, payment.version}:
            return
        steps = payment.all_due
        if not steps and look and payment.reference is not None:
            steps = [Look(payment.attempt)]
        failed = self._do_one(payment, steps)
        if isinstance(failed, Pending | StepRefused):
            self._note(payment, pending=isinstance(failed, Pending))
        if failed is not None:
            raise failed
        if payment.pending_events:
            self._record(payment)

    def _do_one(self, payment: Payment, steps: Sequence[Step]) -> ProviderUnavailable | None:
        """Do the first step that can be done; the delivery of its event does the next one.

        What the provider refuses, or has begun, keeps no other step waiting. Gives a failure if no step was done, which
        is Pending only if all are.
        """
        until = time.monotonic() + REFUNDING
        failed: ProviderUnavailable | None = None
        for step in steps:
            name = type(step).__name__
            try:
                perform(payment, step, self.provider)
            except ProviderUnavailable as error:  # which names neither a card nor a person (stripe_provider.py)
                logger.log(_level(error), "%s of order %s is not done: %s", name, payment.order_id, error)
                if not isinstance(error, Pending):
                    count_failed(name, error)
                    failed = error
                failed = failed or error
                if not isinstance(error, Pending | StepRefused) or time.monotonic() > until:
                    break
            else:
                return None
        return failed

    def _record(self, payment: Payment) -> None:
        """Save the outcome, unless the payment has changed meanwhile."""
        version = payment.loaded_version
        [newest] = read_from(self.engine, lambda asked: LOG.history(asked, payment.order_id, version - 1, version))
        with UnitOfWork(self.engine) as work:
            Payments(work, caused_by(newest.envelope)).save(payment)
            commit_and_wake(work, self.committed)
        for event in payment.pending_events:
            count_done(event)

    def _note(self, payment: Payment, *, pending: bool) -> None:
        """Note whether only a bank is waited for, if that is new; what has changed meanwhile is looked at again."""
        found = read_from(self.engine, lambda asked: asked.execute(IS_PENDING, {"id": payment.order_id}).scalar_one())
        if found == pending:
            return
        with suppress(LostRace), UnitOfWork(self.engine) as work:
            keys = {"id": payment.order_id, "loaded_version": payment.version}
            work.write(NOTE_PENDING, [keys | {"pending": pending}])
            work.commit()

    def _look(self, order_id: UUID) -> None:
        """Do a due step, or look; again if the payment has changed meanwhile.

        What was found may be newer than what the other one has recorded, whose event makes no step due: the bank may
        let an amount go as soon as it holds it.
        """
        for attempt in stamina.retry_context(on=LostRace, attempts=LOOKS):
            with attempt:
                self.perform(order_id, look=True)

    def _try(self, order_id: UUID) -> bool:
        """Do a due step, or look; whatever goes wrong with one payment holds up no other."""
        try:
            self._look(order_id)
        except (ProviderUnavailable, LostRace):
            return False
        except Exception as error:  # noqa: BLE001  # as it says; the text may name a person's card
            logger.error("cannot look after the payment of order %s: %s", order_id, type(error).__name__)  # noqa: TRY400
            return False
        return True

    def _page(self, to_look_at: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        parameters = {"now": datetime.now(UTC), "most": PAGE}
        return read_from(self.engine, lambda asked: list[sa.Row[Any]](asked.execute(to_look_at, parameters)))

    def _look_later(self, rows: Sequence[sa.Row[Any]], done: Sequence[bool], *, are_idle: bool) -> None:
        """Postpone payments that have not changed, so that the next ones have their turn.

        That of which nothing is due is looked at seldom, but soon again if nobody could look.
        """
        now = datetime.now(UTC)
        for row, looked in zip(rows, done, strict=True):
            soon = min(max((now - row.changed_at) / 4, SOONEST), LATEST)
            pause = IDLE_FOR[PaymentStatus(row.status)] if are_idle and looked else soon
            waits = are_idle and row.status == PaymentStatus.DECLINED
            look_at = None if waits and now - row.changed_at > DECLINED_LOOKED_AT_FOR else now + pause
            # whatever changed a payment meanwhile looks at it, and the others are still to be postponed
            with suppress(LostRace), UnitOfWork(self.engine) as work:
                keys = {"id": row.order_id, "loaded_version": row.version}
                work.write(LOOK_LATER, [keys | {"look_at": look_at}])
                work.commit()


def _level(error: ProviderUnavailable) -> int:
    """Give the level of the log's line: an error is what only we can mend."""
    match error:
        case Pending():
            return logging.INFO
        case RequestInvalid():
            return logging.ERROR
        case _:
            return logging.WARNING
