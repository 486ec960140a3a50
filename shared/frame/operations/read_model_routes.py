"""The operators' routes for read models, and the timer's work on them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

import azure.functions as func
from azure.core.exceptions import ResourceNotFoundError
from pydantic import JsonValue

from shared.frame.http.answers import not_cached, ok_or_not_modified
from shared.frame.http.api import Api
from shared.frame.http.requests import command_call, query_call
from shared.frame.messaging.envelope import Metadata
from shared.frame.messaging.retries import tell
from shared.frame.operations import drift
from shared.frame.operations.audit import Audit, Intent
from shared.frame.operations.errors import PartitionNotFound, ViewNotFound
from shared.frame.operations.lag import Lag, lost_by, measure, move_mark
from shared.frame.operations.read_models import (
    CancelRebuild,
    CheckView,
    HealView,
    ReadView,
    ReadViews,
    RebuildView,
    RetireGeneration,
    RollBackView,
    ViewStatus,
    ViewStatuses,
    status,
)
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.platform import telemetry
from shared.frame.platform.callers import OPS
from shared.frame.platform.jobs import Job, Tick
from shared.frame.read_side.comparing import Difference
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.presence import wrong_with
from shared.frame.read_side.read_model import View
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.timers import SomeFailed

logger = logging.getLogger(__name__)

REBUILDS_AT_MOST = 6 * 3600.0
"""Seconds for which the process that began a rebuild carries it on, beside its requests."""

REBUILDS_FOR = 240.0
"""Seconds that one tick of the timer works on rebuilds, less than host.json's functionTimeout; the next tick continues.
The other watches wait meanwhile. This happens only after the process that began a rebuild has died or failed."""

WATCHES_FOR = 45.0
SAMPLED, SAMPLES_FOR = 5, 0.1
"""Partitions of each view that a tick compares with the log, and the seconds after which it begins no other. Some
partitions have thousands of documents, and the comparison must not slow requests down."""


def view_functions(api: Api, cosmos: CosmosDatabase, views: Iterable[View], audit: Audit) -> None:
    """Wire up what concerns these views."""
    named = {view.name: view for view in views}
    under_way: set[asyncio.Task[bool]] = set()  # rebuilds that this process began; if it dies, the timer continues them

    def named_view(name: str) -> View:
        if name not in named:
            raise ViewNotFound(f"There is no view {name}, but {', '.join(named)}.")
        return named[name]

    async def partition_of(view: View, id_: UUID) -> str:
        partition_key = await view.source.partition_of(id_)
        if partition_key is None:
            raise PartitionNotFound(f"The event log has nothing of {id_} that {view.name} would show.")
        return partition_key

    async def done(
        action: str,
        view: View,
        metadata: Metadata,
        act: Callable[[], Awaitable[object]],
        details: Mapping[str, JsonValue] = {},
    ) -> func.HttpResponse:
        async def act_and_tell() -> ViewStatus:
            await act()
            return await status(view, cosmos)

        return not_cached(await audit.audited(Intent(action, view.name, details, metadata), act_and_tell))

    @api.query("ops/projections", ReadViews, ViewStatuses, role=OPS)
    async def get_projections(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadViews)
        return ok_or_not_modified(call, ViewStatuses(items=[await status(view, cosmos) for view in named.values()]))

    @api.query("ops/projections/{view}", ReadView, ViewStatus, role=OPS)
    async def get_projection(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadView)
        return ok_or_not_modified(call, await status(named_view(call.query.view), cosmos))

    @api.action("POST", "ops/projections/{view}/rebuild", RebuildView, ViewStatus, role=OPS, can_miss=True)
    async def post_projection_rebuild(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RebuildView)
        view = named_view(call.command.view)
        rebuilding = Rebuilding(cosmos, view)
        response = await done("rebuild", view, call.metadata, rebuilding.start)
        beside = asyncio.create_task(_carry_on(rebuilding, REBUILDS_AT_MOST))
        under_way.add(beside)
        beside.add_done_callback(under_way.discard)
        return response

    @api.action("POST", "ops/projections/{view}/cancel", CancelRebuild, ViewStatus, role=OPS, can_miss=True)
    async def post_projection_cancel(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, CancelRebuild)
        view = named_view(call.command.view)
        return await done("cancel-rebuild", view, call.metadata, Rebuilding(cosmos, view).cancel)

    @api.action("POST", "ops/projections/{view}/roll-back", RollBackView, ViewStatus, role=OPS, can_miss=True)
    async def post_projection_roll_back(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RollBackView)
        view, insist = named_view(call.command.view), call.command.even_if_incomplete
        roll_back = partial(Rebuilding(cosmos, view).roll_back, even_if_incomplete=insist)
        return await done("roll-back", view, call.metadata, roll_back, {"evenIfIncomplete": insist})

    @api.action("POST", "ops/projections/{view}/retire", RetireGeneration, ViewStatus, role=OPS, can_miss=True)
    async def post_projection_retire(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RetireGeneration)
        view = named_view(call.command.view)
        return await done("retire-generation", view, call.metadata, Rebuilding(cosmos, view).retire)

    @api.action("POST", "ops/projections/{view}/check", CheckView, ViewStatus, role=OPS, can_miss=True)
    async def post_projection_check(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        command = command_call(req, context, CheckView).command
        view = named_view(command.view)
        wanted = [await partition_of(view, id_) for id_ in command.ids]
        await drift.check(view, cosmos, [*wanted, *await view.source.sample(command.sample)])
        return not_cached(await status(view, cosmos))

    @api.action("POST", "ops/projections/{view}/heal", HealView, ViewStatus, role=OPS, can_miss=True)
    async def post_projection_heal(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, HealView)
        view = named_view(call.command.view)
        return await done("heal", view, call.metadata, lambda: drift.heal(view, cosmos))

    async def continue_rebuilds() -> None:
        ended = await asyncio.gather(*(_carry_on(Rebuilding(cosmos, view), REBUILDS_FOR) for view in named.values()))
        if failed := [name for name, well in zip(named, ended, strict=True) if not well]:
            raise SomeFailed(", ".join(failed))

    async def watch_projections() -> None:
        until, failed = time.time() + WATCHES_FOR, []
        for view in named.values():
            try:
                await watch(view, cosmos, until)
            except Exception as error:  # noqa: BLE001  # of a newer event, say: no reason not to watch the others
                tell(logger, error, f"{view.name} cannot be held against the log")
                failed.append(view.name)
        if failed:
            raise SomeFailed(", ".join(failed))

    api.jobs += [
        Job("continue_rebuilds", continue_rebuilds, Tick.WATCH),
        Job("watch_projections", watch_projections, Tick.WATCH),
    ]


async def _carry_on(rebuilding: Rebuilding, seconds: float) -> bool:
    """Carry a view's rebuild on for so long, and tell whether it, or that there is none, went well."""
    try:
        await rebuilding.advance(time.time() + seconds)
    except UnreadableShape as error:
        logger.error("%s", error)  # noqa: TRY400  # it says all there is
    except Exception as error:  # noqa: BLE001  # whatever it is, the next tick begins where this one ended
        tell(logger, error, f"rebuilding {rebuilding.view.name} waits for the next tick")
    else:
        return True
    return False


async def watch(view: View, cosmos: CosmosDatabase, until: float) -> None:
    """Watch over a view: log what is wrong with it, move its marks, and compare some partitions with the log."""
    wrong = await wrong_with(view)
    try:
        with suppress(UnreadableShape, ResourceNotFoundError):  # it is in there already, or is raised below
            wrong += await lost_by(view, cosmos)
    finally:  # also while the database does not answer
        telemetry.view_presence(view.name, wrong=bool(wrong))
        for each in wrong:
            logger.error("%s", each)
    try:
        lag, differences = await _held_against_the_log(view, cosmos, until)
    except (UnreadableShape, ResourceNotFoundError):
        if not wrong:
            raise
        return  # it is logged already
    if lag.unapplied:
        logger.info("%s: %s events are unapplied, the oldest is of %s", view.name, lag.unapplied, lag.oldest)
    for difference in differences:
        logger.warning("%s: %s of %s differs from the log: %s", view.name, *difference[:3])
    telemetry.view_truth(view.name, lag.unapplied, len(differences))


async def _held_against_the_log(view: View, cosmos: CosmosDatabase, until: float) -> tuple[Lag, Sequence[Difference]]:
    state = await view.generations.read()
    for generation in (state.serving, state.standby):
        if generation is not None:
            await move_mark(view, cosmos, generation, until)
    lag = await measure(view, cosmos, state.serving, young=False, within=SAMPLES_FOR)
    return lag, await drift.check(view, cosmos, await view.source.sample(SAMPLED), SAMPLES_FOR)
