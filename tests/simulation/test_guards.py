"""Each guard is needed: without it, the simulation finds a broken promise within a few shops."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy
from azure.servicebus import ServiceBusMessage

from shared.catalog.domain.stock import Stock
from shared.frame.messaging import topics
from shared.frame.messaging.envelope import Envelope, Metadata
from shared.frame.read_side.document_update import Create, DocumentUpdate, Patch, gated
from shared.frame.read_side.projection import Projection, _write
from shared.frame.write_side.claims import Claims, Settled
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.inbox import Inbox
from shared.frame.write_side.log_table import envelope_of
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.money import Money
from shared.ordering.fulfilment import decisions, process_manager
from shared.ordering.fulfilment.decisions import Ask, Authorise, FulfilmentFacts, OrderFact
from shared.payments.domain.payment import Payment
from shared.payments.domain.provider import Gone, Outcome, Pending, Taken
from shared.payments.stripe_amounts import units
from shared.payments.stripe_provider import StripeProvider
from shared.payments.stripe_refusals import translated
from tests.simulation.run import simulate
from tests.support.rules import lets_in

BOUND = 100
"""Shops within which a missing guard must show; `pytest -s` tells how, and after how many."""


def _without_version_gate() -> AbstractContextManager[Any]:
    def ungated(gate: Create | Patch, version: int, at: datetime) -> Create | Patch:
        step = gated(gate, version, at)
        return step if isinstance(step, Create) else dataclasses.replace(step, condition=None)

    return mock.patch("shared.frame.read_side.projection.gated", ungated)


def _without_message_id() -> AbstractContextManager[Any]:
    real = topics.to_message

    def anonymous(envelope: Envelope, source: str) -> ServiceBusMessage:
        message = real(envelope, source)
        message.message_id = None
        return message

    return mock.patch("shared.frame.messaging.topics.to_message", anonymous)


def _without_outbox_order() -> AbstractContextManager[Any]:
    def any_event(
        self: Claims, connection: sa.Connection, now: datetime, until: datetime, _most: int, settled: Settled
    ) -> Iterator[tuple[int, Envelope]]:
        """Claim single events, newest first, as an outbox does that knows nothing of aggregates."""
        self.settle(connection, settled)
        log = self.statements.claim.table
        free = sa.or_(log.c.claimed_until.is_(None), log.c.claimed_until < now)
        statement = sa.select(log).where(log.c.published_at.is_(None), free).order_by(log.c.sequence.desc()).limit(1)
        for row in connection.execute(statement).all():
            claim = sa.update(log).where(log.c.sequence == row.sequence).values(claimed_until=until)
            connection.execute(claim)
            yield row.sequence, envelope_of(row)

    return mock.patch.object(Claims, "claim", any_event)


def _without_inbox() -> AbstractContextManager[Any]:
    """Record each event, and handle those again that are recorded already."""
    real = Inbox.receive

    def forgetful(self: Inbox, work: UnitOfWork, event_id: UUID) -> None:
        if not work.read(self.find, {"id": event_id}):
            real(self, work, event_id)

    return mock.patch.object(Inbox, "receive", forgetful)


def _without_idempotency_record() -> AbstractContextManager[Any]:
    real = EventLog.append

    def forgetful(
        self: EventLog[Any], work: UnitOfWork, id_: UUID, after: int, events: Any, metadata: Metadata
    ) -> None:
        real(self, work, id_, after, events, dataclasses.replace(metadata, fingerprint=None))

    return mock.patch.object(EventLog, "append", forgetful)


def _without_gap_filling() -> AbstractContextManager[Any]:
    """Leave out what a document lacks."""
    return mock.patch.object(Projection, "catch_up", new_callable=mock.AsyncMock)


def _without_batch() -> AbstractContextManager[Any]:
    async def one_by_one(container: ContainerProxy, change: DocumentUpdate, version: int) -> None:
        """Change the order, and then the summary: as two requests, between which anything may happen."""
        await _write(container, dataclasses.replace(change, others=()), version)
        for step in change.others:
            if isinstance(step, Patch):
                where = None if step.condition is None else f"from c where {step.condition}"
                operations = [dict(operation) for operation in step.operations]
                await container.patch_item(step.document_id, change.partition_key, operations, filter_predicate=where)

    return mock.patch("shared.frame.read_side.projection._write", one_by_one)


def _without_second_look() -> AbstractContextManager[Any]:
    """Commit although what was decided on may have changed since it was read."""
    return mock.patch.object(UnitOfWork, "require")


def _without_rewriting_the_log() -> AbstractContextManager[Any]:
    """Erase customers, and leave what their events say."""
    return mock.patch.object(EventLog, "erase")


def _without_waiting() -> AbstractContextManager[Any]:
    return mock.patch("shared.frame.read_side.read_your_writes._version", return_value=2**53)


def _without_void() -> AbstractContextManager[Any]:
    """Leave a cancelled order's payment as it is."""
    return mock.patch.object(Payment, "request_void")


def _without_lapses() -> AbstractContextManager[Any]:
    """Go on as if the bank still held what it has let go."""
    real = Payment.settle

    def deaf(self: Payment, outcome: Outcome | None) -> None:
        real(self, None if isinstance(outcome, Gone) and not self.void_requested else outcome)

    return mock.patch.object(Payment, "settle", deaf)


def _without_giving_back() -> AbstractContextManager[Any]:
    """Keep what was captured in the provider's dashboard for an order that was cancelled."""
    real = Payment.settle

    def deaf(self: Payment, outcome: Outcome | None) -> None:
        real(self, Gone() if isinstance(outcome, Taken) and self.void_requested else outcome)

    return mock.patch.object(Payment, "settle", deaf)


def _without_the_catalogues_word() -> AbstractContextManager[Any]:
    """Undo the payment of a cancelled order as if nothing of it could have been shipped meanwhile."""
    real = process_manager._present

    def at_once(*look: Any, any_shipped: bool | None) -> FulfilmentFacts:
        known = real(*look, any_shipped=any_shipped)
        in_vain = known.order is OrderFact.CANCELLED and known.any_shipped is None
        return dataclasses.replace(known, any_shipped=False) if in_vain else known

    return mock.patch.object(process_manager, "_present", at_once)


def _without_asking_for_what_was_shipped() -> AbstractContextManager[Any]:
    """Ask for no payment of an order that was cancelled before it was asked for, whatever was shipped of it."""
    real = decisions._wanted

    def nothing_new(state: FulfilmentFacts) -> Iterator[Ask]:
        too_late = Authorise if state.order is OrderFact.CANCELLED else ()
        return (ask for ask in real(state) if not isinstance(ask, too_late))

    return mock.patch.object(decisions, "_wanted", nothing_new)


def _without_look_at_refunds() -> AbstractContextManager[Any]:
    """Refund without a key, and without a look at what was refunded before."""

    def blindly(self: StripeProvider, reference: str, payment: UUID, refund: UUID, amount: Money) -> None:
        params: Any = {
            "payment_intent": reference,
            "amount": units(amount),
            "metadata": {"payment": str(payment), "refund": str(refund)},
        }
        with translated():
            made = self._client.v1.refunds.create(params)
        if made.status != "succeeded":
            raise Pending(f"the refund is {made.status} there")

    return mock.patch.object(StripeProvider, "refund", blindly)


def _without_serving_on() -> AbstractContextManager[Any]:
    """Leave whoever one change did not serve to the next receipt, recount or cancellation."""
    return mock.patch("shared.catalog.functions.serve_waiting_orders")


def _without_first_come_first_served() -> AbstractContextManager[Any]:
    """Serve whoever was submitted last."""
    real = Stock._in_order
    return mock.patch.object(Stock, "_in_order", lambda stock: reversed(list(real(stock))))


def _without_a_type_that_is_taken() -> AbstractContextManager[Any]:
    """Keep submitted orders away from the catalogue, as a rule does that names too much."""

    def narrow(topic: str, subscription: str, type_: str) -> bool:
        return lets_in(topic, subscription, type_) and (subscription, type_) != ("catalog", "OrderSubmittedV2")

    return mock.patch("tests.simulation.bus.lets_in", narrow)


type Guard = Callable[[], AbstractContextManager[Any]]
"""Takes a guard away for as long as it is entered."""

BROKEN = {
    _without_version_gate: "counts: shown",
    _without_message_id: "was published as",
    _without_outbox_order: "was published as",
    _without_inbox: "are waited for, and orders wait for",
    _without_idempotency_record: "and on its retry",
    _without_gap_filling: "customer's name in order",
    _without_batch: "counts: shown",
    _without_second_look: "who was Leaver-Renamed by then",
    _without_rewriting_the_log: "event_log still says",
    _without_waiting: "was shown at version",
    _without_void: "which is Cancelled, has a payment that is authorised",
    _without_lapses: "which is authorised, has 0 held",
    _without_giving_back: "which is Cancelled, owes 0",
    _without_the_catalogues_word: "knows of shipments: False, and there are: True",
    _without_asking_for_what_was_shipped: "knows that pieces were shipped, and has asked for no payment",
    _without_look_at_refunds: "was asked for the refunds",
    _without_serving_on: "orders wait for",
    _without_first_come_first_served: "overtook",
    _without_a_type_that_is_taken: "has not come to follow_orders",
}
"""By what takes a guard away: words of the promise that is broken then, as it is told."""


@pytest.mark.parametrize("without", BROKEN)
def test_the_simulation_catches_a_missing_guard(without: Guard, record_property: Callable[[str, object], None]) -> None:
    seeds, promise = broken_without(without, BROKEN[without])
    record_property("seeds", seeds)
    print(f"{without.__name__.strip('_')}: after {seeds} seeds: {promise}")


def test_a_shop_that_fails_shows_no_guard_to_be_needed() -> None:
    def failing() -> AbstractContextManager[Any]:
        return mock.patch("tests.simulation.shop.Shop.settle", side_effect=TypeError("no guard"))

    with pytest.raises(AssertionError, match="TypeError: no guard"):
        broken_without(failing, "")


def broken_without(without: Guard, words: str) -> tuple[int, str]:
    """Run shops without a guard until one breaks a promise in these words; returns how many, and what was told.

    Raises:
        AssertionError: a shop failed, which says nothing of the guard; or none broke the promise.
    """
    for seed in range(BOUND):
        with without():
            outcome = simulate(seed)
        assert outcome.error is None, str(outcome)
        for promise in outcome.broken:
            if words in promise:
                return seed + 1, promise
    raise AssertionError(f"{BOUND} shops did not miss the guard")
