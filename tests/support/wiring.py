"""The contexts as they declare themselves, wired to what a test has in place of Azure's services."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, override

import sqlalchemy as sa

from shared.contexts import CONTEXTS
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Generations
from shared.frame.write_side.aggregate_queues import AggregateQueues
from shared.frame.write_side.event_log import EventLog

NOWHERE = Settings(sql="", cosmos="", service_bus="")
"""Nothing reads it: each part of an App that would is replaced."""

type Contexts = Mapping[str, Context[Any]]


class Woken:
    """A way out that publishes nothing, and tells of each commit."""

    def __init__(self, committed: Callable[[], None]) -> None:
        self._committed = committed

    def wake(self) -> None:
        """Tell that something was committed."""
        self._committed()

    def sweep(self) -> None:
        """Publish nothing."""


class Wiring(App):
    """Engines, generations and ways out of a test's own."""

    def __init__(
        self,
        engines: Mapping[str, sa.Engine],
        generations: Callable[[str, str], Generations],
        committed: Callable[[str], Callable[[], None]],
        queues: AggregateQueues | None = None,
        environment: Mapping[str, str] = {},
    ) -> None:
        """Prepare.

        Args:
            engines: by schema; the side that reads has the same.
            generations: by the name of the read model and its container.
            committed: gives what a context's write side calls after each commit, by its schema.
            queues: where commands on one aggregate stand in line.
            environment: the settings of what speaks to systems of others.
        """
        super().__init__(replace(NOWHERE, every=environment), CosmosDatabase(NOWHERE), queues=queues)
        self._engines = engines
        self._generations = generations
        self._committed = committed

    @override
    def engine(self, schema: str) -> sa.Engine:
        return self._engines[schema]

    @override
    def reader(self, schema: str) -> sa.Engine:
        return self._engines[schema]

    @override
    def generations(self, view: str, container: str) -> Generations:
        return self._generations(view, container)

    @override
    def outbox(self, engine: sa.Engine, log: EventLog[Any], schema: str, topic: str) -> Woken:
        return Woken(self._committed(schema))


@contextmanager
def connected_app(settings: Settings, cosmos: CosmosDatabase) -> Iterator[App]:
    """The app as function_app.py makes it; the connections of its engines end with the block."""
    made: list[sa.Engine] = []

    class Connected(App):
        @override
        def engine(self, schema: str) -> sa.Engine:
            made.append(super().engine(schema))
            return made[-1]

        @override
        def reader(self, schema: str) -> sa.Engine:
            made.append(super().reader(schema))
            return made[-1]

    try:
        yield Connected(settings, cosmos)
    finally:
        for engine in made:
            engine.dispose()


def contexts(app: App) -> Contexts:
    """Wire all contexts up, by their names."""
    wired = [declare(app) for declare in CONTEXTS]
    return {context.name: context for context in wired}
