"""Envelopes on the wire: CloudEvents 1.0 in JSON, so that a dead letter can be read without this code."""

import json
from datetime import datetime
from operator import index
from uuid import UUID

from shared.messaging.envelope import Envelope

CONTENT_TYPE = "application/cloudevents+json"


def to_body(envelope: Envelope, source: str) -> bytes:
    """Write an envelope as a CloudEvent; extension attributes are lower case, as the specification asks."""
    attributes = {
        "specversion": "1.0",
        "id": str(envelope.event_id),
        "source": f"/{source}",
        "type": envelope.type,
        "subject": str(envelope.aggregate_id),
        "time": envelope.occurred_at.isoformat(),
        "datacontenttype": "application/json",
        "aggregateversion": envelope.version,
        "commandid": envelope.command_id,
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "actor": envelope.actor,
    }
    if envelope.traceparent is not None:
        attributes["traceparent"] = envelope.traceparent
    head = json.dumps(attributes, ensure_ascii=False)
    return f'{head[:-1]}, "data": {envelope.payload}}}'.encode()


def from_body(body: bytes) -> Envelope:
    """Read what `to_body` wrote.

    Raises:
        ValueError: the body is no CloudEvent of this system.
    """
    try:
        event = json.loads(body)
        return Envelope(
            event_id=UUID(event["id"]),
            aggregate_id=UUID(event["subject"]),
            version=index(event["aggregateversion"]),
            type=event["type"],
            payload=json.dumps(event["data"], ensure_ascii=False),
            occurred_at=datetime.fromisoformat(event["time"]),
            command_id=event["commandid"],
            correlation_id=event["correlationid"],
            causation_id=event["causationid"],
            traceparent=event.get("traceparent"),
            actor=event["actor"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The message is no event of this system: {error!r}") from error
