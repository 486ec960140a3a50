"""The way in for people who operate the system: dead letters, read models, and who did what."""

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from shared.messaging.envelope import Metadata
from shared.operations.audit import Audit, AuditTrail, Intent, ReadAudit
from shared.operations.dead_letters import (
    DeadLetterList,
    ListDeadLetters,
    count_dead_letters,
    list_dead_letters,
    naming,
    path_of,
)
from shared.operations.settling import (
    Act,
    DiscardDeadLetters,
    ReplayDeadLetters,
    SettledDeadLetters,
    choose,
    discarding,
    replaying,
    settle,
    would_be,
)
from shared.operations.tables import SCHEMA
from shared.operations.view_functions import view_functions
from shared.platform.cosmos import ReadModels
from shared.platform.http.answers import found, told
from shared.platform.http.api import Api
from shared.platform.http.callers import Role
from shared.platform.http.problems import Problem
from shared.platform.http.requests import command_call, query_call
from shared.platform.settings import Settings
from shared.platform.sql import context_engine
from shared.platform.subscriptions import Consumer
from shared.platform.views import View

if TYPE_CHECKING:
    from shared.platform.dead_letters import DeadLetters


def operations(
    settings: Settings, read_models: ReadModels, consumers: Iterable[Consumer], views: Iterable[View]
) -> Api:
    """Wire operations up, for everything that consumes events and all that comes of them; nothing connects yet."""
    audit = Audit(context_engine(settings, SCHEMA))
    subscriptions = list(consumers)
    named = {name: consumer for consumer in subscriptions for name in (path_of(consumer), consumer.name)}
    listing = naming(ListDeadLetters, named)
    replay, discard = naming(ReplayDeadLetters, named), naming(DiscardDeadLetters, named)
    api = Api("operations")

    @cache
    def dead_letters() -> "DeadLetters":
        # azure-servicebus comes with it, which a cold start need not wait for
        from shared.platform.dead_letters import DeadLetters  # noqa: PLC0415

        return DeadLetters(settings)

    async def settled(
        action: str, request: ReplayDeadLetters | DiscardDeadLetters, act: Act, metadata: Metadata
    ) -> SettledDeadLetters:
        consumer = named[request.subscription]
        path = path_of(consumer)
        async with dead_letters().of(consumer.topic, consumer.subscription) as queue:
            match request:
                case ReplayDeadLetters():
                    chosen = await choose(queue, request.messages, request.reason, request.after)
                case DiscardDeadLetters():
                    chosen = await choose(queue, request.messages)
            if request.dry_run:
                return would_be(path, chosen)
            details = request.model_dump(mode="json", by_alias=True, exclude={"subscription", "dry_run"})
            intent = Intent(action, path, details | {"chosen": chosen.told()}, metadata)
            return await audit.audited(intent, lambda: settle(path, queue, chosen, act))

    @api.query("ops/dead-letters", listing, DeadLetterList, role=Role.OPS, can_miss=False)
    async def get_dead_letters(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, listing)
        asked = [named[call.query.subscription]] if call.query.subscription else subscriptions
        return found(call, await list_dead_letters(dead_letters(), asked, call.query))

    @api.blueprint.timer_trigger(arg_name="timer", schedule="%WatchSchedule%")
    async def watch_dead_letters(timer: func.TimerRequest) -> None:
        with suppress(Problem):  # Service Bus is away, which has been told; there is nothing to count
            await count_dead_letters(dead_letters(), subscriptions)

    @api.action("POST", "ops/dead-letters/replay", replay, SettledDeadLetters, role=Role.OPS)
    async def post_dead_letters_replay(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, replay)
        act = replaying(named[call.command.subscription].consume)
        return told(await settled("replay-dead-letters", call.command, act, call.metadata))

    @api.action("POST", "ops/dead-letters/discard", discard, SettledDeadLetters, role=Role.OPS)
    async def post_dead_letters_discard(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, discard)
        return told(await settled("discard-dead-letters", call.command, discarding, call.metadata))

    @api.query("ops/audit", ReadAudit, AuditTrail, role=Role.OPS, can_miss=False)
    async def get_audit(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadAudit)
        return found(call, await audit.newest(call.query))

    view_functions(api, read_models, views, audit)
    return api
