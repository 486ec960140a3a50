"""Metadata of commands and events: the cause, the time, and the place in the aggregate's history."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a command besides its content; its events inherit it.

    Attributes:
        command_id: names the command in the log; the caller's Idempotency-Key where there is one.
        fingerprint: SHA-256 of the caller and the command's kind and content. The same key with another fingerprint is
        another command. None: the command follows an event, and the inbox tells whether it was carried out.
        earlier_fingerprints: gives what earlier releases would have recorded as the fingerprint of this command.
        expected_versions: the aggregate's version has to be one of these (If-Match); None: any, or it is new.
        correlation_id: names the whole conversation, from the first request to the last projection.
        causation_id: the event that led to this command; None for a caller's request.
        traceparent: W3C trace context of the request.
        actor: the person or system that acts; a caller's object id in Entra ID.
        owner_id: the owner whose data alone the command reaches; None: it reaches all data.
        at: when, in UTC.
    """

    command_id: str = field(default_factory=lambda: str(uuid4()))
    fingerprint: bytes | None = bytes(32)
    earlier_fingerprints: Callable[[], Collection[bytes]] = tuple
    expected_versions: Collection[int] | None = None
    correlation_id: str = ""
    causation_id: str | None = None
    traceparent: str | None = None
    actor: str = "anonymous"
    owner_id: UUID | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def reaches(self, owner_id: UUID) -> bool:
        """Tell whether the command reaches what belongs to this owner."""
        return self.owner_id in {None, owner_id}


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as the log and Service Bus carry it, with its payload still encoded.

    Attributes:
        version: its place in the aggregate's history; the first is 1.
        type: the class name of the event, version included.
        payload: the event as JSON.
        occurred_at: UTC, to the microsecond.
        command_id: the command that made it.
        causation_id: the direct cause: the event that its command followed, or else the command itself.
    """

    event_id: UUID
    aggregate_id: UUID
    version: int
    type: str
    payload: str
    occurred_at: datetime
    command_id: str
    correlation_id: str
    causation_id: str
    traceparent: str | None
    actor: str


@dataclass(frozen=True, slots=True)
class Recorded[Event]:
    """An event with the envelope that it came in."""

    envelope: Envelope
    event: Event


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer of a command: the changed aggregate, and its new version.

    Attributes:
        replayed: the command had been accepted before; this is its first answer again.
    """

    aggregate_id: UUID
    version: int
    replayed: bool = False
