"""What the switch of a view relies on, at moments that are chosen: by chance they are rare."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import cast

import pytest
import sqlalchemy as sa
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.cosmos.aio import ContainerProxy

from shared.frame.read_side import generations
from shared.frame.read_side.container import NO_CONTAINER
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import QUIET_AFTER, QUIET_BEFORE, TRUST, Generations, State
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.read_side.view_state import CONTROL, ControlChanged
from tests.simulation.database import logs
from tests.simulation.process import SKEW, Process
from tests.simulation.read_models import FaultyReadModels
from tests.simulation.scheduler import Scheduler


class World:
    """Processes that share one store and one clock, which only these tests move."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(seed=1, fault_rate=0)
        self.models = FaultyReadModels(self.scheduler)
        self.began = self.now()

    def now(self) -> float:
        """The time in seconds since 1970."""
        return self.scheduler.now.timestamp()

    def at(self, seconds: float) -> float:
        """Let it be so many seconds after the beginning, and tell that time."""
        self.scheduler.now += timedelta(seconds=self.began + seconds - self.now())
        return self.now()

    def process(self) -> Generations:
        """The orders, as a process knows them that has just started."""
        return Generations(cast("CosmosDatabase", self.models), "orders", container="orders", clock=self.now)

    def agreed(self, *heard_before: Generations) -> float:
        """Agree on a switch right after these processes have read the state, and tell how many seconds ahead it is."""
        work = self.scheduler.work
        work(self.process().write(State(serving=1, standby=2)))
        for process in heard_before:
            work(process.served())
        switch = work(self.process().agree_on_switch(work(self.process().read())))
        return switch - self.began

    def written_at(self, process: Generations) -> tuple[Sequence[ContainerProxy], float]:
        """What a projection of this process writes that wants to begin now, and after how long in all it begins."""
        containers = self.scheduler.work(process.containers_to_write())
        return containers, self.now() - self.began


@pytest.fixture
def world() -> World:
    return World()


def test_a_state_that_was_just_read_is_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    process, looks = world.process(), list[float]()
    stored = process._stored

    async def noting() -> State:
        looks.append(world.now())
        return await stored()

    monkeypatch.setattr(process, "_stored", noting)
    for _ in range(3):
        world.scheduler.work(process.served())
    assert len(looks) == 1
    world.at(world.now() - world.began + generations.FRESH + 1)
    world.scheduler.work(process.served())
    assert len(looks) == 2


async def test_the_generation_that_takes_over_is_written_first_before_the_switch_and_after() -> None:
    scheduler = Scheduler(seed=1, fault_rate=0)
    models = FaultyReadModels(scheduler)

    def orders() -> Generations:
        """As a process knows them that has just started."""
        engines = dict.fromkeys(logs(), sa.create_engine("sqlite://"))
        return Process(scheduler, models, engines).orders

    async with asyncio.timeout(20):  # a write that waits, waits for a clock that stands
        first, second = orders().container(1), orders().container(2)
        await orders().write(State(serving=1, standby=2))
        assert await orders().containers_to_write() == [second, first]
        assert await orders().served() == (first, 1)

        switch = await orders().agree_on_switch(await orders().read())
        assert await orders().containers_to_write() == [second, first]
        scheduler.now += timedelta(seconds=switch - scheduler.now.timestamp() + 5)
        assert (await orders().served()).generation == 2
        assert await orders().containers_to_write() == [second, first]

        await orders().agree_on_switch(await orders().read())
        assert await orders().containers_to_write() == [first, second]
        assert (await orders().served()).generation == 2


@pytest.mark.parametrize(
    ("serving", "standby", "switch_at", "missing", "goes_on"),
    [
        (2, 1, None, 1, True),
        (1, 2, -60, 1, True),  # as a switch leaves it
        (2, 1, None, 2, False),
        (1, 2, None, 2, False),  # it is being filled
        (2, 1, 10, 1, False),  # it is about to serve
        (1, 2, 10, 2, False),
        (2, None, None, 1, False),
    ],
)
def test_a_container_may_be_missing_only_while_its_generation_is_kept_for_a_roll_back_that_nobody_has_asked_for(
    world: World, serving: int, standby: int | None, switch_at: float | None, missing: int, *, goes_on: bool
) -> None:
    process = world.process()
    at = None if switch_at is None else world.began + switch_at
    world.scheduler.work(process.write(State(serving, standby, at)))
    world.scheduler.work(process.served())
    error = ResourceNotFoundError("there is no such container")
    error.status_code, error.sub_status = HTTPStatus.NOT_FOUND, NO_CONTAINER  # type: ignore[attr-defined]  # as Cosmos's
    with (
        nullcontext() if goes_on else pytest.raises(ResourceNotFoundError),
        process.tolerate_missing(process.container(missing)),
    ):
        raise error
    with pytest.raises(HttpResponseError), process.tolerate_missing(process.container(missing)):
        raise HttpResponseError("503")


def test_nothing_is_projected_around_a_switch(world: World) -> None:
    switch = world.agreed()
    for begin in (switch - QUIET_BEFORE, switch - 0.1, switch, switch + QUIET_AFTER - 0.1):
        world.at(begin)
        assert world.written_at(world.process())[1] == pytest.approx(switch + QUIET_AFTER, abs=0.01), begin - switch


def test_projecting_goes_on_until_the_quiet_time_and_as_soon_as_it_is_over(world: World) -> None:
    switch = world.agreed()
    for begin in (switch - QUIET_BEFORE - 0.01, switch + QUIET_AFTER):
        world.at(begin)
        assert world.written_at(world.process())[1] == pytest.approx(begin, abs=0.001)


def test_a_clock_that_is_set_back_in_the_quiet_time_makes_it_longer(world: World) -> None:
    """A switch is kept by each process's own clock, so that is what says when it is over."""
    switch = world.agreed()

    def clock() -> float:
        return world.now() - (1.0 if world.now() >= world.began + switch else 0.0)

    process = Generations(cast("CosmosDatabase", world.models), "orders", container="orders", clock=clock)
    world.at(switch - 0.5)
    assert world.written_at(process)[1] == pytest.approx(switch + QUIET_AFTER + 1.0, abs=0.01)


@pytest.mark.parametrize("asked", [0, 2.5, 5, 8, 9.9, 10, 11, 12, 13, 14, 15, 16])
def test_a_process_that_heard_nothing_of_a_switch_keeps_its_quiet_all_the_same(world: World, asked: float) -> None:
    """It read the state a moment before the agreement, and has been idle since."""
    idle = world.process()
    switch = world.agreed(idle)
    world.at(asked)
    begun = world.written_at(idle)[1]
    assert not switch - QUIET_BEFORE <= begun < switch + QUIET_AFTER


@pytest.mark.parametrize("late", [-0.01, 0.0, 0.01, 1.0])
def test_all_processes_serve_the_other_generation_from_the_same_moment(world: World, late: float) -> None:
    idle, busy, new = (world.process() for _ in range(3))
    switch = world.agreed(idle, busy)
    for second in range(int(switch)):
        world.at(second)
        world.scheduler.work(busy.served())
    world.at(switch + late)
    served = [world.scheduler.work(process.served()).generation for process in (idle, busy, new)]
    assert served == [1 if late < 0 else 2] * 3


def test_a_switch_is_agreed_on_far_enough_ahead_for_every_process_to_hear_of_it(world: World) -> None:
    """A state is acted on for TRUST seconds; who read it just before the agreement has to read it before the quiet."""
    assert world.agreed() - QUIET_BEFORE >= TRUST
    assert QUIET_BEFORE > 2 * SKEW
    assert QUIET_AFTER > 2 * SKEW


def test_an_appointment_is_made_once(world: World) -> None:
    switch = world.agreed()
    world.at(1)
    state = world.scheduler.work(world.process().read())
    assert world.scheduler.work(world.process().agree_on_switch(state)) - world.began == pytest.approx(switch)


class Reads:
    """Counts a process's looks at the state, and lets some of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, process: Generations) -> None:
        self.count, self.failing = 0, False
        stored = process._stored

        async def counting() -> State:
            self.count += 1
            if self.failing:
                raise HttpResponseError("503")
            return await stored()

        monkeypatch.setattr(process, "_stored", counting)


def test_a_state_is_read_again_every_few_seconds_and_nobody_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = world.process()
    reads = Reads(monkeypatch, process)
    seen = []
    for second in (0, 1.9, 2.1, 3.9, 4.2):
        world.at(second)
        world.scheduler.work(process.served())
        seen.append(reads.count)
    assert seen == [1, 1, 2, 2, 3]


def test_a_state_that_cannot_be_read_again_is_acted_on_for_a_while_and_then_no_longer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = world.process()
    world.agreed(process)
    reads = Reads(monkeypatch, process)
    reads.failing = True
    for second in (3, 6, 9.9):
        world.at(second)
        assert world.scheduler.work(process.served()).generation == 1
    assert reads.count == 3, "a look that failed is followed by another one"
    for second in (10, 11):
        world.at(second)
        with pytest.raises(HttpResponseError):
            world.scheduler.work(process.served())
        with pytest.raises(HttpResponseError):
            world.scheduler.work(process.containers_to_write())
    reads.failing = False
    assert world.scheduler.work(process.served()).generation == 1, "and the store that is back is believed at once"


def test_a_clock_that_was_set_back_does_not_make_an_old_state_a_fresh_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = world.process()
    reads = Reads(monkeypatch, process)
    world.at(100)
    world.scheduler.work(process.served())
    world.at(50)
    world.scheduler.work(process.served())
    assert reads.count == 2


def test_a_store_that_is_slow_to_take_an_appointment_has_not_taken_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others would have less time to hear of it."""
    process = world.process()
    world.scheduler.work(process.write(State(serving=1, standby=2)))
    write = process.write

    async def slow(state: State) -> State:
        await asyncio.sleep(generations.AGREED_WITHIN + 0.1)
        return await write(state)

    monkeypatch.setattr(process, "write", slow)
    with pytest.raises(TimeoutError):
        world.scheduler.work(process.agree_on_switch(world.scheduler.work(process.read())))
    assert world.scheduler.work(world.process().read()).switch_at is None


def test_a_store_that_takes_nearly_as_long_as_it_may_leaves_others_all_their_time_to_hear(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = world.process()
    world.scheduler.work(process.write(State(serving=1, standby=2)))
    write = process.write

    async def slow(state: State) -> State:
        await asyncio.sleep(generations.AGREED_WITHIN - 0.1)
        return await write(state)

    monkeypatch.setattr(process, "write", slow)
    switch = world.scheduler.work(process.agree_on_switch(world.scheduler.work(process.read())))
    assert switch - world.now() >= TRUST + QUIET_BEFORE


GONE = object()
"""In place of a value: there is none."""


def damaged(world: World, **changes: object) -> str:
    """Change what is stored of the state into what this release does not write, and give its new etag."""
    container = world.models.container(CONTROL)

    async def damage() -> str:
        stored = await container.read_item("generations", "orders")
        damaged = {name: value for name, value in (stored | changes).items() if value is not GONE}
        replaced = await container.replace_item(
            "generations", damaged, etag=stored["_etag"], match_condition=MatchConditions.IfNotModified
        )
        return str(replaced["_etag"])

    return world.scheduler.work(damage())


def test_a_view_whose_state_was_never_written_has_its_first_generation_whoever_asks(world: World) -> None:
    assert world.scheduler.work(world.process().read_anyway()) == State()


def test_a_state_of_another_release_is_made_out_as_far_as_it_says_the_same(world: World) -> None:
    """A switch that was agreed there is over when its time has come, and the rebuild takes over what serves by then."""
    switch = world.agreed()
    agreed = world.scheduler.work(world.process().read())
    etag = damaged(world, shape=99)
    with pytest.raises(UnreadableShape):
        world.scheduler.work(world.process().read())
    assert world.scheduler.work(world.process().read_anyway()) == replace(agreed, etag=etag)
    world.at(switch)
    assert world.scheduler.work(world.process().read_anyway()) == State(serving=2, standby=1, etag=etag)


@pytest.mark.parametrize("damage", [{"serving": None}, {"standby": "second"}, {"switchAt": "soon"}, {"standby": GONE}])
def test_a_state_that_cannot_be_made_out_is_the_first_one_and_can_be_written_over(
    world: World, damage: dict[str, object]
) -> None:
    work = world.scheduler.work
    world.agreed()
    etag = damaged(world, **damage)
    made_out = work(world.process().read_anyway())
    assert made_out == State(etag=etag)
    work(world.process().write(made_out))
    assert work(world.process().read()).serving == 1
    with pytest.raises(ControlChanged):
        work(world.process().write(made_out))
