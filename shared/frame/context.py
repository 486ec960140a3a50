"""A bounded context as it declares itself: one line for each command, query, read model and subscription.

Whatever else they need is wired here, once for all contexts: engines, write side, outbox, projections, rebuild source.
`shared/frame/http/declared.py` makes Azure Functions of the declaration; tests and the simulation take their wiring
from it as well.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate
from uuid import UUID

import sqlalchemy as sa

from shared.frame.app import App
from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.envelope import Envelope, Recorded
from shared.frame.messaging.event_types import ALL_EVENT_TYPES, EventTypes
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.platform.callers import OPS
from shared.frame.platform.input import Input, QueryInput
from shared.frame.platform.jobs import Job, Tick, Work
from shared.frame.platform.registry import add_once
from shared.frame.platform.telemetry import Metric, record_metrics
from shared.frame.platform.threads import DELIVERY, REBUILDING
from shared.frame.read_side.comparing import Derived
from shared.frame.read_side.container import Container
from shared.frame.read_side.document_update import DocumentUpdate
from shared.frame.read_side.log_source import LogSource
from shared.frame.read_side.partitions import OfAggregates, Partitions
from shared.frame.read_side.projection import Projection
from shared.frame.read_side.read_model import NOWHERE, ReadModel, VersionInLog, View, WhereRead
from shared.frame.read_side.shape import Shapes
from shared.frame.read_side.version_in_log import VersionOfAggregate
from shared.frame.routes import (
    CommandHandler,
    CommandRoute,
    Created,
    QueryHandler,
    QueryRoute,
    Subscriber,
    TableQuery,
    Webhook,
)
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.handlers import answer_of, input_of
from shared.frame.write_side.inbox import Inbox
from shared.frame.write_side.owner_data import AggregatesOf, OwnerData, StreamsOf
from shared.frame.write_side.topic_log import TopicLog

type TakeIn[Event] = Callable[[Recorded[Event]], Awaitable[None]]
"""Shows an event in a read model."""


@dataclass
class Context[Event]:
    """One bounded context.

    Attributes:
        app: what it is wired to.
        name: its name, which is also that of its schema in SQL and of its tag in the API's description.
        log: its event log.
        topic: where its events are published.
        every_table: looks into each of its tables.
        inbox: records which events of other contexts it has consumed; None if it follows no context.
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
    operated: list[CommandRoute] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine, self.reader = self.app.engine(self.name), self.app.reader(self.name)
        self._projected_by: dict[str, list[tuple[EventTypes, TakeIn[Event]]]] = {}
        self._followers: dict[str, dict[str, EventTypes]] = {}
        self.outbox = self.app.outbox(self.engine, self.log, self.name, self.topic)
        self.writes = WriteSide(self.engine, self.log, self.outbox.wake, self.app.queues)
        self.app.published[self.topic] = self.published = TopicLog(self.log, self.reader)
        self.job(f"the relay of {self.topic}", self.outbox.sweep, every=Tick.RELAY)

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
            own: let owners use it too. The repository then reaches only what belongs to Metadata.owner_id.
            created: the answer of a command that makes something new.
        """
        method, _, path = route.partition(" ")
        model = input_of(handler)
        self.commands.append(CommandRoute(name, method, path, handler, model, role, own, created))

    def operation[Command: Input, **Repositories](
        self, name: str, route: str, handler: CommandHandler[Command, Repositories]
    ) -> None:
        """Declare a command for operators. The audit trail records each use; the command must be safe to repeat.

        Arguments as of `command`.
        """
        method, _, path = route.partition(" ")
        self.operated.append(CommandRoute(name, method, path, handler, input_of(handler), OPS, own=False, created=None))

    def job(self, name: str, work: Work, *, every: Tick) -> None:
        """Declare work that a timer does; any number of processes may do it at the same time.

        Args:
            name: is unique in the app; the alarm silent-timer knows the job by it.
            work: does it; a function on a thread, a coroutine function on the event loop. It may stop anywhere, and the
                next tick continues there.
            every: how often. `RELAY` is for what somebody waits for, and takes a few seconds at most.
        """
        self.jobs.append(Job(name, work, every))

    def metrics(self, read: Callable[[sa.Connection], Mapping[Metric, float]]) -> None:
        """Declare the metrics that are read from the context's tables, all at once, by a job."""

        async def tell() -> None:
            record_metrics(self.name, await REBUILDING.run(read_from, self.reader, read))

        self.job(f"{self.name} figures", tell, every=Tick.WATCH)

    def read_model(
        self,
        name: str,
        *,
        container: str,
        subscription: str,
        trigger: str,
        project: Callable[[Recorded[Event]], DocumentUpdate],
        reconsider: Callable[[Container, Recorded[Event]], Awaitable[DocumentUpdate]] | None = None,
        derived: Derived | None = None,
        documents: Shapes | Partitions[Event],
        shared_in_log: Mapping[str, VersionInLog] = {},
        event_types: EventTypes = ALL_EVENT_TYPES,
        erasing: type[Event] | None = None,
        read_at: WhereRead = lambda _document_id, _partition_key: NOWHERE,
    ) -> ReadModel[Event]:
        """Declare a read model of this context's events.

        Args:
            name: as operators know it.
            container: its first container; the other generation's name ends in -2.
            subscription: of the context's topic, whose events it takes in; read models may share it.
            trigger: that function's name in Azure.
            project: makes the document update of an event, from the event alone.
            reconsider: makes it from the event and the stored documents, where the first update did not fit them.
            derived: documents in other partitions that are made of a partition's documents.
            documents: the shapes of its documents, where each follows from one aggregate, as `project` makes it; or how
                its partitions are folded from the log.
            shared_in_log: the versions in the log of documents that several aggregates share, by the documents' ids;
                any other document's id is its aggregate's.
            event_types: the events that it shows: an aggregate's events are either all of these types or none.
            erasing: the event that erases personal data; it also deletes the partition in a generation that was given
                up, which no event reaches.
            read_at: see WhereRead.
        """
        generations = self.app.generations(name, container)
        projection = Projection(
            generations.containers_to_write,
            self.reader,
            self.log,
            project,
            reconsider,
            derived.write if derived else None,
            generations.tolerate_missing,
        )

        async def take_in(recorded: Recorded[Event]) -> None:
            await projection.project(recorded)
            if erasing is not None and isinstance(recorded.event, erasing):
                await generations.delete_from_unused(project(recorded).partition_key)

        self._let_project(trigger, subscription, event_types, take_in)
        partitions = (
            OfAggregates(self.log, project, documents, event_types=event_types)
            if isinstance(documents, Shapes)
            else documents
        )
        view = View(generations, LogSource(self.reader, projection, partitions, project, derived, event_types))
        of_aggregate = VersionOfAggregate(self.log, event_types.with_earlier_versions(self.log.codec), project, derived)

        def version_in_log(connection: sa.Connection, document_id: str, partition_key: str) -> int:
            return shared_in_log.get(document_id, of_aggregate)(connection, document_id, partition_key)

        model = ReadModel(view, projection, self.reader, version_in_log, read_at)
        add_once(self.read_models, name, model)
        return model

    def _let_project(self, trigger: str, subscription: str, event_types: EventTypes, take_in: TakeIn[Event]) -> None:
        """Add a read model to those that a subscription's events reach, if it shows their types."""
        sharing = self._projected_by.setdefault(trigger, [])
        sharing.append((event_types.with_earlier_versions(self.log.codec), take_in))
        if len(sharing) > 1:
            return

        async def consume(envelope: Envelope) -> None:
            recorded = self.log.codec.open(envelope)
            for shown, each in sharing:
                if envelope.type in shown:
                    await each(await self.published.whole(recorded, self.log.codec))

        def takes(type_: str) -> bool:
            return any(type_ in shown for shown, _ in sharing)

        self.consumers.append(Consumer(trigger, self.topic, subscription, consume, takes))

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
            own: let owners ask too, for their own things; a field of the input names the owner (OwnerId).
        """
        self.queries.append(QueryRoute(name, path, handler, input_of(handler, 1), answer_of(handler), of, role, own))

    def table_query[Query: QueryInput](
        self,
        name: str,
        path: str,
        handler: TableQuery[Query],
        *,
        role: str | None,
        own: bool = False,
        can_miss: bool = False,
    ) -> None:
        """Declare a query that no read model answers; arguments as of `query`, and of QueryRoute."""
        route = QueryRoute(name, path, handler, input_of(handler), answer_of(handler), None, role, own, can_miss)
        self.queries.append(route)

    def follows[Foreign, **Repositories](
        self,
        trigger: str,
        topic: str,
        subscription: str,
        codec: EventCodec[Foreign],
        handler: Callable[Concatenate[Recorded[Foreign], Repositories], None],
        then: Callable[[Recorded[Foreign]], Awaitable[None]] | None = None,
        *,
        event_types: EventTypes = ALL_EVENT_TYPES,
    ) -> None:
        """Declare that the events of a topic change this context: another context's, or its own.

        Args:
            trigger: the function's name in Azure.
            topic: where the events are published.
            subscription: this context's.
            codec: reads them.
            handler: changes SQL, once for each event, in the transaction that records the event in the inbox. Its other
            parameters are the unit of work or repositories; saving an aggregate adds events to this context's log.
            then: changes read models afterwards; it is safe to repeat.
            event_types: the events that the handler takes, in whatever version; all others are ignored.

        Raises:
            ValueError: the context has no inbox, or another of its followers takes one of these events.
        """
        inbox = self.inbox
        if inbox is None:
            raise ValueError(f"{self.name} has no inbox to note the events of {topic} in: docs/extending.md says how")

        taken = event_types.with_earlier_versions(codec)
        followers = self._followers.setdefault(topic, {})
        for other, theirs in followers.items():
            if both := ", ".join(sorted(name for name in codec.names if name in taken and name in theirs)):
                raise ValueError(f"{trigger} and {other} take {both} of {topic}: one of them would find it consumed")
        followers[trigger] = taken

        async def consume(envelope: Envelope) -> None:
            recorded = codec.open(envelope)
            if envelope.type not in taken:
                return
            recorded = await self.app.published[topic].whole(recorded, codec)
            await DELIVERY.run(self.writes.follow, inbox, handler, recorded)
            if then is not None:
                await then(recorded)

        self.consumers.append(Consumer(trigger, topic, subscription, consume, taken.__contains__))

    def external_action(
        self, trigger: str, subscription: str, act: Callable[[Recorded[Event]], Awaitable[None]]
    ) -> None:
        """Declare an action outside the context that follows its own events, such as a call of another system.

        Args:
            trigger: the function's name in Azure.
            subscription: of the context's topic.
            act: does it; it is safe to repeat. When it raises Unavailable, the delivery waits and tries again.
        """

        async def consume(envelope: Envelope) -> None:
            codec = self.log.codec
            await act(await self.published.whole(codec.open(envelope), codec))

        self.consumers.append(Consumer(trigger, self.topic, subscription, consume))

    def webhook(
        self, name: str, path: str, signature_header: str, receive: Callable[[bytes, str | None], None]
    ) -> None:
        """Declare a webhook: another system reports that something happened, and the context then asks that system.

        Args:
            name: the function's name in Azure.
            path: the route, which takes POST, and is open to everybody.
            signature_header: the header with its signature, which is its credential.
            receive: takes the body and that header, on a thread; raises NotSigned if the signature is wrong.
        """
        self.webhooks.append(Webhook(name, path, signature_header, receive))

    def owner_data(
        self,
        aggregates: AggregatesOf,
        busy: Callable[[sa.Connection, UUID], bool] | None = None,
        streams: StreamsOf = lambda aggregate_id: [aggregate_id],
    ) -> None:
        """Declare which aggregates belong to an owner: an export of the owner's data has all their events.

        Args:
            aggregates: finds them.
            busy: tells whether work for the owner is under way that still needs the data.
            streams: finds an aggregate's streams in the log, if it has more than its own.
        """
        self.app.owner_data.append(OwnerData(self.name, self.log, self.reader, aggregates, streams, busy))

    def external_subscriber(self, name: str, *events: type[Event]) -> None:
        """Declare that another system subscribes to these events, so that they stay compatible.

        Its subscription is in infra/local/servicebus.json.
        """
        self.subscribers.append(Subscriber(name, [event.__name__ for event in events]))
