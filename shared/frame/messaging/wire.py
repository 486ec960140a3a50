"""Envelopes on the wire: CloudEvents 1.0 in JSON, so that a dead letter can be read without this code."""

import json
from collections.abc import Mapping
from datetime import datetime
from operator import index
from uuid import UUID

from pydantic_core import from_json, to_json

from shared.frame.messaging.envelope import Envelope

CONTENT_TYPE = "application/cloudevents+json"


PREFIX = "cloudEvents_"
"""Stands before an attribute's name in the application properties of an AMQP message:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md"""


def to_body(envelope: Envelope, source: str) -> bytes:
    """Write an envelope as a CloudEvent."""
    head = json.dumps(attributes(envelope, source), ensure_ascii=False)
    return f'{head[:-1]}, "data": {envelope.payload}}}'.encode()


def to_properties(envelope: Envelope, source: str) -> Mapping[str | bytes, str | int]:
    """Write a CloudEvent's attributes as application properties too, so that a subscription's rules can filter on them.

    The binding allows it beside a structured body. The media type of the data is left out: a structured message has
    that of the whole in its content type.
    """
    return {
        f"{PREFIX}{name}": value for name, value in attributes(envelope, source).items() if name != "datacontenttype"
    }


def attributes(envelope: Envelope, source: str) -> dict[str, str | int]:
    """Give a CloudEvent's attributes; those of this system's own are lower case, as the specification asks."""
    found: dict[str, str | int] = {
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
        found["traceparent"] = envelope.traceparent
    return found


def from_body(body: bytes) -> Envelope:
    """Read what `to_body` wrote.

    Raises:
        ValueError: the body is no CloudEvent of this system.
    """
    try:
        event = from_json(body)
    except ValueError as error:  # its text names the place, and repeats nothing of the message
        raise ValueError(f"The message is no event of this system, and no JSON: {error}.") from None
    try:
        return Envelope(
            event_id=UUID(event["id"]),
            aggregate_id=UUID(event["subject"]),
            version=index(event["aggregateversion"]),
            type=_text(event, "type"),
            payload=to_json(event["data"]).decode(),
            occurred_at=datetime.fromisoformat(event["time"]),
            command_id=_text(event, "commandid"),
            correlation_id=_text(event, "correlationid"),
            causation_id=_text(event, "causationid"),
            traceparent=None if event.get("traceparent") is None else _text(event, "traceparent"),
            actor=_text(event, "actor"),
        )
    except KeyError as error:
        raise ValueError(f"The message is no event of this system: it has no {error}.") from None
    except _NoTextError as error:
        raise ValueError(f"The message is no event of this system: {error} is no text.") from None
    except (ValueError, TypeError, AttributeError) as error:
        # this error is logged, and these texts may repeat personal data of the message
        raise ValueError(f"The message is no event of this system ({type(error).__name__}).") from None


class _NoTextError(Exception):
    """An attribute is of another type; it is named, and not repeated."""


def _text(event: Mapping[str, object], name: str) -> str:
    value = event[name]
    if not isinstance(value, str):
        raise _NoTextError(name)
    return value
