"""The operators' routes: dead letters, read models, events, and the audit trail."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

import azure.functions as func

from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.http.answers import not_cached, ok_or_not_modified
from shared.frame.http.api import Api
from shared.frame.http.requests import command_call, query_call
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations.audit import Audit, AuditTrail, Intent, ReadAudit
from shared.frame.operations.dead_letter_replay import (
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
from shared.frame.operations.dead_letters import (
    DeadLetterList,
    ListDeadLetters,
    list_dead_letters,
    measure_subscriptions,
    naming,
    path_of,
)
from shared.frame.operations.events import EventSearch, FindEvents, FoundEvents
from shared.frame.operations.history import (
    FindDeliveries,
    MinutesDone,
    NotedDeliveries,
    ReadMinutes,
    find_deliveries,
    read_history,
    writing,
)
from shared.frame.operations.outbox import Outboxes, ReadOutbox, read_outbox
from shared.frame.operations.read_model_routes import view_functions
from shared.frame.operations.tables import SCHEMA
from shared.frame.platform.activity import ACTIVITY
from shared.frame.platform.callers import OPS
from shared.frame.platform.jobs import Job, Tick
from shared.frame.platform.output import Answer
from shared.frame.platform.threads import Threads
from shared.frame.routes import CommandRoute
from shared.frame.write_side.commands import WriteSide

if TYPE_CHECKING:
    from shared.frame.messaging.dead_letters import DeadLetters

OPERATING = Threads("operating", 2)
"""Threads for operators' commands: rare, and apart from the threads of all other commands."""


def operations(wired: App, contexts: Sequence[Context[Any]]) -> Api:
    """Wire up the operators' routes for all consumers and read models; nothing connects yet."""
    audit = Audit(wired.engine(SCHEMA))
    subscriptions = [consumer for context in contexts for consumer in context.consumers]
    named = {name: consumer for consumer in subscriptions for name in (path_of(consumer), consumer.name)}
    listing = naming(ListDeadLetters, named)
    replay, discard = naming(ReplayDeadLetters, named), naming(DiscardDeadLetters, named)
    search = EventSearch(contexts)
    api = Api("operations", wired.owners)

    @cache
    def dead_letters() -> "DeadLetters":
        # azure-servicebus comes with it, which a cold start need not wait for
        from shared.frame.messaging.dead_letters import DeadLetters  # noqa: PLC0415

        return DeadLetters(wired.settings)

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

    @api.query("ops/dead-letters", listing, DeadLetterList, role=OPS)
    async def get_dead_letters(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, listing)
        asked = [named[call.query.subscription]] if call.query.subscription else subscriptions
        return ok_or_not_modified(call, await list_dead_letters(dead_letters(), asked, call.query))

    async def watch_subscriptions() -> None:
        await measure_subscriptions(dead_letters(), subscriptions)

    api.jobs.append(Job("watch_subscriptions", watch_subscriptions, Tick.WATCH))

    @api.action("POST", "ops/dead-letters/replay", replay, SettledDeadLetters, role=OPS)
    async def post_dead_letters_replay(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, replay)
        act = replaying(named[call.command.subscription].consume)
        return not_cached(await settled("replay-dead-letters", call.command, act, call.metadata))

    @api.action("POST", "ops/dead-letters/discard", discard, SettledDeadLetters, role=OPS)
    async def post_dead_letters_discard(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, discard)
        return not_cached(await settled("discard-dead-letters", call.command, discarding, call.metadata))

    @api.query("ops/audit", ReadAudit, AuditTrail, role=OPS)
    async def get_audit(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadAudit)
        return ok_or_not_modified(call, await audit.read_page(call.query))

    @api.query("ops/outbox", ReadOutbox, Outboxes, role=OPS)
    async def get_outbox(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadOutbox)
        return ok_or_not_modified(call, await read_outbox(contexts))

    @api.query("ops/events", FindEvents, FoundEvents, role=OPS)
    async def get_events(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, FindEvents)
        return ok_or_not_modified(call, await search.find(call.query, call.wait.caller))

    @api.query("ops/history", ReadMinutes, MinutesDone, role=OPS)
    async def get_history(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadMinutes)
        return ok_or_not_modified(call, await read_history(wired.cosmos, call.query))

    @api.query("ops/deliveries", FindDeliveries, NotedDeliveries, role=OPS)
    async def get_deliveries(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, FindDeliveries)
        return ok_or_not_modified(call, await find_deliveries(wired.cosmos, call.query.event_id))

    for operated in contexts:
        for route in operated.operated:
            _serve_operation(api, audit, operated.writes, route)

    ACTIVITY.write_with(writing(wired.cosmos))
    views = [model.view for context in contexts for model in context.read_models.values()]
    view_functions(api, wired.cosmos, views, audit)
    return api


class Operated(Answer):
    """The thing of a context that an operator has changed, and its new version."""

    changed: UUID
    version: int


def _serve_operation(api: Api, audit: Audit, writes: WriteSide, route: CommandRoute) -> None:
    async def carry_out(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, route.input)

        async def act() -> Operated:
            accepted = await OPERATING.run(writes.run, route.handler, call.command, call.metadata)
            return Operated(changed=accepted.aggregate_id, version=accepted.version)

        details = call.command.model_dump(mode="json", by_alias=True)
        subject = "/".join(req.route_params.values())
        return not_cached(await audit.audited(Intent(route.name, subject, details, call.metadata), act))

    register = api.action(
        route.method, route.path, route.input, Operated, role=route.role, can_miss=True, name=route.name
    )
    register(carry_out)
