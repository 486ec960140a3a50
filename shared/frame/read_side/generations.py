"""Generations of a read model: while one serves, the next is filled, or the one before is kept for a roll-back.

A view has two containers, which its generations use in turn. The view's state is one small document, and every process
reads it again every few seconds. So a switch is scheduled for a moment in the future, when every process knows of it:
from that moment on all of them read the other container. Around that moment nothing is projected, so both containers
show the same, and no reader sees a version go backwards.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from azure.core.exceptions import ResourceNotFoundError

from shared.frame.read_side.container import Container, deleted, is_without_container
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes
from shared.frame.read_side.view_state import ControlDocument

logger = logging.getLogger(__name__)

FRESH = 2.0
"""Seconds after which a state is read again, in the background."""

TRUST = 10.0
"""Seconds for which a process relies on a state that it has read. No change takes effect before all processes know
it."""

AGREED_WITHIN = 2.0
"""Seconds that scheduling a switch may take: after a late answer, other processes would have too little time to read
it."""

QUIET_BEFORE, QUIET_AFTER = 3.0, 1.5
"""Seconds around a switch without projecting: updates that began before have ended, and clocks may differ a little."""


SHAPES = Shapes(
    what="The document that tells which generations of a view there are",
    today=2,
    mend="Deploy the release that wrote it again; or make the view anew: python3 dev.py rebuild VIEW",
    upcasts={1: dict},
)


class Served(NamedTuple):
    """The container that queries read now, and its generation."""

    container: Container
    generation: int


@dataclass(frozen=True, slots=True)
class State:
    """The generations of a view.

    Attributes:
        serving: the generation that queries read.
        standby: another generation that projections keep up to date; None if there is none.
        switch_at: when the two change places, in seconds since 1970; None if no switch is scheduled.
        etag: the state document's etag; None if there is no document yet.
    """

    serving: int = 1
    standby: int | None = None
    switch_at: float | None = None
    etag: str | None = None

    @classmethod
    def of(cls, document: Document) -> Self:
        """Read what a document says."""
        standby, switch_at = document["standby"], document["switchAt"]
        return cls(
            int(document["serving"]),
            None if standby is None else int(standby),
            None if switch_at is None else float(switch_at),
            document["_etag"],
        )

    def at(self, now: float) -> Self:
        """Give the state as of a time: a scheduled switch takes effect at its moment."""
        if self.switch_at is None or self.standby is None or now < self.switch_at:
            return self
        return replace(self, serving=self.standby, standby=self.serving, switch_at=None)

    def quiet_until(self, now: float) -> float | None:
        """Tell until when nothing may be projected; None if projecting is allowed."""
        if self.switch_at is None or not self.switch_at - QUIET_BEFORE <= now < self.switch_at + QUIET_AFTER:
            return None
        return self.switch_at + QUIET_AFTER


class Generations:
    """The generations of one view, as this process knows them."""

    def __init__(
        self, cosmos: CosmosDatabase, view: str, container: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            cosmos: the database.
            view: the view's name.
            container: its first container; the other one's name ends in -2.
            clock: the time in seconds since 1970.
        """
        self.view = view
        self._cosmos = cosmos
        self._control = ControlDocument(cosmos, view, "generations", SHAPES, State.of)
        self._names = (f"{container}-2", container)  # even generations, odd ones
        self._clock = clock
        self._state = State()
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    def container(self, generation: int) -> Container:
        """Give the container of a generation."""
        return self._cosmos.container(self._names[generation % 2])

    async def served(self) -> Served:
        """Give the container that queries read now."""
        generation = (await self._known()).at(self._clock()).serving
        return Served(self.container(generation), generation)

    async def containers_to_write(self) -> Sequence[Container]:
        """Give the containers that projections write now; around a switch, wait until it is over.

        The standby comes first, before the switch and after it. So the generation that takes over is never behind the
        other one, however long a projection pauses between its two writes.
        """
        state = await self._known()
        while (until := state.quiet_until(self._clock())) is not None:
            await asyncio.sleep(until - self._clock())
            state = await self._known()
        return [self.container(generation) for generation in (state.standby, state.serving) if generation is not None]

    @contextmanager
    def tolerate_missing(self, container: Container) -> Iterator[None]:
        """Go on without a container that is missing, if its generation is only kept for a roll-back.

        A roll-back to it is refused then. A generation that may take over without being compared with the log has to be
        written before the one that serves, or not at all: its error is raised. So is that of an unreadable document,
        which may hold what an event erases.
        """
        try:
            yield
        except ResourceNotFoundError as error:
            if not is_without_container(error) or not self._is_only_kept(container):
                raise
            logger.warning(
                "%s, which was kept for a roll-back of %s, is missing: retire it, or rebuild", container.id, self.view
            )

    async def delete_from_unused(self, partition_key: str) -> None:
        """Delete a partition's documents in the unused container, which no event reaches; with a standby, none is."""
        state = await self._stored()
        if state.standby is not None:
            return
        container = self.container(state.serving + 1)
        with suppress(ResourceNotFoundError):  # there is no such container
            found = container.query_items("SELECT c.id, c._etag FROM c", partition_key=partition_key)
            listed = [row async for row in found]
            # read the state after listing: without a standby now, all documents listed belong to an old generation
            state = await self._stored()
            if state.standby is None and listed:
                for document in listed:
                    await deleted(container, document, partition_key)

    async def read(self) -> State:
        """Read the state itself, as it is now."""
        return (await self._stored()).at(self._clock())

    async def read_anyway(self) -> State:
        """Read the state in any shape, as far as it can be understood; if it cannot, the first generation serves.

        It is for a rebuild, which writes the state anew; queries cannot use an unreadable state.
        """
        stored = await self._control.stored()
        if stored is None:
            return State()
        try:
            return State.of(stored).at(self._clock())
        except (KeyError, TypeError, ValueError):
            return State(etag=stored["_etag"])

    async def write(self, state: State) -> State:
        """Replace the state that was read, and give it as it is now.

        Raises:
            ControlChanged: the stored state is no longer the one that was read.
        """
        content = {"serving": state.serving, "standby": state.standby, "switchAt": state.switch_at}
        return replace(state, etag=await self._control.write(content, state.etag))

    async def agree_on_switch(self, state: State) -> float:
        """Schedule a switch of the two generations, and give its time, in seconds since 1970.

        Args:
            state: the state that was read, on which the decision is based.

        Raises:
            ValueError: there is no other generation.
            ControlChanged: it is no longer what was read.
            TimeoutError: the store is slow; the state has to be read again to learn whether the switch is scheduled.
        """
        if state.standby is None:
            raise ValueError(f"{self.view} has no other generation")
        if state.switch_at is not None:
            return state.switch_at
        agreed = self._clock() + AGREED_WITHIN + TRUST + QUIET_BEFORE
        async with asyncio.timeout(AGREED_WITHIN):
            await self.write(replace(state, switch_at=agreed))
        return agreed

    def _is_only_kept(self, container: Container) -> bool:
        """Tell whether a container has the generation before the one that serves, and no switch is scheduled.

        A generation that is being filled has a higher number than the one that serves.
        """
        state = self._state.at(self._clock())
        if state.switch_at is not None or state.standby is None:
            return False
        return state.standby < state.serving and container.id == self.container(state.standby).id

    async def _known(self) -> State:
        age = self._clock() - self._read_at
        if not 0 <= age < FRESH and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._refresh())
            self._reading.add_done_callback(_seen)
        if not 0 <= age < TRUST and self._reading is not None:
            await asyncio.shield(self._reading)
        return self._state

    async def _refresh(self) -> None:
        asked = self._clock()
        self._state = await self._stored()
        self._read_at = asked

    async def _stored(self) -> State:
        return await self._control.read() or State()


def _seen(task: asyncio.Task[None]) -> None:
    """Retrieve a failed task's exception, or asyncio would log it; a reader that needs a fresh state asks again."""
    if not task.cancelled():
        task.exception()
