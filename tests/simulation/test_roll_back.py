"""When a rebuild, a roll-back and their like are refused, and what is said then: nothing half-made is made to serve."""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from shared.frame.operations import lag, rebuilding
from shared.frame.operations.errors import (
    GenerationIncomplete,
    NoOtherGeneration,
    NoRebuildUnderWay,
    RebuildUnderWay,
    SwitchUnderWay,
)
from shared.frame.operations.rebuilding import MAX_ATTEMPTS, SWITCH_AHEAD, Rebuild, Rebuilding, Step
from shared.frame.read_side.generations import QUIET_BEFORE, TRUST, State
from shared.frame.read_side.log_source import ChangedDocument, LogSource
from shared.frame.read_side.read_model import View
from shared.frame.read_side.view_state import CONTROL, ControlChanged
from tests.simulation.test_handshakes import Pages, World

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


class Log(Pages):
    """A source of five documents with one event each; filling writes nothing, for generations are made by the tests."""

    events: Sequence[ChangedDocument] = [
        ChangedDocument(number, 1, LONG_AGO, f"order {number}", "somebody") for number in range(1, 6)
    ]

    async def newest(self) -> int:
        """Tell how far the log is."""
        return len(self.events)

    async def event_at(self, sequence: int) -> UUID | None:
        """Name an event."""
        return UUID(int=sequence) if sequence <= len(self.events) else None

    async def stretch(self, after: int, until: datetime | None = None) -> int | None:
        """Tell how far to look; all events are old."""
        assert until is None or until > LONG_AGO
        return len(self.events) if after < len(self.events) else None

    async def changed(self, after: int, upto: int, most: int) -> Sequence[ChangedDocument]:
        """Give events."""
        return self.events[after:upto][:most]

    async def has_something_to_show(self) -> bool:
        """Tell whether there are events."""
        return bool(self.events)


class Operated(World):
    """A world with two generations, and an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.source = Log(self._filling)
        self.rebuilding, self.operator = self.process(), self.process()

    def process(self) -> Rebuilding:
        """Another process that may rebuild."""
        return Rebuilding(self.models, View(self.generations(), cast("LogSource[Any]", self.source)), clock=self.now)

    def show(self, generation: int, *numbers: int) -> None:
        """Let a generation have these orders."""
        container = self.generations().container(generation)
        for number in numbers:
            document = {"id": f"order {number}", "customerId": "somebody", "version": 1}
            self.work(container.create_item(document))

    def keep(self, standby: int | None = 2) -> None:
        """Let the first generation serve, and another be kept beside it."""
        self.work(self.generations().write(State(serving=1, standby=standby)))

    def refused(self, what: Callable[[], Awaitable[object]], error: type[Exception], message: str) -> None:
        """Try something that is refused, with this said, and changes nothing."""
        before = self.state(), self.work(self.rebuilding.latest())
        with pytest.raises(error, match=f"^{message}$"):
            self.work(what())
        assert (self.state(), self.work(self.rebuilding.latest())) == before


@pytest.fixture
def world() -> Operated:
    return Operated()


async def stop() -> None:
    raise HttpResponseError("503")


def begun(world: Operated) -> None:
    """Begin a rebuild and bring it to its filling, where the store fails."""
    world.during(Step.FILLING, stop)
    world.work(world.rebuilding.start())
    with suppress(HttpResponseError):
        world.work(world.rebuilding.advance(math.inf))


def test_where_there_is_no_other_generation_nothing_can_be_rolled_back_or_retired(world: Operated) -> None:
    world.keep(standby=None)
    for what in (world.operator.roll_back, world.operator.retire):
        world.refused(what, NoOtherGeneration, r"orders has generation 1 only\.")
    world.refused(world.operator.cancel, NoRebuildUnderWay, r"orders is not being rebuilt\.")


def test_a_view_that_is_being_rebuilt_is_neither_rebuilt_again_nor_rolled_back_nor_retired(world: Operated) -> None:
    begun(world)
    for what in (world.operator.start, world.operator.roll_back, world.operator.retire):
        world.refused(what, RebuildUnderWay, r"orders is being rebuilt: filling\.")
    world.work(world.operator.cancel())
    world.refused(world.operator.cancel, NoRebuildUnderWay, r"orders is not being rebuilt\.")


def test_while_generations_change_places_nothing_else_is_begun(world: Operated) -> None:
    world.keep()
    world.show(1, 1, 2, 3, 4, 5)
    world.show(2, 1, 2, 3, 4, 5)
    switch = world.work(world.operator.roll_back())
    assert switch - world.now() >= TRUST + QUIET_BEFORE
    for what in (world.operator.start, world.operator.roll_back, world.operator.retire):
        world.refused(what, SwitchUnderWay, r"The generations of orders are about to change places\.")
    world.later(switch - world.now())
    assert (world.state().serving, world.state().standby) == (2, 1)


def test_a_generation_that_was_kept_is_retired(world: Operated) -> None:
    world.keep()
    world.work(world.operator.retire())
    assert (world.state().serving, world.state().standby) == (1, None)


def test_a_generation_that_shows_less_than_the_one_that_serves_does_not_take_its_place(world: Operated) -> None:
    world.keep()
    world.show(1, 1, 2, 3, 4)
    anyway = r"Make it anew \(rebuild\), or insist \(evenIfIncomplete\)\."
    empty = rf"Generation 2 of orders is empty, and the event log is not\. {anyway}"
    world.refused(world.operator.roll_back, GenerationIncomplete, empty)
    world.show(2, 2, 5)
    less = rf"Generation 2 of orders lacks 3 events, and generation 1, which serves, 1\. {anyway}"
    world.refused(world.operator.roll_back, GenerationIncomplete, less)
    assert world.work(world.operator.roll_back(even_if_incomplete=True)) == world.state().switch_at


def test_a_generation_that_is_as_far_behind_as_the_one_that_serves_may_take_its_place(world: Operated) -> None:
    """What has not arrived yet is on its way to both."""
    world.keep()
    world.show(1, 1, 2, 3)
    world.show(2, 1, 2, 3)
    assert world.work(world.operator.roll_back()) == world.state().switch_at


def test_a_generation_that_could_not_be_held_against_the_whole_log_does_not_serve(
    world: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep()
    for generation in (1, 2):
        world.show(generation, 1, 2, 3, 4, 5)
    monkeypatch.setattr(lag, "MOST", 2)
    monkeypatch.setattr(rebuilding, "measure", partial(lag.measure, within=0.0))  # there is time for one look
    unknown = (
        "Generation 2 of orders has yet to be held against the log, which goes on by itself: 3 events are left. "
        r"Wait, or insist \(evenIfIncomplete\)\."
    )
    world.refused(world.operator.roll_back, GenerationIncomplete, unknown)


def test_a_container_that_is_missing_is_no_generation_to_roll_back_to(
    world: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def missing() -> dict[str, object]:
        raise ResourceNotFoundError

    world.keep()
    world.show(2, 1)
    monkeypatch.setattr(world.second, "read", missing)
    anyway = r"Make it anew \(rebuild\), or insist \(evenIfIncomplete\)\."
    gone = rf"A container of orders is missing\. {anyway}"
    world.refused(world.operator.roll_back, GenerationIncomplete, gone)


def test_what_a_cancelled_rebuild_has_half_filled_does_not_serve(world: Operated) -> None:
    """Who cancelled it died before the generation was given up as well."""
    begun(world)
    half_filled = world.state()
    world.work(world.operator.cancel())
    world.work(world.generations().write(State(serving=1, standby=2, etag=world.state().etag)))
    assert (half_filled.serving, half_filled.standby) == (1, 2)
    never = r"Generation 2 of orders was never filled to its end\."
    world.refused(world.operator.roll_back, NoOtherGeneration, never)
    world.work(world.operator.retire())
    assert world.state().standby is None


def test_a_rebuild_that_goes_on_faster_than_one_can_look_is_not_cancelled_and_that_is_said(
    world: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(world)
    looks: list[Rebuild] = []
    look = world.operator.latest

    async def and_then_a_page_is_filled() -> Rebuild | None:
        seen = await look()
        assert seen is not None
        looks.append(seen)
        await world.rebuilding._write(seen)
        return seen

    monkeypatch.setattr(world.operator, "latest", and_then_a_page_is_filled)
    with pytest.raises(ControlChanged):
        world.work(world.operator.cancel())
    assert len(looks) == MAX_ATTEMPTS
    assert world.latest().step is Step.FILLING
    assert world.state().standby == 2


def test_a_rebuild_whose_cancellation_came_too_late_is_done_and_its_generation_may_serve_again(
    world: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It agreed on the switch after its state was read to cancel it, and before its own document was written."""
    world.show(1, 1, 2, 3, 4, 5)
    begun(world)
    step, look = Rebuilding._step, world.operator._settled_state

    async def until_the_switch(self: Rebuilding, rebuild: Rebuild) -> Rebuild:
        if rebuild.step is Step.SWITCHING:
            raise HttpResponseError("503")
        return await step(self, rebuild)

    async def and_then_it_agrees() -> State:
        seen = await look()
        with suppress(ControlChanged):
            await world.generations().agree_on_switch(seen)
        return seen

    monkeypatch.setattr(Rebuilding, "_step", until_the_switch)
    with suppress(HttpResponseError):
        world.work(world.rebuilding.advance(math.inf))
    monkeypatch.setattr(Rebuilding, "_step", step)
    monkeypatch.setattr(world.operator, "_settled_state", and_then_it_agrees)
    with pytest.raises(SwitchUnderWay):
        world.work(world.operator.cancel())
    monkeypatch.setattr(world.operator, "_settled_state", look)
    world.later(SWITCH_AHEAD)
    world.work(world.rebuilding.advance(world.now() + 1))
    assert (world.state().serving, world.latest().step) == (2, Step.DONE)
    world.work(world.operator.roll_back(even_if_incomplete=True))
    world.later(SWITCH_AHEAD)
    world.work(world.process().advance(world.now() + 1))
    assert (world.state().serving, world.state().standby) == (1, 2)


def test_a_rebuild_that_begins_while_the_other_generation_is_retired_keeps_its_own(
    world: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep()
    look = world.operator._none_under_way

    async def and_then_one_begins() -> Rebuild | None:
        seen = await look()
        world.during(Step.FILLING, stop)
        await world.rebuilding.start()
        with suppress(HttpResponseError):
            await world.rebuilding.advance(math.inf)
        return seen

    monkeypatch.setattr(world.operator, "_none_under_way", and_then_one_begins)
    with pytest.raises(ControlChanged):
        world.work(world.operator.retire())
    assert (world.latest().step, world.state().standby) == (Step.FILLING, 2)


def test_a_rebuild_over_a_state_of_another_release_takes_over_no_switch_that_was_agreed_there(world: Operated) -> None:
    """Else its generation would serve at that time, before it has a document."""
    world.keep()
    control = world.models.container(CONTROL)
    before = world.work(control.read_item("generations", "orders"))
    other = {**before, "shape": 99, "switchAt": world.now() + 600}
    on_its_etag = {"etag": before["_etag"], "match_condition": MatchConditions.IfNotModified}
    world.work(control.replace_item("generations", other, **on_its_etag))
    world.work(world.rebuilding.start())
    assert (world.state().serving, world.state().standby, world.state().switch_at) == (1, None, None)


def test_each_rebuild_has_a_number_of_its_own_in_the_container_that_does_not_serve(world: Operated) -> None:
    numbers = []
    for _ in range(3):
        numbers.append(world.work(world.rebuilding.start()).generation)
        world.work(world.rebuilding.cancel())
    assert numbers == [2, 4, 6]


@pytest.mark.parametrize("number", ["second", None, 7])
def test_a_rebuild_that_cannot_be_read_is_written_over_and_its_number_is_not_used_again(
    world: Operated, number: object
) -> None:
    unreadable = {"id": "rebuild", "view": "orders", "shape": 99, "generation": number}
    world.work(world.models.container(CONTROL).create_item(unreadable))
    anew = world.work(world.rebuilding.start())
    assert anew.generation == (8 if number == 7 else 2)
    assert world.latest().step is Step.RETIRING
