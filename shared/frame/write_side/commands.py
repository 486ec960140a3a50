"""How a command is carried out: one unit of work, tried again when it lost a race, and never carried out twice."""

import time
from collections.abc import Callable
from typing import Any, Concatenate, TypedDict

import sqlalchemy as sa
import stamina

from shared.frame.messaging.envelope import Accepted, Metadata, Recorded
from shared.frame.platform import telemetry
from shared.frame.sql.errors import is_transient
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.handlers import arguments_for
from shared.frame.write_side.inbox import Inbox, caused_by
from shared.frame.write_side.lines import Lines
from shared.frame.write_side.unit_of_work import CONNECTING, LostRace, OutOfTime, UnitOfWork
from shared.kernel.refusals import Refusal


class Pauses(TypedDict):
    """How stamina waits, in seconds."""

    wait_initial: float
    wait_max: float
    wait_jitter: float


DEADLINE = 10.0
"""Seconds that a command is tried for: no request to the database is under way after them."""


PAUSES: Pauses = {"wait_initial": 0.01, "wait_max": 0.5, "wait_jitter": 0.02}
"""Seconds between a race that was lost and the next try."""


class KeyReused(Refusal):
    """The idempotency key belongs to a command with other content (HTTP 422)."""

    code = "idempotency-key-reused"


class WriteSide:
    """Carries out one context's commands, each on the repositories that its handler names (handlers.py)."""

    def __init__(
        self,
        engine: sa.Engine,
        log: EventLog[Any],
        committed: Callable[[], None],
        lines: Lines | None = None,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            engine: the context's engine.
            log: its event log, which knows the commands that were accepted.
            committed: called after each commit; wakes the publisher.
            lines: where commands on the same aggregate stand in line; new ones by default.
        """
        self._engine = engine
        self._log = log
        self._committed = committed
        self._lines = lines or Lines()

    def run[Command, **Repositories](
        self,
        handler: Callable[Concatenate[Command, Repositories], Accepted],
        command: Command,
        metadata: Metadata,
    ) -> Accepted:
        """Carry the command out, or give its first answer again if that has been done.

        Raises:
            Refusal: the command is refused, and has changed nothing.
            KeyReused: another command was accepted under this key.
            LostRace: others won until the deadline; nothing has changed.
            OutOfTime: the deadline came before the database had answered; nothing is known to have changed.
            sqlalchemy.exc.DBAPIError: the database did not answer, or not well, until the deadline.
        """
        return telemetry.command(
            type(command).__name__, metadata, lambda traced: self._carry_out(handler, command, traced)
        )

    def follow[Event, **Repositories](
        self,
        inbox: Inbox,
        handler: Callable[Concatenate[Recorded[Event], Repositories], None],
        recorded: Recorded[Event],
    ) -> None:
        """Let a handler take another context's event in, once, and publish the events that it leaves.

        What it writes, its own events and the note of the event are one transaction.

        Raises:
            LostRace: others won until the deadline; nothing has changed.
            Exception: what the handler or the commit raises; nothing has changed.
        """
        leaves_events = False

        def take_in(recorded: Recorded[Event], work: UnitOfWork) -> None:
            nonlocal leaves_events
            taking: Callable[..., None] = handler
            taking(recorded, *arguments_for(handler, work, caused_by(recorded.envelope)))
            leaves_events = self._log.has_appended(work)

        for attempt in stamina.retry_context(on=LostRace, attempts=None, timeout=DEADLINE, **PAUSES):
            with attempt:
                inbox.consume(self._engine, recorded, take_in, self._lines)
        if leaves_events:
            self._committed()

    def _carry_out(self, handler: Callable[..., Accepted], command: object, metadata: Metadata) -> Accepted:
        deadline = time.monotonic() + DEADLINE
        for attempt in stamina.retry_context(on=_again, attempts=None, timeout=DEADLINE - CONNECTING, **PAUSES):
            with (
                attempt,
                UnitOfWork(self._engine, deadline, self._log.first_of(metadata.command_id), self._lines) as work,
            ):
                try:
                    accepted = handler(command, *arguments_for(handler, work, metadata))
                    work.commit()
                except (Refusal, LostRace) as error:
                    # A retry of an accepted command ends here: what it asks for has been done, so the rules refuse
                    # it or the log's unique key does. Looking only now spares every other command the look.
                    first = self._first_answer(work, metadata, error)
                    if first is not None:
                        return first
                    raise
                self._committed()
                return accepted
        raise AssertionError("the retries end by an answer or an error")

    def _first_answer(self, work: UnitOfWork, metadata: Metadata, error: Exception) -> Accepted | None:
        try:
            first = self._log.first_answer(work.conflicting())
        except OutOfTime:
            if isinstance(error, Refusal):
                raise  # an earlier try may have been accepted, and a refusal would be wrong
            return None
        if first is None:
            return None
        if first.fingerprint != metadata.fingerprint and first.fingerprint not in metadata.earlier_fingerprints():
            raise KeyReused("This Idempotency-Key was used for a command with other content.")
        return first.accepted


def _again(error: Exception) -> bool:
    return isinstance(error, LostRace) or is_transient(error)
