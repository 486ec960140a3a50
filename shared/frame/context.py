"""A bounded context as it declares itself: one line for each command, query, read model and subscription.

Whatever else they need is wired here, once for all contexts: engines, write side, outbox, projections, rebuild source.
`shared/frame/http/declared.py` makes Azure Functions of the declaration; tests and the simulation take their wiring
from it as well.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Concatenate, Protocol, get_args
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Accepted, Envelope, Metadata, Recorded
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.platform.callers import Owners
from shared.frame.platform.input import Input, QueryInput
from shared.frame.platform.output import Answer
from shared.frame.platform.settings import Settings
from shared.frame.platform.threads import DELIVERY
from shared.frame.read_side.container import Container
from shared.frame.read_side.cosmos import ReadModels
from shared.frame.read_side.document_update import Change
from shared.frame.read_side.generations import Generations, Served
from shared.frame.read_side.log_source import LogSource
from shared.frame.read_side.partitions import OfAggregates, Partitions
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_your_writes import Wait
from shared.frame.read_side.rebuildable import Derived, View
from shared.frame.read_side.shape import Shapes
from shared.frame.sql.engines import context_engine, query_engine
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.held import AggregatesOf, Held
from shared.frame.write_side.inbox import Inbox
from shared.frame.write_side.lines import Lines
from shared.frame.write_side.outbox import Outbox

type CommandHandler[Command: Input, **Repositories] = Callable[Concatenate[Command, Repositories], Accepted]
"""Decides on the repositories that its parameters name (shared/frame/write_side/handlers.py)."""

type QueryHandler[Query: QueryInput] = Callable[[Served, Query, Wait], Awaitable[Answer | tuple[Answer, str]]]
"""Answers from what serves; with an ETag where the content alone does not tell the version."""

type LookUp[Query: QueryInput] = Callable[[Query, Wait], Awaitable[Answer | tuple[Answer, str]]]
"""Answers from the context's own tables, which are at the newest version."""

type VersionInLog = Callable[[sa.Connection, str, str], int]
"""Tells the version to which a document can come, by its id and partition key; 0 if there is nothing to show in it."""


class Publishes(Protocol):
    """A context's way out, as its write side and the timers know it."""

    def wake(self) -> None:
        """Publish what was committed, soon and on another thread."""

    def sweep(self) -> None:
        """Publish what was left behind."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where the events of a topic can be read once more.

    Attributes:
        log: the log that they are in.
        reader: reads it.
    """

    log: EventLog[Any]
    reader: sa.Engine

    async def opened[Event](self, envelope: Envelope, codec: EventCodec[Event]) -> Recorded[Event]:
        """Read the event of a message: what it says of a person from the log, for messages do not say it (ADR 34).

        Old messages do, and nobody listens: a dead letter that is replayed years later brings nothing back.

        Raises:
            UnknownEventType, UnfitPayload: the message is no event, as `codec` reads them.
            NotInLog: the log has no such event.
        """
        recorded = codec.open(envelope)
        if not codec.says_something_personal(envelope.type):
            return recorded
        logged = await DELIVERY.run(self._logged, envelope)
        if logged is None or logged.event_id != envelope.event_id:
            raise NotInLog(f"version {envelope.version} of {envelope.aggregate_id} is not in the log it came from")
        return codec.open(logged)

    def _logged(self, envelope: Envelope) -> Envelope | None:
        place = envelope.aggregate_id, envelope.version
        return read_from(self.reader, lambda connection: self.log.envelope(connection, *place))


class NotInLog(Exception):
    """A message is of an event that its context's log does not have: the database was restored to before it, say."""


class App:
    """What contexts are wired to. Tests and the simulation replace parts of it."""

    lines: Lines | None = None
    """Where commands on one aggregate stand in line; None: each context makes lines of its own."""

    owners: Owners | None = None
    """Callers who act for themselves; None: there are none."""

    def __init__(self, settings: Settings, read_models: ReadModels, owners: Owners | None = None) -> None:
        self.owners = owners
        self.settings = settings
        self.read_models = read_models

    @cached_property
    def published(self) -> dict[str, Published]:
        """Where the events of each topic can be read, by its name."""
        return {}

    @cached_property
    def held(self) -> list[Held]:
        """What contexts hold of owners, in the order in which they declared it."""
        return []

    def engine(self, schema: str) -> sa.Engine:
        """Give the engine that a context's commands use."""
        return context_engine(self.settings, schema)

    def reader(self, schema: str) -> sa.Engine:
        """Give the engine that a context's projections and queries use; it cannot write."""
        return query_engine(self.settings, schema)

    def generations(self, view: str, container: str) -> Generations:
        """Give the generations of a read model."""
        return Generations(self.read_models, view, container)

    def outbox(self, engine: sa.Engine, log: EventLog[Any], schema: str, topic: str) -> Publishes:
        """Give a context's way out."""
        return Outbox(self.settings, engine, log, schema, topic)


@dataclass(frozen=True, slots=True)
class Created:
    """What a command answers that makes something new.

    Attributes:
        model: has one field, which gets the new aggregate's id.
        location: where that is read: a path without the prefix, with fields of the command and the answer in braces.
        id_of: tells the new thing's id where it is a part of the aggregate.
    """

    model: type[Answer]
    location: str
    id_of: Callable[[Any, Metadata], UUID] | None = None

    def answer(self, aggregate_id: UUID, command: Input, metadata: Metadata) -> Answer:
        """Name what is new."""
        [name] = self.model.model_fields
        id_ = aggregate_id if self.id_of is None else self.id_of(command, metadata)
        return self.model.model_validate({name: id_})


@dataclass(frozen=True, slots=True)
class CommandRoute:
    """A declared command.

    Attributes:
        name: the function's name in Azure, unique in the app.
        method: the HTTP method.
        path: the route's template, without the prefix.
        handler: decides; its first parameter is the command's input.
        input: the model of that parameter.
        role: what a caller needs.
        own: whether owners may do it too, with what is theirs.
        created: what it answers when it makes something new.
    """

    name: str
    method: str
    path: str
    handler: Callable[..., Accepted]
    input: type[Input]
    role: str | None
    own: bool
    created: Created | None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Another system that listens to a context's events, each aggregate's in a session of its own.

    Attributes:
        name: of its subscription.
        events: the types that its subscription lets in.
    """

    name: str
    events: Sequence[str]


@dataclass(frozen=True, slots=True)
class QueryRoute:
    """A declared query; what is not named here is as in CommandRoute.

    Attributes:
        of: the read model that it reads; None where it looks into the context's own tables.
        answer: the model of what its handler answers.
    """

    name: str
    path: str
    handler: QueryHandler[Any] | LookUp[Any]
    input: type[QueryInput]
    answer: type[Answer]
    of: "ReadModel[Any] | None"
    role: str | None
    own: bool


class ReadModel[Event]:
    """A read model: as operators know it, what keeps it up to date, and how far its log is."""

    def __init__(
        self, view: View, projection: Projection[Event], reader: sa.Engine, version_in_log: VersionInLog
    ) -> None:
        self.view = view
        self.projection = projection
        self.reader = reader
        self._version_in_log = version_in_log

    async def served(self) -> Served:
        """Give what queries read now."""
        return await self.view.generations.served()

    async def written(self) -> Sequence[Container]:
        """Give the containers that are kept up to date."""
        return await self.view.generations.written()

    def logged(self, document_id: str, partition_key: str) -> int:
        """Tell, on a thread, the version to which a document can come."""
        return read_from(self.reader, lambda connection: self._version_in_log(connection, document_id, partition_key))


@dataclass
class Context[Event]:
    """One bounded context.

    Attributes:
        app: what it is wired to.
        name: its name, which is also that of its schema in SQL and of its tag in the API's description.
        log: its event log.
        topic: where its events are published.
        every_table: looks into each of its tables.
        inbox: notes the events of other contexts that it has consumed; None where it follows none.
    """

    app: App
    name: str
    log: EventLog[Event]
    topic: str
    every_table: sa.Select[Any]
    inbox: Inbox | None = None
    commands: list[CommandRoute] = field(default_factory=list)
    queries: list[QueryRoute] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    read_models: dict[str, ReadModel[Event]] = field(default_factory=dict)
    subscribers: list[Subscriber] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine, self.reader = self.app.engine(self.name), self.app.reader(self.name)
        self.outbox = self.app.outbox(self.engine, self.log, self.name, self.topic)
        self.writes = WriteSide(self.engine, self.log, self.outbox.wake, self.app.lines)
        self.app.published[self.topic] = self.published = Published(self.log, self.reader)

    def look_into_tables(self) -> None:
        """Look into each table.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: one is not there, or damaged, or the database does not answer.
        """
        read_from(self.engine, lambda connection: connection.execute(self.every_table).one())

    def command[Command: Input, **Repositories](
        self,
        name: str,
        route: str,
        handler: CommandHandler[Command, Repositories],
        *,
        role: str | None,
        own: bool = False,
        created: Created | None = None,
    ) -> None:
        """Declare a command.

        Args:
            name: the function's name in Azure.
            route: method and path, such as `POST things/{thingId}/rename`.
            handler: decides. Its input's fields that the path names come from there, all others from the body. Its
                other parameters are repositories.
            role: what a caller needs; OPEN lets everybody in.
            own: let owners do it too. The repository then keeps to Metadata.owner_id.
            created: what it answers when it makes something new.
        """
        method, _, path = route.partition(" ")
        model = _model(handler, 0)
        self.commands.append(CommandRoute(name, method, path, handler, model, role, own, created))

    def read_model(
        self,
        name: str,
        *,
        container: str,
        subscription: str,
        trigger: str,
        project: Callable[[Recorded[Event]], Change],
        reconsider: Callable[[Container, Recorded[Event]], Awaitable[Change]] | None = None,
        derived: Derived | None = None,
        documents: Shapes | Partitions[Event],
        version_in_log: VersionInLog | None = None,
    ) -> ReadModel[Event]:
        """Declare a read model of this context's events.

        Args:
            name: as operators know it.
            container: its first container; the other generation's name ends in -2.
            subscription: of the context's topic, whose events it takes in.
            trigger: that function's name in Azure.
            project: what an event does, as far as it can be told from the event alone.
            reconsider: what it does in the light of the documents that are there.
            derived: what other partitions show of one.
            documents: the shapes of its documents, where each follows from one aggregate, as `project` makes it; or how
                its partitions are folded from the log.
            version_in_log: see VersionInLog; without it a document's id is its aggregate's.
        """
        generations = self.app.generations(name, container)
        projection = Projection(
            generations.written, self.reader, self.log, project, reconsider, derived.write if derived else None
        )

        async def consume(envelope: Envelope) -> None:
            if envelope.type not in self.log.unshown:
                await projection.project(await self.published.opened(envelope, self.log.codec))

        self.consumers.append(Consumer(trigger, self.topic, subscription, consume))
        partitions = OfAggregates(self.log, project, documents) if isinstance(documents, Shapes) else documents
        view = View(generations, LogSource(self.reader, projection, partitions, project, derived))
        model = ReadModel(view, projection, self.reader, version_in_log or self._version_of_aggregate)
        self.read_models[name] = model
        return model

    def query[Query: QueryInput](
        self,
        name: str,
        path: str,
        handler: QueryHandler[Query],
        *,
        of: ReadModel[Event],
        role: str | None,
        own: bool = False,
    ) -> None:
        """Declare a query.

        Args:
            name: the function's name in Azure.
            path: the route's template; its method is GET, and HEAD with it.
            handler: answers. Its input's fields that the path names come from there, all others from the query string.
            of: what it reads.
            role: what a caller needs; OPEN lets everybody in.
            own: let owners ask too: where the input names one (OwnerId), for their own.
        """
        self.queries.append(QueryRoute(name, path, handler, _model(handler, 1), _answer(handler), of, role, own))

    def look_up[Query: QueryInput](
        self, name: str, path: str, handler: LookUp[Query], *, role: str | None, own: bool = False
    ) -> None:
        """Declare a query that no read model answers; arguments as of `query`."""
        self.queries.append(QueryRoute(name, path, handler, _model(handler, 0), _answer(handler), None, role, own))

    def follows[Foreign, **Repositories](
        self,
        trigger: str,
        topic: str,
        subscription: str,
        codec: EventCodec[Foreign],
        handler: Callable[Concatenate[Recorded[Foreign], Repositories], None],
        then: Callable[[Recorded[Foreign]], Awaitable[None]] | None = None,
        *,
        only: Collection[type[Foreign]] | None = None,
    ) -> None:
        """Declare that another context's events change this one.

        Args:
            trigger: the function's name in Azure.
            topic: where the events are published.
            subscription: this context's.
            codec: reads them.
            handler: changes SQL, once for each event: in the transaction that notes it in the inbox. Its other
                parameters are the unit of work or repositories; what these save leaves events of this context.
            then: changes read models afterwards; it is safe to repeat.
            only: the kinds of events that matter; the others are passed over unnoted. None: all.
        """
        inbox = self.inbox
        if inbox is None:
            raise ValueError(f"{self.name} has no inbox to note the events of {topic} in")

        names = {kind.__name__ for kind in only or ()}

        async def consume(envelope: Envelope) -> None:
            if only is not None and envelope.type not in names:
                return
            recorded = await self.app.published[topic].opened(envelope, codec)
            await DELIVERY.run(self.writes.follow, inbox, handler, recorded)
            if then is not None:
                await then(recorded)

        self.consumers.append(Consumer(trigger, topic, subscription, consume))

    def holds(self, aggregates: AggregatesOf) -> None:
        """Declare which aggregates are an owner's: all that their events say is what is held of them."""
        self.app.held.append(Held(self.name, self.log, self.reader, aggregates))

    def subscriber(self, name: str, *events: type[Event]) -> None:
        """Declare that another system listens to these events, and that its contract is kept.

        Its subscription is in infra/local/servicebus.json.
        """
        self.subscribers.append(Subscriber(name, [event.__name__ for event in events]))

    def _version_of_aggregate(self, connection: sa.Connection, document_id: str, _partition_key: str) -> int:
        return self.log.version(connection, UUID(document_id))


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function, eval_str=True)


def _model(handler: Callable[..., Any], position: int) -> Any:
    """Give the class of a handler's parameter."""
    if inspect.ismethod(handler):
        return _model(handler.__func__, position + 1)
    return list(_signature(handler).parameters.values())[position].annotation


def _answer(handler: Callable[..., Any]) -> Any:
    """Give the class of what a query's handler answers: without its ETag, if it gives one."""
    if inspect.ismethod(handler):
        return _answer(handler.__func__)
    answer = _signature(handler).return_annotation
    return get_args(answer)[0] if get_args(answer) else answer
