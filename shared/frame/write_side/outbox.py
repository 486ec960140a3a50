"""One context's outbox: its relay, and the publisher that runs the relay after commits."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from shared.frame.platform import telemetry
from shared.frame.platform.settings import Settings
from shared.frame.sql.reading import read_from
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.publisher import Publisher
from shared.frame.write_side.relay import Relay, TopicUnreachable

logger = logging.getLogger(__name__)

SWEEP = timedelta(seconds=30)
"""How long the timer's run claims events. The timer has other work too, and Azure replaces a worker whose function runs
for 10 minutes. The publisher's thread has no such limit."""


class Outbox:
    """Publishes a context's events to its topic; connects when the first event is to be published."""

    def __init__(self, settings: Settings, engine: sa.Engine, log: EventLog[Any], context: str, topic: str) -> None:
        self._settings = settings
        self._engine = engine
        self._log = log
        self._context = context
        self._topic = topic
        self._publisher = Publisher(self._keep_up, context)
        self._connecting = threading.Lock()

    def publish(self, until: datetime | None = None) -> int:
        """Publish unpublished events; see Relay.run."""
        with self._connecting:  # the timer and the first commit may come at the same time
            relay = self._relay
        return relay.run(until)

    def sweep(self) -> None:
        """Publish what earlier runs have left, for the timer, and record what is left now; an outage is no error.

        What takes longer than `SWEEP`, or cannot be published now, is left to the publisher.
        """
        began = datetime.now(UTC)
        until = began + SWEEP
        try:
            left = self.publish(until)
        except Exception as error:
            self.wake()  # the timer may come once a day
            if not isinstance(error, TopicUnreachable):
                raise
            logger.warning("%s: publishing waits: %s", self._context, error)
        else:
            if left:
                logger.info("%s: the relay sent %s events", self._context, left)
            if datetime.now(UTC) >= until or self._relay.again_in(since=began) is not None:
                self.wake()
        finally:
            telemetry.outbox(self._context, *read_from(self._engine, self._log.claims.unpublished))

    def wake(self) -> None:
        """Publish soon, on another thread."""
        self._publisher.wake()

    def _keep_up(self) -> timedelta | None:
        began = datetime.now(UTC)
        self.publish()
        return self._relay.again_in(since=began)

    @cached_property
    def _relay(self) -> Relay[Any]:
        # this imports azure-servicebus, for which a cold start need not wait
        from shared.frame.messaging.topics import ServiceBusTopic  # noqa: PLC0415

        return Relay(self._engine, self._log, ServiceBusTopic(self._settings, self._topic, self._context))
