"""Finds events by any id that an operator has, and tells whether each was published, received and shown.

The answer has no payloads: they may hold personal data, and the role Ops gives no right to see that.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from shared.frame.context import Context
from shared.frame.messaging.retries import tell
from shared.frame.platform.callers import Requester
from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, QueryInput, Text
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.read_model import ReadAt, ReadModel
from shared.frame.read_side.read_your_writes import Document, point_read
from shared.frame.sql.reading import read_from
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.log_search import Found, found
from shared.frame.write_side.unit_of_work import LONGEST_TIMEOUT

logger = logging.getLogger(__name__)

CONCURRENCY, MAX_WAITING = 1, 16
"""Searches that one process carries out at the same time, and the most that may run or wait: some read many rows. They
use the commands' connections, because the queries' identity may not read every log."""

FARTHEST = 100_000
"""Rows of each log that a search without an index reads at most; the statement's time-out bounds it too."""

DOCUMENTS = 20
"""Documents that are looked for at most: each costs a point read and a look at the log."""


Kind = Literal["aggregate", "command", "other", "nothing"]
"""The kind of thing that an id belongs to."""


class FindEvents(QueryInput, json_schema_extra=example(of="4bf92f3577b34da6a3ce929d0e0e4736")):
    """Events by the id of an aggregate, a message, a conversation (correlation), a command, or its idempotency key.

    An aggregate and an idempotency key are found by an index. Everything else is searched for in the newest events of
    each context, as many as `reach` says.
    """

    of: Annotated[Text, StringConstraints(min_length=1, max_length=255)]
    after: Annotated[int, Field(ge=0, lt=2**53), Digits] = Field(
        default=0, description="of an aggregate: versions up to this one are left out"
    )
    take: Annotated[int, Field(ge=1, le=200), Digits] = 100
    reach: Annotated[int, Field(ge=1, le=FARTHEST), Digits] = 10_000


class Receipt(Answer):
    """When a context that follows an event took it in."""

    context: str
    at: Time


class Showing(Answer):
    """Whether a read model shows an event, and since when."""

    view: str
    document_id: str
    shown: bool
    at: Time | None = Field(
        description="when the document came to this version; of one that a rebuild made: when the rebuild made it. "
        "null: it is not shown, or the document does not say"
    )


class FoundEvent(Answer):
    """An event without its payload, and what became of it."""

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
    showings: list[Showing] = Field(description="empty: no read model shows it, or none that was asked or could be")
    said_at: str | None = Field(description="path of what it says, as the one of `events`; null: no operation tells it")


class DocumentState(Answer):
    """The version that a document is at."""

    view: str
    document_id: str
    partition_key: str
    version: int | None = Field(description="that it shows; null: it is not there")
    logged: int = Field(description="the newest version of its aggregate among these events")
    read_at: str | None = Field(description="path of what it shows; null: no operation shows it by this id")
    read_as_of: str | None = Field(description="path of what it showed at {version}")
    process_at: str | None = Field(description="path of the process of what it shows; null: it goes through none")


class FoundEvents(Answer):
    """The events that were found, oldest first, and what became of them."""

    kind: Kind
    events: list[FoundEvent]
    next: int | None = Field(description="of an aggregate: give it as `after` to go on; null: there are no more")
    more: bool = Field(
        description="more were found than `take`; left out are an aggregate's or a command's last, and else the oldest"
    )
    looked_through: int = Field(description="sequences of each log that were looked through; 0: an index found it")
    unreadable: list[str] = Field(description="read models that could not be asked")
    documents: list[DocumentState]
    aggregates_left_out: int = Field(
        description=f"among these events, whose documents were not all looked for: at most {DOCUMENTS} are, of those "
        "that come last"
    )


@dataclass(frozen=True, slots=True)
class _Hit:
    context: Context[Any]
    event: Found

    @property
    def aggregate(self) -> tuple[str, UUID]:
        """Its context and id: aggregates of several contexts may have one id."""
        return self.context.name, self.event.aggregate_id


@dataclass(frozen=True, slots=True)
class _Shown:
    """The document that an aggregate's events change in a view, as it is stored."""

    view: str
    aggregate: tuple[str, UUID]
    document_id: str
    partition_key: str
    document: Document | None
    at: ReadAt


class EventSearch:
    """Finds events in the logs of all contexts, and asks what became of them."""

    def __init__(self, contexts: Sequence[Context[Any]]) -> None:
        """Prepare; nothing connects yet."""
        self._contexts = contexts
        self._limit = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="searches of the log")

    async def find(self, query: FindEvents, caller: Requester) -> FoundEvents:
        """Find events when it is the caller's turn.

        Raises:
            Unavailable: too many search at the moment.
        """
        kind, hits, more, receipts = await self._limit.take_for(caller, lambda: self._search(query))
        documents, unreadable, left_out = await _documents(hits)
        return FoundEvents(
            kind=kind,
            events=[_told(hit, receipts.get(hit.event.event_id, ()), documents) for hit in hits],
            next=max(hit.event.version for hit in hits) if more and kind == "aggregate" else None,
            more=more,
            looked_through=0 if kind in {"aggregate", "command"} else query.reach,
            unreadable=unreadable,
            documents=[_state(each, hits) for each in documents],
            aggregates_left_out=left_out,
        )

    def _search(self, query: FindEvents) -> tuple[Kind, list[_Hit], bool, dict[UUID, list[Receipt]]]:
        kind, found = self._hits(query, query.take + 1)
        match kind:
            case "aggregate":
                hits = _first_versions(found, query.take)
            case "other":
                hits = found[-query.take :]
            case _:
                hits = found[: query.take]
        return kind, hits, len(hits) < len(found), self._receipts(hits)

    def _hits(self, query: FindEvents, most: int) -> tuple[Kind, list[_Hit]]:
        """Find events, oldest first; of each context as many as `most`."""
        id_ = _uuid(query.of)
        if id_ is not None:
            parameters = {"id": id_, "after": query.after, "most": most}
            if hits := self._merged(lambda log: log.search.of_aggregate, parameters):
                return "aggregate", hits
        if hits := self._merged(lambda log: log.search.of_command, {"command": query.of, "most": most}):
            return "command", hits
        wanted = {
            "id": id_ or UUID(int=0),
            "text": query.of,
            "canonical": query.of if id_ is None else str(id_),
            "reach": query.reach,
            "most": most,
        }
        newest = [hit for context in self._contexts for hit in _hits(context, context.log.search.among_newest, wanted)]
        newest.sort(key=lambda hit: (hit.event.occurred_at, hit.event.sequence))
        return ("other" if newest else "nothing"), newest

    def _merged(self, search: Callable[[EventLog[Any]], sa.Select[Any]], parameters: dict[str, Any]) -> list[_Hit]:
        """Find events in every context, as an id or a key may be used in several; each log's stay in their order."""
        found = (_hits(context, search(context.log), parameters) for context in self._contexts)
        return list(merge(*found, key=lambda hit: hit.event.occurred_at))

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


def _hits(context: Context[Any], statement: sa.Select[Any], parameters: dict[str, Any]) -> list[_Hit]:
    return [_Hit(context, found(row)) for row in _rows(context, statement, parameters)]


def _first_versions(hits: Sequence[_Hit], take: int) -> list[_Hit]:
    """Give about the first `take` of aggregates of one id, with all that have the last version: `next` leads on there.

    They are fewer if contexts have events of the same version there, and more if there are several of the very first.
    """
    if len(hits) <= take:
        return list(hits)
    versions = sorted(hit.event.version for hit in hits)
    last = max(versions[0], versions[take] - 1)
    return [hit for hit in hits if hit.event.version <= last]


async def _documents(hits: Sequence[_Hit]) -> tuple[list[_Shown], list[str], int]:
    """Read the documents that these events change, as many as may be.

    Gives:
        The documents, the names of the views that cannot be read now, and the number of aggregates of which not all
        documents were looked for.
    """
    newest = {hit.aggregate: hit for hit in hits}
    wanted = [(model, hit) for hit in newest.values() for model in hit.context.read_models.values()]
    asked, rest = wanted[-DOCUMENTS:], wanted[:-DOCUMENTS]
    answers = await asyncio.gather(*(_document(model, hit) for model, hit in asked), return_exceptions=True)
    documents, unreadable = [], []
    for (model, _), answer in zip(asked, answers, strict=True):
        match answer:
            case BaseException() if not isinstance(answer, Exception):
                raise answer
            case Exception():
                tell(logger, answer, f"{model.view.name} cannot be asked for a document")
                unreadable.append(model.view.name)
            case _Shown():
                documents.append(answer)
            case _:
                pass
    return documents, list(dict.fromkeys(unreadable)), len({hit.aggregate for _, hit in rest})


async def _document(model: ReadModel[Any], hit: _Hit) -> _Shown | None:
    """Read the document that an event changes in a view; None if it changes none."""
    changed = await model.view.source.changed(hit.event.sequence - 1, hit.event.sequence, 1)
    if not changed:
        return None
    document_id, partition_key = changed[0].document_id, changed[0].partition_key
    served = await model.served()
    stored = await point_read(served.container, document_id, partition_key)
    read_at = model.read_at(document_id, partition_key)
    return _Shown(model.view.name, hit.aggregate, document_id, partition_key, stored, read_at)


def _told(hit: _Hit, receipts: Sequence[Receipt], documents: Sequence[_Shown]) -> FoundEvent:
    event = hit.event
    own = [each for each in documents if each.aggregate == hit.aggregate]
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
        said_at=next(filter(None, (_said_at(each, event) for each in own)), None),
    )


def _said_at(shown: _Shown, event: Found) -> str | None:
    if shown.at.event is None or shown.document_id != str(event.aggregate_id):
        return None
    return shown.at.event.format(before=event.version - 1)


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
        logged=max(hit.event.version for hit in hits if hit.aggregate == shown.aggregate),
        read_at=shown.at.now,
        read_as_of=shown.at.then,
        process_at=shown.at.process,
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
