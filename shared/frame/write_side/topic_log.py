"""Restores the personal fields of published events: messages leave them out, and the log has them (ADR 34)."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope, Recorded
from shared.frame.platform.threads import DELIVERY
from shared.frame.write_side.event_log import EventLog


class NotInLog(Exception):
    """The log lacks the event of a message; the database may have been restored to an earlier time."""


@dataclass(frozen=True, slots=True)
class TopicLog:
    """The log of a topic's events.

    Attributes:
        log: the log.
        reader: reads the log.
    """

    log: EventLog[Any]
    reader: sa.Engine

    async def whole[Event](self, received: Recorded[Event], codec: EventCodec[Event]) -> Recorded[Event]:
        """Read a received event's personal fields from the log.

        Messages of earlier releases have these fields too, but they are not used: a dead letter that is replayed years
        later must not bring erased data back.

        Raises:
            NotInLog: the log has no such event.
        """
        envelope = received.envelope
        if not codec.has_personal_fields(envelope.type):
            return received
        logged = await DELIVERY.run(self._logged, envelope)
        if logged is None or logged.event_id != envelope.event_id:
            raise NotInLog(f"version {envelope.version} of {envelope.aggregate_id} is not in the log it came from")
        return codec.open(logged)

    def _logged(self, envelope: Envelope) -> Envelope | None:
        return self.log.envelope(self.reader, envelope.aggregate_id, envelope.version)
