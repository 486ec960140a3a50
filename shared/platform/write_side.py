"""How a command is carried out: one transaction, tried again when it lost a race, and never carried out twice."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import stamina

from shared.kernel.refusals import Refusal
from shared.messaging.envelope import Accepted, Metadata
from shared.messaging.event_log import EventLog
from shared.platform import telemetry
from shared.platform.sql import is_transient


class LostRace(Exception):
    """Another command changed the same aggregate first; decide again on what it is now."""


class KeyReused(Refusal):
    """The idempotency key belongs to a command with other content (HTTP 422)."""

    code = "idempotency-key-reused"


class WriteSide[Repository]:
    """Carries out one context's commands on its repository, bound to a transaction and the command's metadata."""

    def __init__(
        self,
        engine: sa.Engine,
        log: EventLog[Any],
        repository: Callable[[sa.Connection, Metadata], Repository],
        committed: Callable[[], None],
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            engine: the context's engine.
            log: its event log, which knows the commands that were accepted.
            repository: binds the repository to a transaction.
            committed: called after each commit; wakes the publisher.
        """
        self._engine = engine
        self._log = log
        self._repository = repository
        self._committed = committed

    def run[Command](
        self, handler: Callable[[Command, Repository], Accepted], command: Command, metadata: Metadata
    ) -> Accepted:
        """Carry the command out, or give its first answer again if that has been done.

        Raises:
            Refusal: the command is refused, and has changed nothing.
            KeyReused: another command was accepted under this key.
            LostRace: too many others won; nothing has changed.
        """
        return telemetry.command(
            type(command).__name__, metadata, lambda traced: self._carry_out(handler, command, traced)
        )

    def _carry_out[Command](
        self, handler: Callable[[Command, Repository], Accepted], command: Command, metadata: Metadata
    ) -> Accepted:
        for attempt in stamina.retry_context(
            on=_again, attempts=10, timeout=10, wait_initial=0.01, wait_max=1.0, wait_jitter=0.02
        ):
            with attempt:
                try:
                    with self._engine.begin() as connection:
                        accepted = handler(command, self._repository(connection, metadata))
                except (Refusal, sa.exc.IntegrityError) as error:
                    # A retry of an accepted command ends here: what it asks for has been done, so the rules refuse
                    # it or the log's unique key does. Looking only now saves every other command a round trip.
                    first = self._first_answer(metadata)
                    if first is not None:
                        return first
                    if isinstance(error, Refusal):
                        raise
                    raise LostRace from error
                self._committed()
                return accepted
        raise AssertionError("the retries end by an answer or an error")

    def _first_answer(self, metadata: Metadata) -> Accepted | None:
        with self._engine.connect().execution_options(reads_only=True) as connection:
            first = self._log.first_answer(connection, metadata.command_id)
        if first is not None and first.fingerprint != metadata.fingerprint:
            raise KeyReused("This Idempotency-Key was used for a command with other content.")
        return None if first is None else first.accepted


def _again(error: Exception) -> bool:
    return isinstance(error, LostRace) or is_transient(error)
