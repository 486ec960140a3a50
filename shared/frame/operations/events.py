"""Events, found by what an operator has in hand, and what became of each: published, received, shown.

Nothing of what an event says is told: it may be a person's, and the role Ops is not for that.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from shared.frame.context import Context, ReadModel
from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, QueryInput, Text
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.read_your_writes import Document, point_read
from shared.frame.sql.reading import read_from
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.frame.write_side.log_search import Found, found
from shared.frame.write_side.unit_of_work import LONGEST_TIMEOUT

AT_ONCE, PLACES = 1, 16
"""Searches that one process carries out at once, and that it lets in at all: some read many rows. They use a connection
of those that commands have, for the identity of the queries may not read every log."""

FARTHEST = 100_000
"""Rows of each log that are looked through at most for what no index finds; the time of a statement bounds it too."""

DOCUMENTS = 20
"""Documents whose state is told: a point read and a look at the log for each."""


class FindEvents(QueryInput, json_schema_extra=example(of="4bf92f3577b34da6a3ce929d0e0e4736")):
    """Events by an id: of an order, product or customer, a message, a conversation (correlation), a command or its key.

    An aggregate, and a command or idempotency key, are found by an index. All else is looked for among the newest
    events of each context, as many as `reach` says.
    """

    of: Annotated[Text, StringConstraints(min_length=1, max_length=255)]
    after: Annotated[int, Field(ge=0, lt=2**53), Digits] = Field(
        default=0, description="of an aggregate: versions up to this one are left out"
    )
    take: Annotated[int, Field(ge=1, le=200), Digits] = 100
    reach: Annotated[int, Field(ge=1, le=FARTHEST), Digits] = 10_000


class Receipt(Answer):
    """When a context that follows an event had taken it in."""

    context: str
    at: Time


class Showing(Answer):
    """Whether a read model shows an event, and since when; `at` is null where that is not known, as after a rebuild."""

    view: str
    document_id: str
    shown: bool
    at: Time | None


class FoundEvent(Answer):
    """An event, without what it says, and what became of it."""

    context: str
    sequence: int
    event_id: UUID
    aggregate_id: UUID
    version: int
    type: str
    occurred_at: Time
    actor: str
    command_id: str
    causation_id: str
    correlation_id: str
    traceparent: str | None
    published_at: Time | None = Field(description="null: it waits in the outbox")
    received: list[Receipt] = Field(description="by contexts that note in SQL what they have taken in")
    showings: list[Showing] = Field(description="empty: no read model shows it, or none that could be asked")


class DocumentState(Answer):
    """How far a document is."""

    view: str
    document_id: str
    partition_key: str
    version: int | None = Field(description="that it shows; null: it is not there")
    logged: int = Field(description="the newest version of its aggregate among these events")


class FoundEvents(Answer):
    """Events that were found, oldest first, and what became of them."""

    kind: Literal["aggregate", "command", "other", "nothing"]
    events: list[FoundEvent]
    next: int | None = Field(description="of an aggregate: give it as `after` to go on; null: there are no more")
    looked_through: int = Field(description="sequences of each log that were looked through; 0: an index found it")
    unreadable: list[str] = Field(description="read models that could not be asked")
    documents: list[DocumentState]


@dataclass(frozen=True, slots=True)
class _Hit:
    context: Context[Any]
    event: Found


@dataclass(frozen=True, slots=True)
class _Shown:
    """The document that an aggregate's events change in a view, as it is stored."""

    view: str
    aggregate_id: UUID
    document_id: str
    partition_key: str
    document: Document | None


class EventSearch:
    """Finds events in the logs of all contexts, and asks what became of them."""

    def __init__(self, contexts: Sequence[Context[Any]]) -> None:
        """Prepare; nothing connects yet."""
        self._contexts = contexts
        self._turns = FairConcurrencyLimit(AT_ONCE, PLACES, kind="searches of the log")

    async def find(self, query: FindEvents, caller: UUID | None) -> FoundEvents:
        """Find events when it is the caller's turn.

        Raises:
            Problem: too many search at the moment (503 `overloaded`).
        """
        kind, hits, receipts = await self._turns.take_for(caller, lambda: self._search(query))
        more = kind == "aggregate" and len(hits) > query.take
        hits = hits[: query.take]
        documents, unreadable = await _documents(hits)
        return FoundEvents(
            kind=kind,
            events=[_told(hit, receipts.get(hit.event.event_id, ()), documents) for hit in hits],
            next=hits[-1].event.version if more else None,
            looked_through=0 if kind in {"aggregate", "command"} else query.reach,
            unreadable=unreadable,
            documents=[_state(each, hits) for each in documents],
        )

    def _search(
        self, query: FindEvents
    ) -> tuple[Literal["aggregate", "command", "other", "nothing"], list[_Hit], dict[UUID, list[Receipt]]]:
        kind, hits = self._hits(query)
        return kind, hits, self._receipts(hits)

    def _hits(self, query: FindEvents) -> tuple[Literal["aggregate", "command", "other", "nothing"], list[_Hit]]:
        id_ = _uuid(query.of)
        most = query.take + 1
        if id_ is not None:
            for context in self._contexts:
                if hits := _aggregate(context, id_, query.after, most):
                    return "aggregate", hits
        for context in self._contexts:
            if hits := _command(context, query.of, most):
                return "command", hits
        wanted = {"id": id_ or UUID(int=0), "correlation": query.of[:128], "command": query.of, "causation": query.of}
        hits = [
            _Hit(context, found(row))
            for context in self._contexts
            for row in _rows(
                context, context.log.statements.among_newest, wanted | {"reach": query.reach, "most": query.take}
            )
        ]
        hits.sort(key=lambda hit: (hit.event.occurred_at, hit.event.sequence))
        return ("other" if hits else "nothing"), hits[-query.take :]

    def _receipts(self, hits: Sequence[_Hit]) -> dict[UUID, list[Receipt]]:
        receipts: dict[UUID, list[Receipt]] = {}
        ids = [hit.event.event_id for hit in hits]
        for context in self._contexts:
            if context.inbox is not None and ids:
                for row in _rows(context, context.inbox.received, {"ids": ids}):
                    receipts.setdefault(row.event_id, []).append(
                        Receipt(context=context.name, at=utc_text(row.received_at))
                    )
        return receipts


def _rows(context: Context[Any], statement: sa.Select[Any], parameters: dict[str, Any]) -> Sequence[sa.Row[Any]]:
    def rows(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
        timed = connection.execution_options(statement_timeout=LONGEST_TIMEOUT)
        return timed.execute(statement, parameters).all()

    return read_from(context.engine, rows)


def _aggregate(context: Context[Any], aggregate_id: UUID, after: int, most: int) -> list[_Hit]:
    parameters = {"id": aggregate_id, "after": after, "most": most}
    return [_Hit(context, found(row)) for row in _rows(context, context.log.statements.of_aggregate, parameters)]


def _command(context: Context[Any], command_id: str, most: int) -> list[_Hit]:
    for first in _rows(context, context.log.statements.of_command, {"command": command_id}):
        after = _aggregate(context, first.aggregate_id, first.aggregate_version - 1, most)
        return [hit for hit in after if hit.event.command_id == command_id]
    return []


async def _documents(hits: Sequence[_Hit]) -> tuple[list[_Shown], list[str]]:
    """Read the documents that these events change; and name the views that cannot be read now."""
    newest: dict[UUID, _Hit] = {hit.event.aggregate_id: hit for hit in hits}
    asked = [(model, hit) for hit in list(newest.values())[-DOCUMENTS:] for model in hit.context.read_models.values()][
        :DOCUMENTS
    ]
    answers = await asyncio.gather(*(_document(model, hit) for model, hit in asked), return_exceptions=True)
    documents, unreadable = [], []
    for (model, _), answer in zip(asked, answers, strict=True):
        match answer:
            case BaseException() if not isinstance(answer, Exception):
                raise answer
            case Exception():
                unreadable.append(model.view.name)
            case _Shown():
                documents.append(answer)
            case _:
                pass
    return documents, list(dict.fromkeys(unreadable))


async def _document(model: ReadModel[Any], hit: _Hit) -> _Shown | None:
    """Read the document that an event changes in a view; None if it changes none."""
    changed = await model.view.source.changed(hit.event.sequence - 1, 1)
    if not changed or changed[0].sequence != hit.event.sequence:
        return None
    document_id, partition_key = changed[0].document_id, changed[0].partition_key
    served = await model.served()
    stored = await point_read(served.container, document_id, partition_key)
    return _Shown(model.view.name, hit.event.aggregate_id, document_id, partition_key, stored)


def _told(hit: _Hit, receipts: Sequence[Receipt], documents: Sequence[_Shown]) -> FoundEvent:
    event = hit.event
    own = [each for each in documents if each.aggregate_id == event.aggregate_id]
    return FoundEvent(
        context=hit.context.name,
        sequence=event.sequence,
        event_id=event.event_id,
        aggregate_id=event.aggregate_id,
        version=event.version,
        type=event.type,
        occurred_at=utc_text(event.occurred_at),
        actor=event.actor,
        command_id=event.command_id,
        causation_id=event.causation_id,
        correlation_id=event.correlation_id,
        traceparent=event.traceparent,
        published_at=event.published_at and utc_text(event.published_at),
        received=list(receipts),
        showings=[_showing(each, event.version) for each in own],
    )


def _showing(shown: _Shown, version: int) -> Showing:
    document = shown.document or {}
    times = document.get("projected", ())
    moment = times[version - 1] if version <= len(times) else None
    return Showing(
        view=shown.view,
        document_id=shown.document_id,
        shown=version <= int(document.get("version", 0)),
        at=None if moment is None else utc_text(datetime.fromtimestamp(moment / 1000, UTC)),
    )


def _state(shown: _Shown, hits: Sequence[_Hit]) -> DocumentState:
    return DocumentState(
        view=shown.view,
        document_id=shown.document_id,
        partition_key=shown.partition_key,
        version=None if shown.document is None else int(shown.document.get("version", 0)),
        logged=max(hit.event.version for hit in hits if hit.event.aggregate_id == shown.aggregate_id),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
