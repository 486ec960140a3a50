"""The databases, containers and topics that contexts are wired to, as the settings name them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from shared.frame.platform.callers import Owners
from shared.frame.platform.settings import Settings
from shared.frame.platform.shares import Shares
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Generations
from shared.frame.sql.engines import context_engine, query_engine
from shared.frame.write_side.aggregate_queues import AggregateQueues
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.outbox import Outbox

if TYPE_CHECKING:
    from shared.frame.write_side.owner_data import OwnerData
    from shared.frame.write_side.topic_log import TopicLog


READ_AT_ONCE = 16
"""Queries of one owner that one process answers at a time, in all contexts together. Most of them wait for a store: one
owner who reads in a loop could fill the host, and spend the request units that everybody reads with."""


class Publishes(Protocol):
    """A context's publisher, as its write side and the timers know it."""

    def wake(self) -> None:
        """Publish committed events soon, on another thread."""

    def sweep(self) -> None:
        """Publish events that earlier runs have left unpublished."""


class App:
    """What contexts are wired to. Tests and the simulation replace parts of it.

    Attributes:
        settings: where the stores and the topics are.
        cosmos: the database of read models.
        owners: callers who act for themselves; None if the app has none.
        reads: the owners' shares in queries.
        queues: the queues of commands on one aggregate; None: each context makes its own.
        published: the log in which a topic's events can be read, by the topic's name.
        owner_data: the owners' data in each context, in the order of the declarations.
    """

    def __init__(
        self,
        settings: Settings,
        cosmos: CosmosDatabase,
        owners: Owners | None = None,
        queues: AggregateQueues | None = None,
    ) -> None:
        self.settings = settings
        self.cosmos = cosmos
        self.owners = owners
        self.reads = Shares(READ_AT_ONCE, "queries")
        self.queues = queues
        self.published: dict[str, TopicLog] = {}
        self.owner_data: list[OwnerData] = []

    def engine(self, schema: str) -> sa.Engine:
        """Give the engine that a context's commands use."""
        return context_engine(self.settings, schema)

    def reader(self, schema: str) -> sa.Engine:
        """Give the engine that a context's projections and queries use; it cannot write."""
        return query_engine(self.settings, schema)

    def number_setting(self, name: str, otherwise: float, *, zero: bool = False) -> float:
        """Read a setting of a context's own, as Settings.number does."""
        return self.settings.number(name, otherwise, zero=zero)

    def generations(self, view: str, container: str) -> Generations:
        """Give the generations of a read model."""
        return Generations(self.cosmos, view, container)

    def outbox(self, engine: sa.Engine, log: EventLog[Any], schema: str, topic: str) -> Publishes:
        """Give a context's outbox, which publishes its events."""
        return Outbox(self.settings, engine, log, schema, topic)

    def service[Adapter](self, make: Callable[[Mapping[str, str]], Adapter]) -> Adapter:
        """Make the adapter of another system from the settings that the adapter names."""
        return make(self.settings.every)
