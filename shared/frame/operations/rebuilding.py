"""A view is rebuilt while it serves: the next generation is filled from the event log, and then takes its place.

    retiring    projections stop writing the generation that was kept for a roll-back, if there is one
    clearing    its container is emptied
    joining     projections begin to write the next generation as well
    filling     documents that no live event has made are folded from the log, each written once
    switching   the generations change places at an agreed moment; the old one is kept, up to date, for a roll-back
    done        or cancelled; then all is deleted that was filled

Every step is safe to repeat: if a process dies, another one continues with the same step. Between two steps the rebuild
waits until all processes have heard of the change; see shared/frame/read_side/generations.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import batched
from typing import Self
from uuid import uuid4

from azure.core.exceptions import ResourceNotFoundError
from sqlalchemy.exc import SQLAlchemyError

from shared.frame.messaging.retries import tell
from shared.frame.operations.errors import (
    GenerationIncomplete,
    NoOtherGeneration,
    NoRebuildUnderWay,
    RebuildUnderWay,
    SwitchUnderWay,
)
from shared.frame.operations.lag import measure, shows_what_is_lost
from shared.frame.platform.background import with_pause
from shared.frame.read_side.container import Container, deleted
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import AGREED_WITHIN, QUIET_BEFORE, TRUST, State
from shared.frame.read_side.presence import is_empty
from shared.frame.read_side.read_model import View
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes, UnreadableShape
from shared.frame.read_side.view_state import ControlChanged, ControlDocument

logger = logging.getLogger(__name__)

PROPAGATION_DELAY = TRUST + QUIET_BEFORE
"""Seconds after which every process acts on a change, and all work that began before the change has ended."""

SWITCH_AHEAD = AGREED_WITHIN + PROPAGATION_DELAY
"""Seconds ahead for which a switch is scheduled."""

LEASE = 30.0
"""Seconds for which a process has a rebuild to itself after each step or page. Two processes at once would do no harm,
but each would do all the work."""

MAX_ATTEMPTS = 10
"""Attempts to cancel a rebuild whose document changes meanwhile."""

DELETED_AT_ONCE = 16


SHAPES = Shapes(
    what="The document that tells how far the rebuild is",
    today=2,
    mend="Make the view anew: python3 dev.py rebuild VIEW (POST /api/ops/projections/VIEW/rebuild).",
    upcasts={1: lambda document: {"worker": "", "leased_until": 0.0, **document}},  # before there were leases
)


class Step(StrEnum):
    """How far a rebuild is."""

    RETIRING = "retiring"
    CLEARING = "clearing"
    JOINING = "joining"
    FILLING = "filling"
    SWITCHING = "switching"
    DONE = "done"
    CANCELLED = "cancelled"


OVER = frozenset({Step.DONE, Step.CANCELLED})


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A view's latest rebuild. Times are seconds since 1970.

    Attributes:
        generation: the generation that is filled.
        since: when the present step began.
        position: where filling continues; only the source can read it.
        total: documents that the view must have: as counted when filling began, or more if filling has seen more; 0 if
        they could not be counted, until filling has seen all.
        seen: how many of these are there.
        written: how many of them filling has written.
        events: how many events these were folded from.
        filling_seconds: how long filling has worked so far.
        worker: the process that works on it, until `leased_until`.
    """

    step: Step
    generation: int
    started_at: float
    since: float
    position: str | None = None
    total: int = 0
    seen: int = 0
    written: int = 0
    events: int = 0
    filling_seconds: float = 0.0
    worker: str = ""
    leased_until: float = 0.0
    etag: str | None = None

    @classmethod
    def of(cls, document: Document) -> Self:
        """Read what a document says."""
        values = {name: document[name] for name in cls.__slots__ if name not in {"step", "etag"}}
        return cls(step=Step(document["step"]), etag=document["_etag"], **values)


class Rebuilding:
    """Rebuilds one view."""

    def __init__(self, cosmos: CosmosDatabase, view: View, clock: Callable[[], float] = time.time) -> None:
        self.view = view
        self._cosmos = cosmos
        self._control = ControlDocument(cosmos, view.name, "rebuild", SHAPES, Rebuild.of)
        self._clock = clock
        self._worker = str(uuid4())

    async def latest(self) -> Rebuild | None:
        """Read how far it is; None if the view was never rebuilt.

        Raises:
            UnreadableShape: another release wrote that, or it is damaged.
        """
        return await self._control.read()

    async def start(self) -> Rebuild:
        """Begin a rebuild, which `advance` carries out.

        Raises:
            RebuildUnderWay: a rebuild is under way.
            SwitchUnderWay: a roll-back is under way.
            ControlChanged: somebody else has just started one.
        """
        before = await self._control.stored()
        with suppress(UnreadableShape):  # what cannot be read is written over: that mends it
            await self._none_under_way()
        try:
            state = await self._settled_state()
            is_wrong = state.standby is not None
        except UnreadableShape:
            state, is_wrong = await self.view.generations.read_anyway(), True
        if is_wrong:  # a switch that another release agreed on would make the new generation serve while it is empty
            await self.view.generations.write(replace(state, standby=None, switch_at=None))
        generation = state.serving + 1
        while before is not None and generation <= _number(before.get("generation")):
            generation += 2  # in the same container; cursors have the number, so none is used twice
        now, etag = self._clock(), before["_etag"] if before else None
        return await self._write(Rebuild(Step.RETIRING, generation, started_at=now, since=now, etag=etag))

    async def cancel(self) -> Rebuild:
        """Give up a rebuild; what serves goes on serving. `advance` deletes what was filled.

        Raises:
            NoRebuildUnderWay: there is none.
            SwitchUnderWay: it is too late.
            ControlChanged: the rebuild's document changed at every attempt.
        """
        for look in range(1, MAX_ATTEMPTS + 1):
            latest = await self.latest()
            if latest is None or latest.step in OVER:
                raise NoRebuildUnderWay(f"{self.view.name} is not being rebuilt.")
            state = await self._settled_state()
            try:
                cancelled = await self._next(latest, Step.CANCELLED)
            except ControlChanged:  # filling has written down how far it is, as it does many times a second
                if look == MAX_ATTEMPTS:
                    raise
            else:
                break
        try:
            await self.view.generations.write(replace(state, standby=None))
        except ControlChanged:  # the rebuild has made its generation one that is written, or agreed on the switch
            with suppress(ControlChanged):  # then `advance` has given it up
                await self._give_up(cancelled)
        return cancelled

    async def roll_back(self, *, even_if_incomplete: bool = False) -> float:
        """Let the generation that was kept serve again, and tell when it will, in seconds since 1970.

        Args:
            even_if_incomplete: whether or not it shows as much as the one that serves.

        Raises:
            NoOtherGeneration: none was kept.
            GenerationIncomplete: it shows less than the one that serves, or that is not known.
            RebuildUnderWay: the other one is not filled yet.
            SwitchUnderWay: they are about to change places already.
            ControlChanged: somebody else is changing the view at the same time.
        """
        state = await self._settled_state()  # first: if a rebuild begins behind this look, its state is another one
        latest = await self._none_under_way()
        if state.standby is None:
            raise NoOtherGeneration(f"{self.view.name} has generation {state.serving} only.")
        if latest is not None and latest.step is Step.CANCELLED and latest.generation == state.standby:
            # the process that cancelled the rebuild died, or lost a race, before it gave up the generation too
            raise NoOtherGeneration(f"Generation {state.standby} of {self.view.name} was never filled to its end.")
        if not even_if_incomplete:
            await self._hold_against_the_log(state.standby, state.serving)
        return await self.view.generations.agree_on_switch(state)

    async def retire(self) -> None:
        """Stop keeping the other generation up to date: events cost half as much then, and there is no way back.

        Raises:
            NoOtherGeneration, RebuildUnderWay, SwitchUnderWay: as for a roll-back.
        """
        state = await self._settled_state()  # first, as for a roll-back
        await self._none_under_way()
        if state.standby is None:
            raise NoOtherGeneration(f"{self.view.name} has generation {state.serving} only.")
        await self.view.generations.write(replace(state, standby=None))

    async def advance(self, until: float) -> None:
        """Carry a rebuild on, to its end or until this time, in seconds since 1970, unless another process does.

        After one that was cancelled, give up its generation, if whoever cancelled it could not, and delete all that was
        filled, once no process writes it any more: no erasure reaches it. That is done each time, for a process that
        was in the midst of a page may write the rest of it at any time.
        """
        rebuild = await self.latest()
        while rebuild is not None and rebuild.step not in OVER and self._clock() < until:
            if rebuild.worker != self._worker and self._is_to_come(rebuild.leased_until, LEASE):
                return
            try:
                rebuild = await self._step(rebuild)
            except ControlChanged:  # it was cancelled, or another process has taken it over
                rebuild = await self.latest()
        if rebuild is not None and rebuild.step is Step.CANCELLED:
            with suppress(ControlChanged, SwitchUnderWay):  # an operator changes the view at this moment
                state = await self._give_up(rebuild)
                if state.serving == rebuild.generation:  # the switch had been agreed on when it was cancelled
                    await self._next(rebuild, Step.DONE)
                else:
                    await self._empty_what_was_given_up(state, until)

    async def _step(self, rebuild: Rebuild) -> Rebuild:
        generations = self.view.generations
        container = generations.container(rebuild.generation)
        match rebuild.step:
            case Step.RETIRING:
                await self._wait_for_all_to_know(rebuild)
                return await self._next(rebuild, Step.CLEARING)
            case Step.CLEARING:
                state = await generations.read()
                if state.standby is None:  # else it was cleared, and may have documents of live events by now
                    rebuild = await self._clear(rebuild, container)
                    await generations.write(replace(state, standby=rebuild.generation))
                return await self._next(rebuild, Step.JOINING)
            case Step.JOINING:
                await self._wait_for_all_to_know(rebuild)
                return await self._next(replace(rebuild, total=await self._count()), Step.FILLING)
            case Step.FILLING:
                return await with_pause(self._fill(rebuild, container))
            case Step.SWITCHING:
                state = await generations.read()
                if state.serving != rebuild.generation:
                    if state.switch_at is not None and self._is_too_far(state.switch_at, SWITCH_AHEAD):
                        state = replace(state, switch_at=None)
                    await self._wait(await generations.agree_on_switch(state))
                return await self._next(rebuild, Step.DONE)
            case _:
                return rebuild

    async def _count(self) -> int:
        """Count the documents, for whoever watches; 0 if that fails, as it does where a large log takes too long."""
        try:
            return await self.view.source.total()
        except SQLAlchemyError as error:
            tell(logger, error, f"rebuilding {self.view.name}: nobody knows how many documents there will be")
            return 0

    async def _clear(self, rebuild: Rebuild, container: Container) -> Rebuild:
        key = await _partition_key(container)
        async for page in container.query_items_change_feed(start_time="Beginning").by_page():
            listed = [document async for document in page]
            # renew the lease after listing: while this process has it, no projection has joined, so all listed is old
            rebuild = await self._write(rebuild)
            await _delete_all(container, listed, key)
        return rebuild

    async def _give_up(self, cancelled: Rebuild) -> State:
        """Stop writing the generation of a rebuild that was cancelled, if it still is, and give the state then."""
        state = await self._settled_state()
        if state.standby == cancelled.generation:
            state = await self.view.generations.write(replace(state, standby=None))
        return state

    async def _empty_what_was_given_up(self, state: State, until: float) -> None:
        generations = self.view.generations
        if state.etag is None or state.standby is not None:
            return
        with suppress(ResourceNotFoundError):  # there is no such container
            # it may have been given up just now, by a cancellation or by retiring it
            all_know_at = self._clock() + PROPAGATION_DELAY
            container = generations.container(state.serving + 1)
            key = await _partition_key(container)
            async for page in container.query_items_change_feed(start_time="Beginning").by_page():
                listed = [document async for document in page]
                if listed:
                    await self._wait(all_know_at)
                # read the state after listing: if it is the same, all listed belong to an old generation
                if (await generations.read()).etag != state.etag or self._clock() >= until:
                    return
                await _delete_all(container, listed, key)

    async def _fill(self, rebuild: Rebuild, container: Container) -> Rebuild:
        began = self._clock()
        filled = await self.view.source.fill(container, rebuild.position)
        if filled.position is None:
            return await self._next(replace(rebuild, total=rebuild.seen), Step.SWITCHING)
        seen = rebuild.seen + filled.seen
        return await self._write(
            replace(
                rebuild,
                position=filled.position,
                seen=seen,
                total=rebuild.total and max(rebuild.total, seen),  # live events make documents meanwhile
                written=rebuild.written + filled.written,
                events=rebuild.events + filled.events,
                filling_seconds=rebuild.filling_seconds + self._clock() - began,
            )
        )

    async def _hold_against_the_log(self, generation: int, serving: int) -> None:
        """Make sure that a generation shows no less than the one that serves.

        Raises:
            GenerationIncomplete: it shows less, or it is not known whether it does.
        """
        name = f"Generation {generation} of {self.view.name}"
        anyway = "Make it anew (rebuild), or insist (evenIfIncomplete)."
        try:
            if await is_empty(self.view, self.view.generations.container(generation)):
                raise GenerationIncomplete(f"{name} is empty, and the event log is not. {anyway}")
            if await shows_what_is_lost(self.view, self._cosmos, generation):
                raise GenerationIncomplete(
                    f"{name} shows events that the event log has no more: the database was restored. {anyway}"
                )
            newest = await self.view.source.newest()
            # in this order: what is on its way is written to the other generation first
            served = await measure(self.view, self._cosmos, serving, upto=newest)
            kept = await measure(self.view, self._cosmos, generation, upto=newest)
        except ResourceNotFoundError as error:
            raise GenerationIncomplete(f"A container of {self.view.name} is missing. {anyway}") from error
        if kept.unapplied > served.unapplied:
            raise GenerationIncomplete(
                f"{name} lacks {kept.unapplied} events, and generation {serving}, which serves, {served.unapplied}. "
                + anyway
            )
        if kept.unexamined:
            raise GenerationIncomplete(
                f"{name} has yet to be held against the log, which goes on by itself: {kept.unexamined} events are "
                "left. Wait, or insist (evenIfIncomplete)."
            )

    async def _none_under_way(self) -> Rebuild | None:
        latest = await self.latest()
        if latest is not None and latest.step not in OVER:
            raise RebuildUnderWay(f"{self.view.name} is being rebuilt: {latest.step}.")
        return latest

    async def _settled_state(self) -> State:
        state = await self.view.generations.read()
        if state.switch_at is not None and self._is_to_come(state.switch_at, SWITCH_AHEAD):
            raise SwitchUnderWay(f"The generations of {self.view.name} are about to change places.")
        return replace(state, switch_at=None)

    def _is_to_come(self, at: float, within: float) -> bool:
        """Tell whether a time is still to come that was at most so many seconds ahead when it was written."""
        return self._clock() < at and not self._is_too_far(at, within)

    def _is_too_far(self, at: float, within: float) -> bool:
        """Tell whether a time is of a process whose clock was ahead: twice as far away, which holds nobody up."""
        return at - self._clock() > 2 * within

    async def _next(self, rebuild: Rebuild, step: Step) -> Rebuild:
        logger.info("rebuilding %s: %s", self.view.name, step)
        return await self._write(replace(rebuild, step=step, since=self._clock()))

    async def _write(self, rebuild: Rebuild) -> Rebuild:
        leased = replace(rebuild, worker=self._worker, leased_until=self._clock() + LEASE)
        content = asdict(leased)
        etag = content.pop("etag")
        return replace(leased, etag=await self._control.write(content, etag))

    async def _wait_for_all_to_know(self, rebuild: Rebuild) -> None:
        """Wait until every process has heard of the step before; from now on, if it began by a clock that was ahead."""
        await self._wait(min(rebuild.since, self._clock()) + PROPAGATION_DELAY)

    async def _wait(self, until: float) -> None:
        await asyncio.sleep(max(0.0, until - self._clock()))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


async def _partition_key(container: Container) -> str:
    """Name the property that a container is partitioned by."""
    return str((await container.read())["partitionKey"]["paths"][0].removeprefix("/"))


async def _delete_all(container: Container, listed: Sequence[Document], key: str) -> None:
    for some in batched(listed, DELETED_AT_ONCE, strict=False):
        await with_pause(asyncio.gather(*(_delete(container, document, document[key]) for document in some)))


async def _delete(container: Container, document: Document, partition_key: str) -> None:
    # on its etag: a document that another process deleted or wrote since is left alone, or listed again
    with suppress(ResourceNotFoundError):
        await deleted(container, document, partition_key)
