"""The way in for people who operate the read models, and the timers that look after them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

import azure.functions as func

from shared.messaging.envelope import Metadata
from shared.operations import drift
from shared.operations.audit import Audit, Intent
from shared.operations.errors import PartitionNotFound, ViewNotFound
from shared.operations.lag import move_mark
from shared.operations.rebuilding import Rebuilding
from shared.operations.views import (
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
from shared.platform.cosmos import ReadModels
from shared.platform.http.answers import found, told
from shared.platform.http.api import Api
from shared.platform.http.callers import Role
from shared.platform.http.requests import command_call, query_call
from shared.platform.views import View

logger = logging.getLogger(__name__)

REBUILDS_FOR = 240.0
"""Seconds that a timer carries rebuilds on, within host.json's functionTimeout; the next tick goes on."""

WATCHES_FOR = 45.0
SAMPLED, SAMPLES_FOR = 5, 0.1
"""Partitions of each view that are held against the log at each tick, and the seconds after which none is begun: some
customers have thousands of orders, and who asks or orders meanwhile is not to feel it."""


def view_functions(api: Api, read_models: ReadModels, views: Iterable[View], audit: Audit) -> None:
    """Wire up what concerns these views."""
    named = {view.name: view for view in views}
    under_way: set[asyncio.Task[None]] = set()  # rebuilds of this process; if it dies, the timer's next tick goes on

    def view_of(name: str) -> View:
        if name not in named:
            raise ViewNotFound(f"There is no view {name}, but {', '.join(named)}.")
        return named[name]

    async def partition_of(view: View, id_: UUID) -> str:
        partition_key = await view.source.partition_of(id_)
        if partition_key is None:
            raise PartitionNotFound(f"The event log has nothing of {id_} that {view.name} would show.")
        return partition_key

    async def done(
        action: str, view: View, metadata: Metadata, act: Callable[[], Awaitable[object]]
    ) -> func.HttpResponse:
        async def act_and_tell() -> ViewStatus:
            await act()
            return await status(view, read_models)

        return told(await audit.audited(Intent(action, view.name, {}, metadata), act_and_tell))

    @api.query("ops/projections", ReadViews, ViewStatuses, role=Role.OPS, can_miss=False)
    async def get_projections(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadViews)
        return found(call, ViewStatuses(items=[await status(view, read_models) for view in named.values()]))

    @api.query("ops/projections/{view}", ReadView, ViewStatus, role=Role.OPS)
    async def get_projection(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadView)
        return found(call, await status(view_of(call.query.view), read_models))

    @api.action("POST", "ops/projections/{view}/rebuild", RebuildView, ViewStatus, role=Role.OPS, can_miss=True)
    async def post_projection_rebuild(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RebuildView)
        view = view_of(call.command.view)
        rebuilding = Rebuilding(read_models, view)
        response = await done("rebuild", view, call.metadata, rebuilding.start)
        beside = asyncio.create_task(_carry_on(rebuilding))
        under_way.add(beside)
        beside.add_done_callback(under_way.discard)
        return response

    @api.action("POST", "ops/projections/{view}/cancel", CancelRebuild, ViewStatus, role=Role.OPS, can_miss=True)
    async def post_projection_cancel(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, CancelRebuild)
        view = view_of(call.command.view)
        return await done("cancel-rebuild", view, call.metadata, Rebuilding(read_models, view).cancel)

    @api.action("POST", "ops/projections/{view}/roll-back", RollBackView, ViewStatus, role=Role.OPS, can_miss=True)
    async def post_projection_roll_back(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RollBackView)
        view = view_of(call.command.view)
        return await done("roll-back", view, call.metadata, Rebuilding(read_models, view).roll_back)

    @api.action("POST", "ops/projections/{view}/retire", RetireGeneration, ViewStatus, role=Role.OPS, can_miss=True)
    async def post_projection_retire(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RetireGeneration)
        view = view_of(call.command.view)
        return await done("retire-generation", view, call.metadata, Rebuilding(read_models, view).retire)

    @api.action("POST", "ops/projections/{view}/check", CheckView, ViewStatus, role=Role.OPS, can_miss=True)
    async def post_projection_check(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        command = command_call(req, context, CheckView).command
        view = view_of(command.view)
        wanted = [await partition_of(view, id_) for id_ in command.ids]
        await drift.check(view, read_models, [*wanted, *await view.source.sample(command.sample)])
        return told(await status(view, read_models))

    @api.action("POST", "ops/projections/{view}/heal", HealView, ViewStatus, role=Role.OPS, can_miss=True)
    async def post_projection_heal(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, HealView)
        view = view_of(call.command.view)
        return await done("heal", view, call.metadata, lambda: drift.heal(view, read_models))

    @api.blueprint.timer_trigger(arg_name="timer", schedule="%WatchSchedule%")
    async def continue_rebuilds(timer: func.TimerRequest) -> None:
        await asyncio.gather(*(_carry_on(Rebuilding(read_models, view)) for view in named.values()))

    @api.blueprint.timer_trigger(arg_name="timer", schedule="%WatchSchedule%")
    async def watch_projections(timer: func.TimerRequest) -> None:
        until = time.time() + WATCHES_FOR
        for view in named.values():
            try:
                await _watch(view, read_models, until)
            except Exception:  # an event of a newer release, say: that is no reason not to watch the others
                logger.exception("%s cannot be held against the log", view.name)


async def _carry_on(rebuilding: Rebuilding) -> None:
    try:
        await rebuilding.advance(time.time() + REBUILDS_FOR)
    except Exception:
        logger.exception("rebuilding %s waits for the next tick", rebuilding.view.name)


async def _watch(view: View, read_models: ReadModels, until: float) -> None:
    lag = await move_mark(view, read_models, until)
    if lag.unapplied:
        logger.info("%s: %s events are unapplied, the oldest is of %s", view.name, lag.unapplied, lag.oldest)
    for difference in await drift.check(view, read_models, await view.source.sample(SAMPLED), SAMPLES_FOR):
        logger.warning("%s: %s of %s differs from the log: %s", view.name, *difference)
