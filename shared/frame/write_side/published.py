"""Published events made whole again: messages leave out what events say of a person, and the log has it (ADR 34)."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope, Recorded
from shared.frame.platform.threads import DELIVERY
from shared.frame.sql.reading import read_from
from shared.frame.write_side.event_log import EventLog


class NotInLog(Exception):
    """A message is of an event that its context's log does not have: the database was restored to before it, say."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where the events of a topic can be read once more.

    Attributes:
        log: the log that they are in.
        reader: reads it.
    """

    log: EventLog[Any]
    reader: sa.Engine

    async def whole[Event](self, received: Recorded[Event], codec: EventCodec[Event]) -> Recorded[Event]:
        """Read from the log what a received event says of a person.

        Messages of earlier releases say it too, and it is not used: a dead letter that is replayed years later must not
        bring back what was erased.

        Raises:
            NotInLog: the log has no such event.
        """
        envelope = received.envelope
        if not codec.says_something_personal(envelope.type):
            return received
        logged = await DELIVERY.run(self._logged, envelope)
        if logged is None or logged.event_id != envelope.event_id:
            raise NotInLog(f"version {envelope.version} of {envelope.aggregate_id} is not in the log it came from")
        return codec.open(logged)

    def _logged(self, envelope: Envelope) -> Envelope | None:
        place = envelope.aggregate_id, envelope.version
        return read_from(self.reader, lambda connection: self.log.envelope(connection, *place))
