"""Have the provider do what payments say is due, and record what it did; safe to repeat, and to die in, anywhere.

Three ways lead here: the delivery of the event that left something due, the provider's webhook, and a timer. What one
of them misses the next one does: nothing has to be replayed by hand after an outage, however long it was.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.threads import Threads
from shared.frame.sql.reading import read_from
from shared.frame.write_side.inbox import caused_by
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.payments.domain.payment import Look, Payment
from shared.payments.domain.provider import PaymentProvider, ProviderUnavailable
from shared.payments.events import PaymentEvent
from shared.payments.figures import count_done, count_failed
from shared.payments.performing import perform
from shared.payments.repository import LOOK_LATER, TO_LOOK_AT, Payments, payment_as_stored
from shared.payments.tables import LOG

AT_ONCE = 4
"""Calls of the provider that one process makes at a time; nothing else waits for their threads."""

DELIVERED_FOR = timedelta(minutes=40)
"""How long deliveries wait for a provider that is away; with ten of them Service Bus would go on for 50. Then they
leave it to the timer, so that no outage makes dead letters."""

TICK = 20.0
"""Seconds after which the timer's turn is over."""

PAGE = 20
"""Payments that it takes on together."""

SOONEST, LATEST = timedelta(seconds=30), timedelta(minutes=15)
"""When it looks again at a payment, at the earliest and at the latest: after a quarter of the time that it waits."""

_CALLING = Threads("provider", AT_ONCE)


@dataclass(frozen=True, slots=True)
class Performing:
    """Performs what is due.

    Attributes:
        engine: the context's engine.
        committed: called after each commit; wakes the publisher.
        provider: who moves the money.
    """

    engine: sa.Engine
    committed: Callable[[], None]
    provider: PaymentProvider

    async def after(self, recorded: Recorded[PaymentEvent]) -> None:
        """Do what is due after an event. Where there is a later one, its delivery does.

        Raises:
            ProviderUnavailable: the provider is away; the delivery waits.
        """
        envelope = recorded.envelope
        try:
            await _CALLING.run(self.perform, envelope.aggregate_id, envelope.version)
        except ProviderUnavailable:
            if datetime.now(UTC) - envelope.occurred_at < DELIVERED_FOR:
                raise

    def hear(self, body: bytes, signature: str | None) -> None:
        """Look at a payment of which the payment provider tells something.

        It is asked itself: what is told may come twice, late and in any order.

        Raises:
            NotFromProvider: somebody else tells it.
            ProviderUnavailable: it cannot be asked at the moment; it tells it again later.
        """
        order_id = self.provider.told(body, signature)
        if order_id is not None:
            self.perform(order_id, look=True)

    async def look_after_payments(self) -> None:
        """Do what deliveries have left due: those of an outage, and what a cardholder has done without our knowing."""
        until = time.monotonic() + TICK
        while time.monotonic() < until:
            rows = await _CALLING.run(self._to_look_at)
            done = await asyncio.gather(*(_CALLING.run(self._try, row.order_id) for row in rows))
            if rows:
                await _CALLING.run(self._look_later, rows)
            if len(rows) < PAGE or not any(done):
                break

    def perform(self, order_id: UUID, version: int | None = None, *, look: bool = False) -> None:
        """Do what is due for one payment, which need not exist.

        Args:
            order_id: whose.
            version: at which version; at another one nothing is done. None: at any.
            look: see how it is there, even if nothing is due.

        Raises:
            ProviderUnavailable: nothing has changed.
        """
        payment = payment_as_stored(self.engine, order_id)
        if payment is None or version not in {None, payment.version}:
            return
        step = payment.due
        if step is None and look and payment.reference is not None:
            step = Look(payment.attempt)
        if step is None:
            return
        try:
            perform(payment, step, self.provider)
        except ProviderUnavailable:
            count_failed(type(step).__name__)
            raise
        if payment.pending_events:
            self._record(payment)

    def _record(self, payment: Payment) -> None:
        """Save what the provider did, unless the payment has changed meanwhile: then that event's delivery looks."""
        version = payment.loaded_version
        [newest] = read_from(self.engine, lambda asked: LOG.history(asked, payment.order_id, version - 1, version))
        try:
            with UnitOfWork(self.engine) as work:
                Payments(work, caused_by(newest.envelope)).save(payment)
                work.commit()
        except LostRace:
            return
        self.committed()
        for event in payment.pending_events:
            count_done(event)

    def _try(self, order_id: UUID) -> bool:
        try:
            self.perform(order_id)
        except ProviderUnavailable:
            return False
        return True

    def _to_look_at(self) -> Sequence[sa.Row[Any]]:
        parameters = {"now": datetime.now(UTC), "most": PAGE}
        return read_from(self.engine, lambda asked: list[sa.Row[Any]](asked.execute(TO_LOOK_AT, parameters)))

    def _look_later(self, rows: Sequence[sa.Row[Any]]) -> None:
        """Let those that are as they were wait, so that the next ones have their turn."""
        now = datetime.now(UTC)
        for row in rows:
            pause = min(max((now - row.changed_at) / 4, SOONEST), LATEST)
            with UnitOfWork(self.engine) as work:
                keys = {"id": row.order_id, "loaded_version": row.version}
                work.write(LOOK_LATER, [keys | {"look_at": now + pause}])
                work.commit()
