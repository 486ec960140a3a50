"""Given an aggregate's events, then its documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from shared.frame.messaging.envelope import Envelope, Recorded
from shared.frame.read_side.document_update import DocumentUpdate
from shared.frame.read_side.partitions import as_projected

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
_ENVELOPE = Envelope(
    event_id=UUID(int=0),
    aggregate_id=uuid4(),
    version=1,
    type="",
    payload="",
    occurred_at=AT,
    command_id="c",
    correlation_id="c",
    causation_id="c",
    traceparent=None,
    actor="somebody",
)


def recorded(events: Sequence[Any]) -> Sequence[Recorded[Any]]:
    """Record events of one aggregate, all at one time."""
    return [
        Recorded(replace(_ENVELOPE, version=version, type=type(event).__name__), event)
        for version, event in enumerate(events, 1)
    ]


def documents_of(
    project: Callable[[Recorded[Any]], DocumentUpdate], events: Sequence[Any]
) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Make the documents, by partition key and id, without the times at which they were projected."""
    history = recorded(events)
    partition_key = project(history[0]).partition_key
    return {
        (partition_key, id_): {name: value for name, value in document.items() if name != "projected"}
        for id_, document in as_projected(project, history).items()
    }
