"""The read models, as operators see them: their state, and what can be done with them."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from azure.core.exceptions import ResourceNotFoundError
from pydantic import Field

from shared.frame.operations import drift
from shared.frame.operations.drift import REPORTED
from shared.frame.operations.lag import Lag, lost_by, measure
from shared.frame.operations.rebuilding import Rebuild, Rebuilding, Step
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, QueryInput, Whole
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.comparing import Difference
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import State
from shared.frame.read_side.presence import wrong_with
from shared.frame.read_side.read_model import View
from shared.frame.read_side.shape import UnreadableShape


class ViewRebuild(Answer):
    """The latest rebuild of a view; `eventsPerSecond` is that of the filling alone."""

    step: Step
    generation: int
    started_at: Time
    step_since: Time
    documents: int = Field(description="that are there, of `total`")
    total: int = Field(description="documents when filling began, and those that it came upon since; 0: not counted")
    written: int = Field(description="documents that were written by filling; the others were made by live events")
    events: int
    events_per_second: float | None


class ViewLag(Answer):
    """How far a view is behind its event log."""

    position: int = Field(description="all events up to this sequence have been found applied")
    newest: int = Field(description="sequence of the newest event")
    examined: int = Field(description="events behind the position that were looked for")
    unexamined: int = Field(description="behind those: of so many nothing is known. 0: all have been looked for")
    unapplied: int = Field(description="of those that were looked for")
    oldest_age: float | None = Field(description="seconds since the oldest unapplied event occurred")


class ViewDifference(Answer):
    """A document that differs from what the event log makes of it."""

    document_id: str
    partition_key: str
    what: str = Field(description="`missing`, `behind`, `left over`, or the properties that differ")


class ViewDrift(Answer):
    """What the last check of the serving generation found; it compared some random partitions with the log."""

    checked_at: Time
    partitions: int
    found: int = Field(description=f"differences; the first {REPORTED} are listed")
    differences: list[ViewDifference]


class ViewStatus(Answer):
    """How a view is."""

    view: str
    serving: int | None = Field(description="the generation that queries read; null if that cannot be read")
    standby: int | None = Field(description="the one that is kept beside it: filled by a rebuild, or for a roll-back")
    switch_at: Time | None = Field(description="when the two change places, if that is agreed")
    wrong: list[str] = Field(description="what is wrong with the view as a whole, and what mends it; empty: nothing")
    lag: ViewLag | None = Field(description="of the generation that serves; null if it has no container")
    drift: ViewDrift | None = Field(description="null if what serves has not been checked yet")
    rebuild: ViewRebuild | None


class ViewStatuses(Answer):
    """How all views are."""

    items: list[ViewStatus]


class ReadViews(QueryInput):
    """How all views are: generations, how far they are behind, what differs from the log, how far rebuilds are."""


class ReadView(QueryInput, json_schema_extra=example(view="orders")):
    """How a view is: its generations, how far it is behind, what differs from the log, how far a rebuild is."""

    view: str


class RebuildView(Input, json_schema_extra=example(view="orders")):
    """Fill a new generation of a view from the event log while the present one serves, then switch to the new one."""

    view: str


class CancelRebuild(Input, json_schema_extra=example(view="orders")):
    """Cancel a rebuild; the present generation goes on serving. What was filled is deleted soon after."""

    view: str


class RollBackView(Input, json_schema_extra=example(view="orders")):
    """Let the previous generation serve again, in a few seconds, unless it shows less than the present one."""

    view: str
    even_if_incomplete: bool = Field(default=False, description="whether or not it shows as much")


class RetireGeneration(Input, json_schema_extra=example(view="orders")):
    """Stop keeping the other generation up to date. Events then cost half as much, and a roll-back is impossible."""

    view: str


class CheckView(Input, json_schema_extra=example(view="orders", sample=20)):
    """Compare partitions of a view with the event log: those of `ids`, random ones, and those that differed before."""

    view: str
    ids: Annotated[list[Id], Field(max_length=50)] = Field(
        default=[], description="customers, of `orders`; products, of `products`"
    )
    sample: Annotated[int, Field(ge=0, le=200), Whole] = 20


class HealView(Input, json_schema_extra=example(view="orders")):
    """Repair the documents in which the last check found differences, from the event log."""

    view: str


async def status(view: View, cosmos: CosmosDatabase) -> ViewStatus:
    """Tell how a view is."""
    wrong = list(await wrong_with(view))
    latest: Rebuild | None = None
    try:
        latest = await Rebuilding(cosmos, view).latest()
    except UnreadableShape as error:
        wrong.append(f"{view.name}: {error}")
    state: State | None = None
    lag: Lag | None = None
    with suppress(UnreadableShape, ResourceNotFoundError):  # the status names both
        state = await view.generations.read()
        wrong += await lost_by(view, cosmos)
        lag = await measure(view, cosmos, state.serving)
    report = await drift.last_report(view, cosmos)
    return ViewStatus(
        view=view.name,
        serving=state and state.serving,
        standby=state and state.standby,
        switch_at=state and _switch(state),
        wrong=wrong,
        lag=lag and shown_lag(lag),
        drift=_shown_drift(report) if report and state and report.generation == state.serving else None,
        rebuild=latest and _shown_rebuild(latest),
    )


def shown_lag(lag: Lag) -> ViewLag:
    """Tell a lag in seconds."""
    age = lag.oldest and (datetime.now(UTC) - lag.oldest).total_seconds()
    return ViewLag(
        position=lag.position,
        newest=lag.newest,
        examined=lag.examined,
        unexamined=lag.unexamined,
        unapplied=lag.unapplied,
        oldest_age=age and round(max(age, 0.0), 3),
    )


def _shown_drift(report: drift.Report) -> ViewDrift:
    return ViewDrift(
        checked_at=report.checked_at,
        partitions=report.checked,
        found=report.found,
        differences=[_shown_difference(difference) for difference in report.differences],
    )


def _shown_difference(difference: Difference) -> ViewDifference:
    document_id, partition_key, what = difference
    return ViewDifference(document_id=document_id, partition_key=partition_key, what=what)


def _shown_rebuild(rebuild: Rebuild) -> ViewRebuild:
    seconds = rebuild.filling_seconds
    return ViewRebuild(
        step=rebuild.step,
        generation=rebuild.generation,
        started_at=_moment(rebuild.started_at),
        step_since=_moment(rebuild.since),
        documents=rebuild.seen,
        total=rebuild.total,
        written=rebuild.written,
        events=rebuild.events,
        events_per_second=round(rebuild.events / seconds, 1) if seconds else None,
    )


def _switch(state: State) -> str | None:
    return None if state.switch_at is None else _moment(state.switch_at)


def _moment(seconds: float) -> str:
    return utc_text(datetime.fromtimestamp(seconds, UTC))
