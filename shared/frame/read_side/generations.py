"""Generations of a read model: while one serves, the next is filled, or the one before is kept for a roll-back.

A view has two containers, which take turns. Its state is one small document, which every process reads again every few
seconds. A switch is therefore an appointment, far enough ahead for every process to have heard of it: from one moment
on all of them read the other container. Around that moment nothing is projected, so both containers show the same, and
no reader sees a version go backwards.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError

from shared.frame.read_side.container import Container, took_effect
from shared.frame.read_side.cosmos import ReadModels
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes
from shared.frame.read_side.view_state import ControlDocument

FRESH = 2.0
"""Seconds after which a state is read again, in the background."""

TRUST = 10.0
"""Seconds for which a process relies on a state. No change takes effect sooner: all processes know it by then."""

AGREED_WITHIN = 2.0
"""Seconds that agreeing on a switch may take: a store that answers late would leave others too little time to hear."""

QUIET_BEFORE, QUIET_AFTER = 3.0, 1.5
"""Seconds around a switch without projecting: what began before has ended, and clocks may differ a little."""


SHAPES = Shapes(
    what="The document that tells which generations of a view there are",
    today=2,
    mend="Deploy the release that wrote it again; or make the view anew: python3 dev.py rebuild VIEW",
    upcasts={1: dict},
)


class Served(NamedTuple):
    """What queries read now."""

    container: Container
    generation: int


@dataclass(frozen=True, slots=True)
class State:
    """Which generations of a view there are.

    Attributes:
        serving: the generation that queries read.
        standby: the one that is kept up to date beside it; None while there is none.
        switch_at: when they change places, in seconds since 1970; None unless it is agreed.
        etag: of the document that it was read from; None while there is none.
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
        """Give the state as of a time: an agreed switch whose moment has passed has happened."""
        if self.switch_at is None or self.standby is None or now < self.switch_at:
            return self
        return replace(self, serving=self.standby, standby=self.serving, switch_at=None)

    def quiet_until(self, now: float) -> float | None:
        """Tell until when nothing may be projected; None if it may."""
        if self.switch_at is None or not self.switch_at - QUIET_BEFORE <= now < self.switch_at + QUIET_AFTER:
            return None
        return self.switch_at + QUIET_AFTER


class Generations:
    """The generations of one view, as this process knows them."""

    def __init__(
        self, read_models: ReadModels, view: str, container: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            read_models: the database.
            view: the view's name.
            container: its first container; the other one's name ends in -2.
            clock: the time in seconds since 1970.
        """
        self.view = view
        self._read_models = read_models
        self._control = ControlDocument(read_models, view, "generations", SHAPES, State.of)
        self._names = (f"{container}-2", container)  # even generations, odd ones
        self._clock = clock
        self._state = State()
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    def container(self, generation: int) -> Container:
        """Give the container of a generation."""
        return self._read_models.container(self._names[generation % 2])

    async def served(self) -> Served:
        """Tell what queries read now."""
        generation = (await self._known()).at(self._clock()).serving
        return Served(self.container(generation), generation)

    async def written(self) -> Sequence[Container]:
        """Tell what projections write now; around a switch, wait until it is over.

        The generation that takes over comes first, before the switch and after it. So it is never behind the other one,
        however long a projection is held up between its two writes, or a reader who still asks the other one.
        """
        state = await self._known()
        while (until := state.quiet_until(self._clock())) is not None:
            await asyncio.sleep(until - self._clock())
            state = await self._known()
        return [self.container(generation) for generation in (state.standby, state.serving) if generation is not None]

    async def clear_given_up(self, partition_key: str) -> None:
        """Delete what a container that no event reaches has in a partition: it is kept for nobody."""
        container = self.container((await self._stored()).serving + 1)
        with suppress(ResourceNotFoundError):  # there is no such container
            listed = [row async for row in container.query_items("SELECT * FROM c", partition_key=partition_key)]
            # after the look: if none is kept up to date now, all that was listed is older than the next that will be
            state = await self._stored()
            if state.standby is None and listed:
                for document in listed:
                    await took_effect(
                        container.delete_item(
                            document["id"],
                            partition_key,
                            etag=document["_etag"],
                            match_condition=MatchConditions.IfNotModified,
                        )
                    )

    async def read(self) -> State:
        """Read the state itself, as it is now."""
        return (await self._stored()).at(self._clock())

    async def read_anyway(self) -> State:
        """Read the state in whatever shape, as far as it can be made out; the first generation serves if it cannot.

        It is for a rebuild, which writes it anew: until then nothing at all is served.
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
            ControlChanged: it is no longer what was read.
        """
        content = {"serving": state.serving, "standby": state.standby, "switchAt": state.switch_at}
        return replace(state, etag=await self._control.write(content, state.etag))

    async def agree_on_switch(self, state: State) -> float:
        """Agree to let the two generations change places, and tell when, in seconds since 1970.

        Args:
            state: what was read, and the decision rests on.

        Raises:
            ValueError: there is no other generation.
            ControlChanged: it is no longer what was read.
            TimeoutError: the store is slow; whether it is agreed has to be read.
        """
        if state.standby is None:
            raise ValueError(f"{self.view} has no other generation")
        if state.switch_at is not None:
            return state.switch_at
        agreed = self._clock() + AGREED_WITHIN + TRUST + QUIET_BEFORE
        async with asyncio.timeout(AGREED_WITHIN):
            await self.write(replace(state, switch_at=agreed))
        return agreed

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
