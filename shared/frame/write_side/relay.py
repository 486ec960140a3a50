"""The relay: publishes the outbox's events in order, and never gives an event up."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope
from shared.frame.sql.reading import again_if_lost
from shared.frame.write_side.claims import Settled
from shared.frame.write_side.event_log import EventLog

logger = logging.getLogger(__name__)

CLAIM = timedelta(seconds=20)
"""How long a claim of a relay lasts; after that another relay takes its events over. If the first relay is still alive,
events are sent twice, and Service Bus drops the duplicates by message id; nothing is lost."""

SETBACK = timedelta(seconds=10)
"""The pause before an aggregate is tried again whose events could not be sent."""

HEADS = 100
"""Aggregates claimed at a time."""

WITHHELD = "withheld"
"""Replaces personal fields in messages: a message cannot be edited, and a dead letter never expires. A consumer that
needs a personal field reads it from the log, where it may have been erased (ADR 34)."""

SENDERS = 8
"""Aggregates sent at the same time."""


class TopicUnreachable(Exception):
    """Service Bus does not answer, so nothing can be sent now."""


class Topic(Protocol):
    """The topic of a context's events."""

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Send one aggregate's events in this order, and return when Service Bus has accepted them.

        Raises:
            TopicUnreachable: nothing can be sent now; some of these events may have been sent.
            Exception: these events cannot be sent; other aggregates' events may be.
        """


class Relay[Event]:
    """Publishes one context's log to its topic. Any number of relays may run at once."""

    def __init__(
        self,
        engine: sa.Engine,
        log: EventLog[Event],
        topic: Topic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        senders: Executor | None = None,
    ) -> None:
        """Prepare.

        Args:
            engine: the context's engine.
            log: its event log.
            topic: its topic.
            clock: the time in UTC.
            senders: the threads that send aggregates at the same time; by default the relay makes and keeps its own.
        """
        self._engine = engine
        self._claims = log.claims
        self._codec = log.codec
        self._topic = topic
        self._clock = clock
        self._senders = senders or ThreadPoolExecutor(SENDERS, thread_name_prefix="relay")
        self._held_until = datetime.min.replace(tzinfo=UTC)
        self._holding = threading.Lock()

    def run(self, until: datetime | None = None) -> int:
        """Publish until no event is left that may be published now, and give the number of published events.

        Args:
            until: the time after which no more events are claimed. While many events cannot be sent, the first may be
                sent again before the last have been tried, and the run would not end.

        Raises:
            TopicUnreachable: the other events stay in the outbox, and may be claimed again at once.
        """
        with self._held_if_it_fails():
            return self._publish(until)

    def again_in(self, since: datetime) -> timedelta | None:
        """Give the time until events can be claimed again that runs of this relay hold, or have set back.

        Without it, they would wait for whatever run comes next: a commit's, or the timer's.

        Args:
            since: when the last run began; what was free by then, it has claimed.

        Returns:
            The time until all of them can be claimed, but at most `CLAIM`, for the clock may have been wrong; None if
            there are none.
        """
        if self._held_until < since:
            return None
        return min(max(self._held_until - self._clock(), timedelta()), CLAIM)

    def _publish(self, until: datetime | None) -> int:
        published, settled = 0, Settled()
        while histories := again_if_lost(partial(self._claim, settled)):
            outcomes = self._sent(histories.values())
            settled = self._settled(histories, outcomes)
            published += len(settled.published)
            unreachable = next((error for error in outcomes if isinstance(error, TopicUnreachable)), None)
            time_is_up = until is not None and self._clock() >= until
            if time_is_up or unreachable is not None:
                self._settle(settled)
            if unreachable is not None:
                raise unreachable
            if time_is_up:
                break
        return published

    def _claim(self, settled: Settled) -> dict[UUID, list[tuple[int, Envelope]]]:
        now = self._clock()
        histories: dict[UUID, list[tuple[int, Envelope]]] = defaultdict(list)
        # the claim may have been made although its answer is lost, and a second try finds nothing free
        with self._held_if_it_fails(), self._engine.begin() as connection:
            for sequence, envelope in self._claims.claim(connection, now, now + CLAIM, HEADS, settled):
                histories[envelope.aggregate_id].append((sequence, envelope))
        for history in histories.values():
            history.sort(key=lambda event: event[1].version)  # one insert may number its rows in any order
        return histories

    def _settle(self, settled: Settled) -> None:
        with suppress(sa.exc.SQLAlchemyError), self._held_if_it_fails(), self._engine.begin() as connection:
            self._claims.settle(connection, settled)  # else the claims run out

    @contextmanager
    def _held_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._hold(self._clock() + CLAIM)
            raise

    def _hold(self, until: datetime) -> None:
        with self._holding:  # the timer's run may end at the same time as the publisher's
            self._held_until = max(self._held_until, until)

    def _sent(self, histories: Collection[Iterable[tuple[int, Envelope]]]) -> Sequence[Exception | None]:
        """Send what was claimed, and give the error of each; if the topic cannot be reached, not all are tried."""
        reached: list[bool] = []
        at_once = self._senders.map if len(histories) > 1 else map
        return list(at_once(partial(self._send, reached), histories))

    def _send(self, reached: list[bool], history: Iterable[tuple[int, Envelope]]) -> Exception | None:
        if len(reached) >= SENDERS and not any(reached):
            return TopicUnreachable("others were tried in vain")  # each try may take as long as the topic's time-out
        envelopes = [envelope for _, envelope in history]
        try:
            self._topic.send([self._codec.without_personal(envelope, WITHHELD) for envelope in envelopes])
        except TopicUnreachable as error:
            reached.append(False)
            return error
        except Exception as error:
            # events that cannot be sent stay in the outbox, are reported, and block no other aggregate
            logger.exception("cannot publish %s of %s", envelopes[0].type, envelopes[0].aggregate_id)
            return error
        reached.append(True)
        return None

    def _settled(
        self, histories: Mapping[UUID, Sequence[tuple[int, Envelope]]], outcomes: Sequence[Exception | None]
    ) -> Settled:
        now = self._clock()
        sent: list[int] = []
        released: list[tuple[int, datetime]] = []
        for history, error in zip(histories.values(), outcomes, strict=True):
            if error is None:
                sent += [sequence for sequence, _ in history]
            else:
                again_at = now if isinstance(error, TopicUnreachable) else now + SETBACK
                released.append((history[0][0], again_at))
                self._hold(again_at)
        return Settled(sent, now, released)
