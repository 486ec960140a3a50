"""The handshakes of rebuilding and cancelling: each step waits until every process acts on the one before.

A process that is idle reads a view's state only when it is asked for something. So it is asked at the worst moment:
it has read the state just before a change, and is asked when the next step begins.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from azure.core.exceptions import HttpResponseError

from shared.frame.operations.errors import SwitchUnderWay
from shared.frame.operations.rebuilding import LEASE, PROPAGATION_DELAY, SWITCH_AHEAD, Rebuild, Rebuilding, Step
from shared.frame.read_side.container import Container
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import AGREED_WITHIN, QUIET_BEFORE, TRUST, Generations, State
from shared.frame.read_side.log_source import Filled, LogSource
from shared.frame.read_side.read_model import View
from shared.frame.read_side.view_state import ControlChanged
from tests.simulation.read_models import FaultyReadModels
from tests.simulation.scheduler import Scheduler

PAGES = 3


class Pages:
    """Stands in for a source: three pages without a document. What it is asked for is what the tests look at."""

    def __init__(self, began: Callable[[], Awaitable[None]]) -> None:
        self._began = began
        self.filled = 0
        self.containers: set[Container] = set()

    async def total(self) -> int:
        """Count nothing."""
        return 0

    async def fill(self, container: Container, position: str | None) -> Filled:
        """Fill a page with nothing."""
        self.containers.add(container)
        await self._began()
        self.filled += 1
        page = int(position or 0) + 1
        return Filled(None if page > PAGES else str(page), 0, 0, 0)


class World:
    """Processes that share one store and one clock, and one of them that rebuilds."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(seed=1, fault_rate=0)
        self.models = cast("CosmosDatabase", FaultyReadModels(self.scheduler))
        self.steps: dict[Step, float] = {}
        self.hooks: dict[Step, Callable[[], Awaitable[None]]] = {}
        self.source = Pages(self._filling)
        self.rebuilding = self.process()
        self.first, self.second = (self.generations().container(number) for number in (1, 2))

    def now(self) -> float:
        """The time in seconds since 1970."""
        return self.scheduler.now.timestamp()

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.scheduler.now += timedelta(seconds=seconds)

    def generations(self) -> Generations:
        """The orders, as a process knows them that has just started."""
        return Generations(self.models, "orders", container="orders", clock=self.now)

    def process(self) -> Rebuilding:
        """Another process that may rebuild."""
        return Rebuilding(self.models, View(self.generations(), cast("LogSource[Any]", self.source)), clock=self.now)

    def work[T](self, act: Awaitable[T]) -> T:
        """Do something, in simulated time."""

        async def acting() -> T:
            return await act

        return self.scheduler.work(acting())

    def idle(self) -> Generations:
        """A process that reads the state now, and then nothing more until it is asked."""
        process = self.generations()
        self.work(process.served())
        return process

    def state(self) -> State:
        """The state, as it is stored."""
        return self.work(self.generations().read())

    def latest(self) -> Rebuild:
        """The latest rebuild."""
        latest = self.work(self.rebuilding.latest())
        assert latest is not None
        return latest

    def during(self, step: Step, hook: Callable[[], Awaitable[None]]) -> None:
        """Let something happen in the midst of a step, once."""
        self.hooks[step] = hook

    async def _happen(self, step: Step) -> None:
        self.steps.setdefault(step, self.now())
        if step in self.hooks:
            await self.hooks.pop(step)()

    async def _filling(self) -> None:
        await self._happen(Step.FILLING)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which a document of long ago lies in the container that is going to be filled."""
    made = World()
    made.work(made.second.create_item({"id": "old", "customerId": "somebody"}))
    wait, delete, write = Rebuilding._wait, made.second.delete_item, Rebuilding._write

    async def waiting(self: Rebuilding, until: float) -> None:
        latest = await self.latest()
        assert latest is not None
        if self is made.rebuilding:
            await made._happen(latest.step)
        await wait(self, until)

    async def deleting(*values: Any, etag: str, match_condition: Any) -> None:
        assert etag, match_condition  # unless it was written since
        await made._happen(Step.CLEARING)
        await delete(*values)

    async def writing(self: Rebuilding, rebuild: Rebuild) -> Rebuild:
        if rebuild.step is Step.DONE:
            made.steps[Step.DONE] = made.now()
        return await write(self, rebuild)

    monkeypatch.setattr(Rebuilding, "_wait", waiting)
    monkeypatch.setattr(Rebuilding, "_write", writing)
    monkeypatch.setattr(made.second, "delete_item", deleting)
    return made


def test_a_generation_is_cleared_when_nobody_writes_it_any_more(world: World) -> None:
    world.work(world.generations().write(State(serving=1, standby=2)))
    idle = world.idle()
    assert world.work(idle.containers_to_write()) == [world.second, world.first]
    seen: list[Sequence[object]] = []

    async def look() -> None:
        seen.append(await idle.containers_to_write())

    world.during(Step.CLEARING, look)
    began = world.now()
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert seen == [[world.first]]
    assert world.steps[Step.CLEARING] - began >= PROPAGATION_DELAY


def test_a_generation_that_was_cleared_is_not_cleared_again_by_whoever_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died when it had named the generation and not yet noted it: live events are being written there."""
    record = world.rebuilding._next

    async def dies(rebuild: Rebuild, step: Step) -> Rebuild:
        if step is Step.JOINING:
            raise HttpResponseError("the process is dying")
        return await record(rebuild, step)

    async def look() -> None:
        seen.append(await world.second.read_item("new", "somebody"))

    seen: list[object] = []
    monkeypatch.setattr(world.rebuilding, "_next", dies)
    world.work(world.rebuilding.start())
    with pytest.raises(HttpResponseError):
        world.work(world.rebuilding.advance(math.inf))
    assert (world.latest().step, world.state().standby) == (Step.CLEARING, 2)
    world.work(world.second.create_item({"id": "new", "customerId": "somebody"}))  # by a live event
    world.later(LEASE)
    world.during(Step.FILLING, look)
    world.work(world.process().advance(math.inf))
    assert len(seen) == 1
    assert world.latest().step is Step.DONE


def test_filling_begins_when_everybody_writes_the_new_generation_too(world: World) -> None:
    idle, seen, joined = world.generations(), [], []
    write = Generations.write

    async def heard_just_before(self: Generations, state: State) -> State:
        if state.standby == 2 and state.switch_at is None:
            await idle._refresh()
            joined.append(world.now())
        return await write(self, state)

    async def look() -> None:
        seen.append(await idle.containers_to_write())

    world.during(Step.FILLING, look)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Generations, "write", heard_just_before)
        world.work(world.rebuilding.start())
        world.work(world.rebuilding.advance(math.inf))
    assert seen == [[world.second, world.first]]
    assert world.steps[Step.FILLING] - joined[0] >= PROPAGATION_DELAY


def test_what_everybody_has_heard_of_is_what_everybody_acts_on_and_has_finished_the_old_way() -> None:
    assert PROPAGATION_DELAY >= TRUST + QUIET_BEFORE


def test_a_rebuild_is_done_when_its_generation_serves_everybody(world: World) -> None:
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert (world.source.filled, world.source.containers) == (PAGES + 1, {world.second})
    assert world.steps[Step.DONE] - world.steps[Step.FILLING] >= AGREED_WITHIN + TRUST + QUIET_BEFORE
    assert (world.state().serving, world.state().standby, world.state().switch_at) == (2, 1, None)
    assert world.work(world.generations().served()).generation == 2
    assert world.latest().step is Step.DONE


@pytest.mark.parametrize("step", [Step.RETIRING, Step.CLEARING, Step.JOINING, Step.FILLING])
def test_a_rebuild_that_is_cancelled_in_the_midst_of_a_step_goes_no_further(world: World, step: Step) -> None:
    filled: list[int] = []

    async def cancel() -> None:
        filled.append(world.source.filled)
        await world.process().cancel()

    world.during(step, cancel)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert world.latest().step is Step.CANCELLED
    assert world.source.filled <= filled[0] + 1, "the page under way, and no other"
    assert (world.state().serving, world.state().standby, world.state().switch_at) == (1, None, None)
    world.later(TRUST)
    assert world.work(world.generations().containers_to_write()) == [world.first]

    world.later(60)
    world.work(world.process().advance(math.inf))
    assert world.latest().step is Step.CANCELLED, "and nobody takes it up again"


@pytest.mark.parametrize("dies", [False, True], ids=["it is given up at once", "who cancels it dies first"])
def test_what_a_cancelled_rebuild_has_filled_is_deleted_when_nobody_writes_it_any_more(
    world: World, *, dies: bool
) -> None:
    idle, seen = world.generations(), list[Sequence[object]]()

    async def cancel() -> None:
        await world.second.create_item({"id": "new", "customerId": "somebody"})  # by a live event
        await idle._refresh()
        await world.process().cancel()
        if dies:
            state = await world.generations().read()
            await world.generations().write(replace(state, standby=2))
        world.during(Step.CLEARING, look)

    async def look() -> None:
        seen.append(await idle.containers_to_write())

    world.during(Step.FILLING, cancel)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert (world.state().serving, world.state().standby) == (1, None)
    assert seen == [[world.first]]
    assert not cast("FaultyReadModels", world.models).documents()["orders-2"]


def test_a_rebuild_that_joins_while_it_is_cancelled_is_given_up_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = world.process()
    look = operator._settled_state

    async def and_then_the_rebuild_joins() -> State:
        seen = await look()
        monkeypatch.setattr(operator, "_settled_state", look)
        await world.generations().write(replace(seen, standby=2))
        await world.second.create_item({"id": "new", "customerId": "somebody"})  # by a live event
        return seen

    async def cancel() -> None:
        assert (await operator.cancel()).step is Step.CANCELLED
        assert (await world.generations().read()).standby is None

    monkeypatch.setattr(operator, "_settled_state", and_then_the_rebuild_joins)
    world.during(Step.CLEARING, cancel)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert (world.state().serving, world.state().standby) == (1, None)
    assert not cast("FaultyReadModels", world.models).documents()["orders-2"]


def test_a_rebuild_that_agrees_on_its_switch_while_it_is_cancelled_serves_and_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = world.process()
    look = operator._settled_state

    async def and_then_the_switch_is_agreed() -> State:
        seen = await look()
        monkeypatch.setattr(operator, "_settled_state", look)
        await world.generations().agree_on_switch(seen)
        return seen

    async def cancel() -> None:
        with pytest.raises(SwitchUnderWay):
            await operator.cancel()
        latest = await world.process().latest()
        assert latest is not None
        cancelled.append(latest.step)

    cancelled: list[Step] = []
    write = world.rebuilding.view.generations.agree_on_switch

    async def cancelled_just_before(state: State) -> float:
        await cancel()
        return await write(state)

    monkeypatch.setattr(operator, "_settled_state", and_then_the_switch_is_agreed)
    monkeypatch.setattr(world.rebuilding.view.generations, "agree_on_switch", cancelled_just_before)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert cancelled == [Step.CANCELLED]
    world.later(SWITCH_AHEAD)
    world.work(world.process().advance(math.inf))
    assert (world.state().serving, world.state().standby) == (2, 1)


def test_a_rebuild_that_is_about_to_serve_is_not_cancelled(world: World) -> None:
    refused: list[bool] = []

    async def cancel() -> None:
        with pytest.raises(SwitchUnderWay):
            await world.process().cancel()
        refused.append(True)

    world.during(Step.SWITCHING, cancel)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert refused
    assert world.latest().step is Step.DONE
    assert world.state().serving == 2


def test_a_roll_back_that_looked_before_a_rebuild_began_does_not_let_it_serve_half_filled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.work(world.generations().write(State(serving=1, standby=2)))
    operator = world.process()
    look = operator._none_under_way

    async def stop() -> None:
        raise HttpResponseError("503")

    async def and_then_a_rebuild_begins() -> Rebuild | None:
        seen = await look()
        await world.rebuilding.start()
        with suppress(HttpResponseError):
            await world.rebuilding.advance(math.inf)
        return seen

    world.during(Step.FILLING, stop)
    monkeypatch.setattr(operator, "_none_under_way", and_then_a_rebuild_begins)
    with pytest.raises(ControlChanged):
        world.work(operator.roll_back(even_if_incomplete=True))
    assert world.latest().step is Step.FILLING
    assert world.state().switch_at is None


def test_a_rebuild_whose_store_fails_goes_on_where_it_was(world: World) -> None:
    async def fail() -> None:
        raise HttpResponseError("503")

    world.during(Step.FILLING, fail)
    world.work(world.rebuilding.start())
    with pytest.raises(HttpResponseError):
        world.work(world.rebuilding.advance(math.inf))
    assert world.latest().step is Step.FILLING
    world.work(world.rebuilding.advance(math.inf))
    assert world.latest().step is Step.DONE
    assert world.source.filled == PAGES + 1


def test_a_rebuild_is_carried_on_until_the_time_that_it_has_and_no_longer(world: World) -> None:
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(world.now()))
    assert world.latest().step is Step.RETIRING
    world.work(world.rebuilding.advance(world.now() + 1))
    assert world.latest().step is Step.CLEARING, "the step that was begun in time"


def test_a_process_at_work_keeps_the_rebuild_to_itself_as_long_as_it_writes_down_how_far_it_is(world: World) -> None:
    others: list[int] = []

    async def another_looks() -> None:
        before = world.source.filled
        await world.process().advance(math.inf)
        others.append(world.source.filled - before)

    world.during(Step.FILLING, another_looks)
    world.during(Step.JOINING, another_looks)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert others == [0, 0]
    assert world.source.filled == PAGES + 1


def test_a_process_that_fills_for_longer_than_a_lease_keeps_the_rebuild_with_each_page(world: World) -> None:
    others: list[int] = []

    async def a_slow_page() -> None:
        world.later(LEASE - 1)
        before = world.source.filled
        await world.process().advance(math.inf)
        others.append(world.source.filled - before)
        world.during(Step.FILLING, a_slow_page)

    world.during(Step.FILLING, a_slow_page)
    world.work(world.rebuilding.start())
    world.work(world.rebuilding.advance(math.inf))
    assert others == [0] * (PAGES + 1)
