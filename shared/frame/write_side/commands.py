"""Carries out commands: each in one unit of work, again if it lost a race, and never twice."""

import time
from collections.abc import Callable
from typing import Any, Concatenate, TypedDict

import sqlalchemy as sa
import stamina

from shared.frame.messaging.envelope import Accepted, Metadata, Recorded
from shared.frame.platform import telemetry
from shared.frame.sql.errors import OutOfTime, is_transient
from shared.frame.write_side.aggregate_queues import AggregateQueues
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.handlers import arguments_for
from shared.frame.write_side.inbox import Inbox, caused_by
from shared.frame.write_side.unit_of_work import CONNECTING, LostRace, UnitOfWork, commit_and_wake
from shared.kernel.refusals import Refusal


class Pauses(TypedDict):
    """How stamina waits, in seconds."""

    wait_initial: float
    wait_max: float
    wait_jitter: float


DEADLINE = 10.0
"""Seconds for which a command is tried; after them no request of it to the database is under way."""

LONG_WORK = 60.0
"""The same for a timer's command that reads and rewrites all of a history, and for which no caller waits."""

PAUSES: Pauses = {"wait_initial": 0.01, "wait_max": 0.5, "wait_jitter": 0.02}
"""Seconds between a race that was lost and the next try."""


class KeyReused(Refusal):
    """The caller has used the idempotency key for a command with other content (HTTP 422)."""

    code = "idempotency-key-reused"


class WriteSide:
    """Carries out one context's commands, each on the repositories that its handler names (handlers.py)."""

    def __init__(
        self,
        engine: sa.Engine,
        log: EventLog[Any],
        committed: Callable[[], None],
        queues: AggregateQueues | None = None,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            engine: the context's engine.
            log: its event log, which also records the accepted commands.
            committed: called after each commit, and where events may be in the log of which nobody has told: the answer
                to a commit was lost, or a command or an event comes again. Wakes the publisher.
            queues: the queues of commands on the same aggregate; new ones by default.
        """
        self._engine = engine
        self._log = log
        self._committed = committed
        self._queues = queues or AggregateQueues()

    def run[Command, **Repositories](
        self,
        handler: Callable[Concatenate[Command, Repositories], Accepted],
        command: Command,
        metadata: Metadata,
        seconds: float | None = None,
    ) -> Accepted:
        """Carry the command out, within these seconds or DEADLINE; if it was accepted before, give its first answer.

        Raises:
            Refusal: the command is refused, and has changed nothing.
            KeyReused: another command of the same actor was accepted under this key.
            LostRace: other commands won every race until the deadline.
            OutOfTime: the deadline came before the database answered.
            sqlalchemy.exc.DBAPIError: the database did not answer, or failed, until the deadline.

        After each of these three nothing has changed as far as is known: the answer to a commit may have been lost, and
        then no time left to look for it. The same command tells it, sent again.
        """
        return telemetry.command(
            type(command).__name__,
            metadata,
            lambda traced: self._carry_out(handler, command, traced, seconds or DEADLINE),
        )

    def follow[Event, **Repositories](
        self,
        inbox: Inbox,
        handler: Callable[Concatenate[Recorded[Event], Repositories], None],
        recorded: Recorded[Event],
    ) -> None:
        """Let a handler consume another context's event, once, and publish the events that follow.

        The handler's writes, its events and the inbox's record are one transaction.

        Raises:
            LostRace: other work won every race until the deadline; nothing has changed.
            Exception: the handler or the commit failed; nothing has changed as far as is known.
        """
        leaves_events = False

        def take_in(recorded: Recorded[Event], work: UnitOfWork) -> None:
            nonlocal leaves_events
            taking: Callable[..., None] = handler
            taking(recorded, *arguments_for(handler, work, caused_by(recorded.envelope)))
            leaves_events = self._log.has_appended(work)

        is_new = True
        try:
            is_new = _until_done(
                lambda: inbox.consume(self._engine, recorded, take_in, self._queues),
                again=lambda error: isinstance(error, LostRace),
                seconds=DEADLINE,
            )
        finally:  # the answer to the commit may be lost
            if leaves_events or not is_new:
                self._committed()

    def _carry_out(
        self, handler: Callable[..., Accepted], command: object, metadata: Metadata, seconds: float
    ) -> Accepted:
        deadline = time.monotonic() + seconds
        return _until_done(
            lambda: self._try(handler, command, metadata, deadline), again=_again, seconds=seconds - CONNECTING
        )

    def _try(self, handler: Callable[..., Accepted], command: object, metadata: Metadata, deadline: float) -> Accepted:
        first_of = self._log.first_of(metadata.command_id, metadata.actor)
        with UnitOfWork(self._engine, deadline, first_of, self._queues) as work:
            try:
                accepted = handler(command, *arguments_for(handler, work, metadata))
                commit_and_wake(work, self._committed)
            except (Refusal, LostRace) as error:
                # A retry of an accepted command ends here: its change has been made, so the rules refuse it, or the
                # log's unique key does. Looking for the key only now spares all other commands the query.
                first = self._first_answer(work, metadata, error)
                if first is None:
                    raise
                self._committed()
                return first
            return accepted

    def _first_answer(self, work: UnitOfWork, metadata: Metadata, error: Exception) -> Accepted | None:
        try:
            first = self._log.first_answer(work.conflicting())
        except OutOfTime:
            if isinstance(error, Refusal):
                raise  # an earlier try may have been accepted, so a refusal could be false
            return None
        if first is None:
            return None
        if first.fingerprint != metadata.fingerprint and first.fingerprint not in metadata.earlier_fingerprints():
            raise KeyReused("This Idempotency-Key was used for a command with other content.")
        return first.accepted


def _until_done[Result](work: Callable[[], Result], again: Callable[[Exception], bool], seconds: float) -> Result:
    """Do the work, and again after a pause if it fails with such an error, for so many seconds.

    Most work succeeds at once, without the library: what it prepares would be a tenth of a command.
    """
    began = time.monotonic()
    try:
        return work()
    except Exception as error:
        if not again(error):
            raise
        failed = error
    left = began + seconds - time.monotonic()
    for attempt in stamina.retry_context(on=again, attempts=None, timeout=left, **PAUSES):
        with attempt:
            if attempt.num == 1:
                raise failed  # the library is told of the attempt above
            return work()
    raise AssertionError("the retries end by a result or an error")


def _again(error: Exception) -> bool:
    return isinstance(error, LostRace) or is_transient(error)
