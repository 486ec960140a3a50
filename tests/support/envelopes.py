"""Events in envelopes of which a test says only what it is about."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.frame.messaging.envelope import Envelope, Recorded


def an_envelope(kind: str, aggregate_id: UUID, version: int = 1, payload: str = "{}") -> Envelope:
    """An event of this type, as it would be in its aggregate's log."""
    return Envelope(
        event_id=uuid4(),
        aggregate_id=aggregate_id,
        version=version,
        type=kind,
        payload=payload,
        occurred_at=datetime.now(UTC),
        command_id="c",
        correlation_id="conversation",
        causation_id="c",
        traceparent=None,
        actor="somebody",
    )


def recorded[Event](event: Event, aggregate_id: UUID, version: int = 1) -> Recorded[Event]:
    """An event as a consumer gets it; its payload is not read again."""
    return Recorded(an_envelope(type(event).__name__, aggregate_id, version), event)
