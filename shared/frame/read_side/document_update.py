"""Document updates: an event's effect on a read model, as data. A projection sends it; a rebuild folds it in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.frame.read_side.shape import Shapes

PATCH_LIMIT = 10
"""Operations that Cosmos DB takes in one patch; the eleventh is a bare 400."""


@dataclass(frozen=True, slots=True)
class Create:
    """A document comes into being.

    Attributes:
        document: the new document.
        notes_times: whether it keeps the time of each version; a document with endless versions does not.
    """

    document: Mapping[str, Any]
    notes_times: bool = True


@dataclass(frozen=True, slots=True)
class Patch:
    """A document changes.

    Attributes:
        operations: Cosmos patch operations; more than ten are split within one batch.
        shapes: the document's shapes; the patch applies to today's shape only.
        condition: a further condition on the document `c`, in Cosmos SQL; if it does not hold, nothing changes.
        notes_times: as in Create.
    """

    document_id: str
    operations: Sequence[Mapping[str, Any]]
    shapes: Shapes
    condition: str | None = None
    notes_times: bool = True

    @property
    def when(self) -> str:
        """All conditions on the document, as Cosmos DB's filter."""
        return "from c where " + " AND ".join(filter(None, [self.shapes.condition, self.condition]))


@dataclass(frozen=True, slots=True)
class DocumentUpdate:
    """The changes of one event to the documents of one partition: all or none of them are made.

    Attributes:
        gate: the change of the document that counts the aggregate's versions.
        others: changes of further documents in the partition.
        beside: another aggregate, whose first event makes the first document of `others`. If that document is missing,
            the projection makes it from the log first.
    """

    partition_key: str
    gate: Create | Patch
    others: Sequence[Create | Patch] = ()
    beside: UUID | None = None


def gated(gate: Create | Patch, version: int, at: datetime) -> Create | Patch:
    """Let the gate move a document from the previous version to this one only, and note the time if the gate does so.

    A document that is created has had no version yet.
    """
    projected = milliseconds(at)
    if isinstance(gate, Create):
        return Create({**gate.document, "projected": [projected]}) if gate.notes_times else gate
    note = [{"op": "add", "path": "/projected/-", "value": projected}] if gate.notes_times else []
    return replace(
        gate,
        operations=[
            *gate.operations,
            {"op": "set", "path": "/version", "value": version},
            *note,
        ],
        condition=" AND ".join(filter(None, [f"c.version = {version - 1}", gate.condition])),
    )


def with_projected(document: Mapping[str, Any]) -> dict[str, Any]:
    """Add the time of each version to a document made before they were noted; null where it is unknown."""
    return {**document, "projected": document.get("projected", [None] * document["version"])}


def milliseconds(at: datetime) -> int:
    """Write a time as in a document's `projected`, which has one for each version: milliseconds since 1970, in UTC."""
    return int(at.timestamp() * 1000)


def document_id(step: Create | Patch) -> str:
    """Name the document that a step changes."""
    return str(step.document["id"]) if isinstance(step, Create) else step.document_id


def applied(document: dict[str, Any] | None, step: Create | Patch) -> dict[str, Any]:
    """Apply a step to a document in memory, in place, as the store would; the caller checks the step's condition.

    It supports the operations that projections use: set, add, remove and incr.
    """
    if isinstance(step, Create):
        return dict(step.document)
    if document is None:
        raise ValueError(f"{step.document_id} is changed before it is created")
    for operation in step.operations:
        _apply(document, operation["op"], operation["path"].split("/")[1:], operation.get("value"))
    return document


def folded(gates: Iterable[Create | Patch], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Fold the gates of an aggregate's events into the document, in place: all of them, or those that it lacks."""
    document, held = before, 0 if before is None else before["version"]
    for version, gate in enumerate(gates, held + 1):
        document = applied(document, gated(gate, version, datetime.now(UTC)))
    if document is None:
        raise ValueError("an aggregate begins with an event")
    return document


def _apply(document: dict[str, Any], verb: str, path: Sequence[str], value: Any) -> None:
    parent: Any = document
    for name in path[:-1]:
        parent = parent[int(name)] if isinstance(parent, list) else parent[name]
    name = path[-1]
    match parent, verb:
        case list(), "add":
            parent.insert(len(parent) if name == "-" else int(name), value)
        case list(), "remove":
            del parent[int(name)]
        case dict(), "remove":
            del parent[name]
        case dict(), "incr":
            parent[name] = parent.get(name, 0) + value
        case dict(), "set" | "add":
            parent[name] = value
        case _:
            raise ValueError(f"{verb} at /{'/'.join(path)} is no operation of a projection")
